import numpy as np
import pytest
import tensorflow as tf

from lcn_tf.layers import StatelessDropout


def test_inference_changes_nothing():
    inputs = tf.random.stateless_normal([3, 5], [1, 2])
    for training in (None, False):
        np.testing.assert_array_equal(StatelessDropout(0.5)(inputs, training=training), inputs)


def test_share_and_scale():
    outputs = StatelessDropout(0.3, seed=7)(tf.ones([100, 101]), training=True).numpy()
    assert set(np.round(np.unique(outputs), 5)) == {0.0, np.float32(np.round(1 / 0.7, 5))}
    assert abs((outputs == 0).mean() - 0.3) < 0.02


def test_masks_change_by_step_and_continue_from_a_checkpoint(tmp_path):
    inputs = tf.ones([7, 11])
    layer = StatelessDropout(0.5, seed=3)
    masks = [layer(inputs, training=True).numpy() for _ in range(2)]
    assert (masks[0] != masks[1]).any()
    path = tf.train.Checkpoint(layer=layer).write(str(tmp_path / "checkpoint"))
    expected = layer(inputs, training=True).numpy()
    resumed = StatelessDropout(0.5, seed=3)
    tf.train.Checkpoint(layer=resumed).read(path).assert_consumed()
    np.testing.assert_array_equal(resumed(inputs, training=True), expected)
    assert (StatelessDropout(0.5, seed=4)(inputs, training=True).numpy() != masks[0]).any()


def test_rate_is_checked():
    with pytest.raises(ValueError, match=r"dropout rate must be in \[0, 1\), got 1.0"):
        StatelessDropout(1.0)
