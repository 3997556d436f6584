"""Products of pairs by chunks, and items without repetition, against plain numpy."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from lcn_tf.ops.pairwise_products import distinct_items, pairwise_products
from tests.layers.batches import TOLERANCE


@pytest.mark.parametrize("traced", [False, True])
@pytest.mark.parametrize("chunk_size", [1, 3, 10, 11, 12, 100])
def test_values_and_gradients(chunk_size, traced):
    rng = np.random.default_rng(chunk_size)
    vectors, upstream = rng.normal(size=(5, 3)), rng.normal(size=11)
    first, second = rng.integers(0, 5, (2, 11))
    second[4] = first[4]  # a vector with itself

    def found(vectors, first, second):
        with tf.GradientTape() as tape:
            tape.watch(vectors)
            values = pairwise_products(vectors, first, second, chunk_size)
        return values, tape.gradient(values, vectors, tf.constant(upstream, tf.float32))

    specs = [tf.TensorSpec([None, None]), tf.TensorSpec([None], tf.int64), tf.TensorSpec([None], tf.int64)]
    run = tf.function(found, input_signature=specs) if traced else found
    values, gradient = run(tf.constant(vectors, tf.float32), tf.constant(first), tf.constant(second))
    np.testing.assert_allclose(values, [vectors[i] @ vectors[j] for i, j in zip(first, second, strict=True)],
                               **TOLERANCE)
    expected = np.zeros((5, 3))
    for i, j, weight in zip(first, second, upstream, strict=True):
        expected[i] += weight * vectors[j]
        expected[j] += weight * vectors[i]
    np.testing.assert_allclose(gradient, expected, **TOLERANCE)


@given(st.integers(0, 10**6), st.integers(1, 3), st.sampled_from([2, 50, 2**62]))
def test_items_appear_once(seed, num_fields, largest):
    given_ids = np.random.default_rng(seed).integers(0, largest, (num_fields, 23))
    given_ids[:, 17] = given_ids[:, 3]
    items, numbers = distinct_items({f"field{place}": tf.constant(values) for place, values in enumerate(given_ids)})
    assert list(items) == [f"field{place}" for place in range(num_fields)]
    found = np.stack([values.numpy() for values in items.values()])
    assert list(map(tuple, found.T)) == list(dict.fromkeys(map(tuple, given_ids.T)))
    np.testing.assert_array_equal(found[:, numbers.numpy()], given_ids)
