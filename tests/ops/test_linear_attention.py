import numpy as np
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from lcn_tf.ops.event_forms import Gathered
from lcn_tf.ops.linear_attention import linear_attention
from tests.layers.batches import gradients


def by_differentiation(queries, events, factors):
    """The same without a gradient of its own."""
    products = tf.einsum("bcd,bld->bcl", queries, events)
    return tf.einsum("bcl,bld->bcd", products * factors, events), products


def gathered(rows, places, dtype=tf.float32):
    return Gathered(tf.cast(tf.stop_gradient(tf.gather(rows, places)), dtype), rows, places)


@given(st.integers(0, 10**6), st.booleans(), st.booleans(), st.integers(1, 3), st.sampled_from([0, 1, 2, 7]),
       st.integers(1, 6))
def test_values_and_gradients_equal_those_of_differentiation(seed, from_rows, own_factors, candidates, length, rows):
    rng = np.random.default_rng(seed)
    queries, dense, table = (rng.normal(size=shape).astype(np.float32)
                             for shape in ((2, candidates, 5), (2, length, 5), (rows, 5)))
    factors = tf.constant(rng.random((2, candidates if own_factors else 1, length)) < 0.7, tf.float32)
    places = tf.constant(rng.integers(0, rows, (2, length)), tf.int32)

    def run(function, form):
        def both(queries, source):
            return tf.concat(function(queries, form(source), factors), -1)  # [B, C, D + L]

        return gradients(both, [queries, table if from_rows else dense])

    if from_rows:
        forms = (lambda source: gathered(source, places)), (lambda source: tf.gather(source, places))
    else:
        forms = (tf.identity, tf.identity)
    value, found = run(linear_attention, forms[0])
    expected, expected_found = run(by_differentiation, forms[1])
    np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-5)
    for gradient, other in zip(found, expected_found, strict=True):
        np.testing.assert_allclose(gradient, other, rtol=1e-4, atol=1e-5 * np.abs(other).max(initial=1.0))


def test_narrow_vectors_of_float32_rows_have_a_float32_gradient():
    rng = np.random.default_rng(3)
    rows, places = rng.normal(size=(6, 5)).astype(np.float32), tf.constant(rng.integers(0, 6, (2, 7)), tf.int32)
    queries, factors = rng.normal(size=(2, 3, 5)).astype(np.float32), tf.ones([2, 1, 7])
    (_, (_, narrow)), (_, (_, full)) = (
        gradients(lambda queries, rows, dtype=dtype: linear_attention(queries, gathered(rows, places, dtype),
                                                                      factors)[0], [queries, rows])
        for dtype in (tf.bfloat16, tf.float32))
    assert narrow.dtype == np.float32
    np.testing.assert_allclose(narrow, full, atol=0.02 * np.abs(full).max())
    assert not np.array_equal(narrow, full)
