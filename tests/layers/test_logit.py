"""One logit per candidate."""

import numpy as np
import pytest
import tensorflow as tf

from lcn_tf.layers.logit import Logit

B, C, U = 2, 3, 7


def hidden(batch=B, candidates=C):
    return np.random.default_rng(0).normal(size=(batch, candidates, U)).astype(np.float32)


@pytest.mark.parametrize(("batch", "candidates"), [(B, C), (1, 1), (1, C), (B, 1)])
def test_equals_the_inner_product(batch, candidates):
    head = Logit()
    logit = head(hidden(batch, candidates))
    head.set_weights([np.arange(U, dtype=np.float32)[:, np.newaxis], np.array([0.5], np.float32)])
    assert logit.shape == head.compute_output_shape((batch, candidates, U)) == (batch, candidates)
    expected = hidden(batch, candidates) @ np.arange(U, dtype=np.float32) + 0.5
    np.testing.assert_allclose(head(hidden(batch, candidates)), expected, rtol=2e-5, atol=1e-5)


def test_logits_are_float32_under_mixed_precision():
    logit = Logit(dtype="mixed_bfloat16")(tf.cast(hidden(), tf.bfloat16))
    assert logit.dtype == tf.float32


def test_the_configuration_rebuilds_the_layer():
    head = Logit(name="click")
    copy = Logit.from_config(head.get_config())
    head(hidden()), copy(hidden())
    copy.set_weights(head.get_weights())
    np.testing.assert_array_equal(copy(hidden()), head(hidden()))
