"""The hidden layers against numpy, and what padded candidates may not do."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from lcn_tf.contracts import TowerSpec
from lcn_tf.schema import CLICK
from lcn_tf.towers import mlp
from lcn_tf.towers.mlp import MLPTower

B, C, W = 2, 3, 7
UNITS = (11, 5)
NORMS = ("none", "layer", "batch")


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def reference(inputs, weights):
    """Dense layers with ReLU, row by row."""
    hidden = inputs
    for kernel, bias in zip(weights[::2], weights[1::2], strict=True):
        hidden = np.maximum(np.einsum("bcw,wu->bcu", hidden, kernel) + bias, 0.0)
    return hidden


def test_equals_dense_layers_with_relu():
    tower, inputs = MLPTower(UNITS), random(B, C, W)
    hidden = tower(inputs)
    weights = [weight.numpy() for weight in tower.weights]
    assert [weight.shape for weight in weights] == [(7, 11), (11,), (11, 5), (5,)]
    assert hidden.shape == tower.compute_output_shape((B, C, W)) == (B, C, 5)
    np.testing.assert_allclose(hidden, reference(inputs, weights), rtol=2e-5, atol=1e-6)


def test_defaults_are_the_papers():
    assert mlp.Config() == mlp.Config(units=(256, 128), input_norm="none", activation="relu")
    assert all(field.metadata["help"] for field in dataclasses.fields(mlp.Config))
    assert mlp.build(mlp.Config(units=(13,)), TowerSpec((CLICK,), None)).units == (13,)


def test_activation():
    tower, inputs = MLPTower((5,), activation="tanh"), random(B, C, W)
    hidden = tower(inputs)
    kernel, bias = (weight.numpy() for weight in tower.weights)
    np.testing.assert_allclose(hidden, np.tanh(inputs @ kernel + bias), rtol=2e-5, atol=1e-6)


def test_layer_norm_normalises_each_candidate():
    tower, inputs = MLPTower(UNITS, "layer"), 5.0 + 3.0 * random(B, C, W)
    hidden = tower(inputs)
    normalized = inputs - inputs.mean(-1, keepdims=True)
    normalized /= np.sqrt(inputs.var(-1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(hidden, reference(normalized, [weight.numpy() for weight in tower.weights[2:]]),
                               rtol=1e-4, atol=1e-5)


def test_batch_norm_uses_real_candidates_only():
    tower, inputs = MLPTower(UNITS, "batch"), 5.0 + 3.0 * random(B, C, W)
    mask = np.array([[True, True, False], [True, False, False]])
    hidden = tower(inputs, mask=mask, training=True).numpy()
    real = inputs[mask]
    normalized = (inputs - real.mean(0)) / np.sqrt(real.var(0) + 1e-3)
    weights = [weight.numpy() for weight in tower.trainable_weights[2:]]
    np.testing.assert_allclose(hidden[mask], reference(normalized, weights)[mask], rtol=1e-4, atol=1e-5)
    moving = sorted((weight.numpy() for weight in tower.non_trainable_weights if weight.shape == (W,)),
                    key=lambda value: abs(value - 0.01 * real.mean(0)).sum())
    assert len(moving) == 2
    np.testing.assert_allclose(moving[0], 0.01 * real.mean(0), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(moving[1], 0.99 + 0.01 * real.var(0), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("norm", NORMS)
@given(seed=st.integers(0, 2**16), scale=st.sampled_from([0.0, 1.0, 1e3]), training=st.booleans())
def test_padded_candidates_change_nothing(norm, seed, scale, training):
    mask = np.array([[True, True, False], [False, True, False]])
    inputs = random(B, C, W, seed=seed)
    other = np.where(mask[..., np.newaxis], inputs, scale * random(B, C, W, seed=seed + 1))
    results = []
    for values in (inputs, other):
        tower = MLPTower(UNITS, norm)
        tower.build((B, C, W))
        for index, weight in enumerate(tower.trainable_weights):
            weight.assign(random(*weight.shape, seed=index))
        values = tf.constant(values)
        with tf.GradientTape() as tape:
            tape.watch(values)
            hidden = tower(values, mask=tf.constant(mask), training=training)
            loss = tf.reduce_sum(tf.boolean_mask(hidden, mask) ** 2)
        gradient = tape.gradient(loss, values).numpy()
        assert np.all(gradient[~mask] == 0.0)
        results.append([hidden.numpy()[mask], gradient[mask], *(weight.numpy() for weight in tower.weights)])
    for one, two in zip(*results, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("norm", NORMS)
def test_candidates_of_one_request_equal_requests_of_one_candidate(norm):
    tower, inputs = MLPTower(UNITS, norm), random(B, C, W)
    hidden = tower(inputs).numpy()
    separate = tower(inputs.reshape(B * C, 1, W)).numpy().reshape(B, C, 5)
    np.testing.assert_allclose(separate, hidden, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("norm", NORMS)
def test_the_configuration_rebuilds_the_layer(norm):
    tower = MLPTower(UNITS, norm, "gelu", 0.3, 0.4, 5, name="tower")
    copy = MLPTower.from_config(tower.get_config())
    inputs = random(B, C, W)
    copy(inputs), tower(inputs)
    copy.set_weights(tower.get_weights())
    np.testing.assert_array_equal(copy(inputs), tower(inputs))
    np.testing.assert_array_equal(copy(inputs, training=True), tower(inputs, training=True))


@pytest.mark.parametrize("norm", NORMS)
def test_mixed_precision(norm):
    tower = MLPTower(UNITS, norm, dtype="mixed_bfloat16")
    hidden = tower(random(B, C, W), mask=np.ones((B, C), bool), training=True)
    assert hidden.dtype == tf.bfloat16
    assert np.all(np.isfinite(tf.cast(hidden, tf.float32)))
    assert {tf.as_dtype(weight.dtype) for weight in tower.weights if "seed" not in weight.name} == {tf.float32}


def dropped(values, rate, seed, step):
    """Inverted dropout with the mask of a seed and a step."""
    keep = tf.random.stateless_uniform(values.shape, [seed, step]).numpy() >= rate
    return np.where(keep, values / (1 - rate), 0.0)


def test_dropout_masks_the_input_and_every_hidden_layer_in_training_alone():
    tower, plain = MLPTower(UNITS, dropout=0.6, input_dropout=0.3, dropout_seed=7), MLPTower(UNITS)
    inputs = random(B, C, W)
    plain(inputs), tower(inputs)
    kernels = [random(*weight.shape, seed=index) for index, weight in enumerate(tower.trainable_weights)]
    plain.set_weights(kernels)
    for weight, kernel in zip(tower.trainable_weights, kernels, strict=True):
        weight.assign(kernel)
    np.testing.assert_array_equal(tower(inputs, training=False), plain(inputs, training=True))
    for step in range(2):
        expected = dropped(inputs, 0.3, 7 + 2**32, step)
        for place, (kernel, bias) in enumerate(zip(kernels[::2], kernels[1::2], strict=True), 2):
            expected = dropped(reference(expected, [kernel, bias]), 0.6, 7 + place * 2**32, step)
        np.testing.assert_allclose(tower(inputs, training=True), expected, rtol=2e-5, atol=1e-6)
    assert len(plain.weights) == 4 and not any("dropout" in layer.name for layer in plain.submodules)


@pytest.mark.parametrize(("change", "message"), [
    ({"dropout": 1.0}, r"tower.dropout must be in \[0, 1\), got 1.0"),
    ({"dropout": float("nan")}, "tower.dropout must be"),
    ({"input_dropout": -0.1}, r"tower.input_dropout must be in \[0, 1\), got -0.1")])
def test_impossible_rates_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        mlp.Config(**change)
    with pytest.raises(ValueError, match=r"rate must be in \[0, 1\)"):
        MLPTower(**change)


@pytest.mark.parametrize(("arguments", "message"), [
    ({"units": ()}, r"units must be .* got \(\)"),
    ({"units": (3, 0)}, r"got \(3, 0\)"),
    ({"input_norm": "group"}, "input_norm must be one of .*'batch'.* got 'group'"),
    ({"activation": "relu7"}, "activation must be one of .* got 'relu7'"),
])
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        MLPTower(**arguments)
