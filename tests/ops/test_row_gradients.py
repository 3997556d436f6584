import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from lcn_tf.ops.row_gradients import sum_outer_products, sum_rows


def draws(seed, num_rows, shape, *more):
    """Places, and float32 values of the shapes that follow."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, max(num_rows, 1), shape), *(rng.normal(size=size).astype(np.float32) for size in more)


def added_up(places, vectors, num_rows):
    """One vector after the other."""
    total = np.zeros((num_rows, vectors.shape[-1]))
    np.add.at(total, places.ravel(), vectors.reshape(-1, vectors.shape[-1]).astype(np.float64))
    return total


@given(st.integers(0, 10**6), st.sampled_from([(0,), (1,), (11,), (2, 7), (2, 3, 5), (2, 0)]), st.integers(1, 6))
def test_rows_get_the_sum_of_their_vectors(seed, shape, num_rows):
    places, vectors = draws(seed, num_rows, shape, (*shape, 3))
    found = sum_rows(tf.constant(places), tf.constant(vectors), tf.constant(num_rows))
    np.testing.assert_allclose(found, added_up(places, vectors, num_rows), rtol=1e-5, atol=1e-5)


@given(st.integers(0, 10**6), st.booleans(), st.integers(1, 3), st.integers(1, 2), st.sampled_from([0, 1, 7]),
       st.integers(1, 6))
def test_rows_get_the_sum_of_their_outer_products(seed, shared, candidates, heads, length, num_rows):
    shape = (2, length) if shared else (2, candidates, length)
    places, weights, vectors = draws(seed, num_rows, shape, (2, candidates, heads, length), (2, candidates, heads, 5))
    outer = np.einsum("bchk,bche->bchke", weights, vectors)
    wide = places[:, None, None] if shared else places[:, :, None]
    expected = added_up(np.broadcast_to(wide, weights.shape), outer, num_rows)
    found = sum_outer_products(*map(tf.constant, (places, weights, vectors, num_rows)))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("num_rows", [0, 3])
def test_without_vectors_the_rows_there_are_get_zeros(num_rows):
    traced = tf.function(sum_rows, input_signature=[tf.TensorSpec([None], tf.int32), tf.TensorSpec([None, 5]),
                                                    tf.TensorSpec([], tf.int32)])
    found = traced(tf.zeros([0], tf.int32), tf.zeros([0, 5]), tf.constant(num_rows))
    np.testing.assert_array_equal(found, np.zeros([num_rows, 5]))


@pytest.mark.parametrize("shared", [False, True])
def test_one_trace_serves_every_size(shared):
    places = tf.TensorSpec([None] * (2 if shared else 3), tf.int32)
    traced = tf.function(sum_outer_products, input_signature=[
        places, tf.TensorSpec([None, None, 2, None]), tf.TensorSpec([None, None, 2, 5]), tf.TensorSpec([], tf.int32)])
    for requests, candidates, length, num_rows in ((2, 1, 7, 4), (2, 3, 2, 9), (0, 3, 2, 9), (0, 3, 2, 0)):
        shape = (requests, length) if shared else (requests, candidates, length)
        places, weights, vectors = draws(1, num_rows, shape, (requests, candidates, 2, length),
                                         (requests, candidates, 2, 5))
        arguments = [tf.constant(places, tf.int32), *map(tf.constant, (weights, vectors, num_rows))]
        found = traced(*arguments)
        assert found.shape == (num_rows, 5)
        np.testing.assert_allclose(found, sum_outer_products(*arguments), rtol=1e-5, atol=1e-6)
