"""Cross layers against numpy."""

import os

import numpy as np
import pytest
import tensorflow as tf

if os.environ.get("TF_USE_LEGACY_KERAS") != "1":
    pytest.skip("tensorflow-recommenders needs Keras 2", allow_module_level=True)

from lcn_tf.contracts import TowerSpec
from lcn_tf.schema import CLICK
from lcn_tf.towers import cross
from lcn_tf.towers.cross import CrossTower

B, C, W = 2, 3, 7
UNITS = (11, 5)


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("rank", [None, 2])
def test_equals_the_equation(rank):
    tower, inputs = CrossTower(2, rank, UNITS), random(B, C, W)
    hidden = tower(inputs)
    weights = {weight.name: random(*weight.shape, seed=index) for index, weight in enumerate(tower.weights)}
    tower.set_weights(list(weights.values()))
    assert hidden.shape == tower.compute_output_shape((B, C, W)) == (B, C, 5)

    values = iter(weights.values())
    crossed = inputs
    for _ in range(2):
        kernel = next(values) if rank is None else next(values) @ next(values)
        crossed = inputs * (crossed @ kernel + next(values)) + crossed
    for _ in UNITS:
        crossed = np.maximum(crossed @ next(values) + next(values), 0.0)
    assert next(values, None) is None
    np.testing.assert_allclose(tower(inputs), crossed, rtol=1e-4, atol=1e-3)


def test_batch_norm_comes_before_the_crosses_and_knows_the_mask():
    inputs, mask = random(B, C, W), np.array([[True, True, False], [False, True, False]])
    tower = CrossTower(1, 2, UNITS, "batch")
    hidden = tower(inputs, mask=mask, training=True).numpy()
    other = np.where(mask[..., np.newaxis], inputs, 1e3)
    np.testing.assert_allclose(tower(other, mask=mask, training=True).numpy()[mask], hidden[mask], rtol=1e-4, atol=1e-5)
    normalized = (inputs - inputs[mask].mean(0)) / np.sqrt(inputs[mask].var(0) + 1e-3)
    plain = CrossTower(1, 2, UNITS)
    plain(inputs)
    plain.set_weights([weight.numpy() for weight in tower.trainable_weights if "input_norm" not in weight.name])
    np.testing.assert_allclose(plain(normalized).numpy()[mask], hidden[mask], rtol=1e-4, atol=1e-5)


def test_dropout_comes_before_the_crosses_and_after_the_hidden_layers():
    tower, plain = CrossTower(1, 2, UNITS, dropout=0.6, input_dropout=0.3, dropout_seed=7), CrossTower(1, 2, UNITS)
    inputs = random(B, C, W)
    plain(inputs), tower(inputs)
    for weight, other in zip(tower.trainable_weights, plain.trainable_weights, strict=True):
        other.assign(weight)
    np.testing.assert_array_equal(tower(inputs), plain(inputs, training=True))
    hidden = np.where(tf.random.stateless_uniform(inputs.shape, [7 + 2**32, 0]) >= 0.3, inputs / 0.7, 0)
    values = iter(weight.numpy() for weight in plain.trainable_weights)
    hidden = hidden * (hidden @ next(values) @ next(values) + next(values)) + hidden
    for place in (2, 3):
        hidden = np.maximum(hidden @ next(values) + next(values), 0.0) / 0.4
        hidden = np.where(tf.random.stateless_uniform(hidden.shape, [7 + place * 2**32, 0]) >= 0.6, hidden, 0)
    np.testing.assert_allclose(tower(inputs, training=True), hidden, rtol=1e-4, atol=1e-4)


def test_configuration():
    tower = cross.build(cross.Config(units=UNITS, num_layers=3, projection_dim=None, input_norm="layer", dropout=0.2,
                                     input_dropout=0.4, dropout_seed=3), TowerSpec((CLICK,), None))
    inputs = random(B, C, W)
    hidden = tower(inputs)
    copy = CrossTower.from_config(tower.get_config())
    copy(inputs)
    copy.set_weights(tower.get_weights())
    np.testing.assert_array_equal(copy(inputs), hidden)
    np.testing.assert_array_equal(copy(inputs, training=True), tower(inputs, training=True))
    assert sum("cross_" in weight.name and "kernel" in weight.name for weight in tower.weights) == 3


def test_mixed_precision():
    tower = CrossTower(2, 2, UNITS, "layer", dtype="mixed_bfloat16")
    hidden = tower(random(B, C, W))
    assert hidden.dtype == tf.bfloat16
    assert {weight.dtype for weight in tower.weights} == {tf.float32}


@pytest.mark.parametrize(("arguments", "message"), [
    ({"num_layers": 0}, "num_layers must be at least 1, got 0"),
    ({"projection_dim": 0}, "projection_dim must be at least 1 or None, got 0"),
    ({"units": ()}, "units must be"),
    ({"dropout": 1.5}, "dropout rate must be in"),
    ({"input_dropout": 1.0}, "dropout rate must be in"),
    ({"input_norm": "group"}, "input_norm must be one of"),
])
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        CrossTower(**arguments)
