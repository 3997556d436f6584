"""What tests of towers with hidden layers for each label have in common."""

import numpy as np
import tensorflow as tf

from lcn_tf.contracts import TowerSpec
from lcn_tf.schema import CLICK, Label

B, C, W = 2, 3, 7
LABELS = (CLICK, Label("long_stay", given="click"))
FACTS = TowerSpec(LABELS, None)
NAMES = tuple(label.name for label in LABELS)


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def randomised(tower, inputs):
    """Builds a tower and gives it random weights; name without the tower's and ":0" -> float64 value."""
    tower(inputs)
    for place, weight in enumerate(tower.weights):
        weight.assign(random(*weight.shape, seed=place + 1) / 2)
    return {weight.name.removeprefix(f"{tower.name}/").removesuffix(":0"): weight.numpy().astype(np.float64)
            for weight in tower.weights}


def relu(values):
    return np.maximum(values, 0)


def softmax(values):
    powers = np.exp(values - values.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def hidden_layers(inputs, weights, prefix, layers=1):
    for place in range(layers):
        inputs = relu(inputs @ weights[f"{prefix}/hidden_{place}/kernel"] + weights[f"{prefix}/hidden_{place}/bias"])
    return inputs


def expert(inputs, weights, prefix, number, units):
    """Of some experts the one with a number."""
    for place, width in enumerate(units):
        bias = weights[f"{prefix}/bias_{place}"].reshape(-1, width)[number]
        inputs = relu(inputs @ weights[f"{prefix}/kernel_{place}"][number] + bias)
    return inputs


def mixed(gate, experts):
    """Sum of experts, each `[B, C, U]`, weighted by the softmax of gate logits `[B, C, N]`."""
    weights = softmax(gate)
    return sum(weights[..., place, np.newaxis] * values for place, values in enumerate(experts))


def assert_same(found, expected):
    assert tuple(found) == NAMES
    for name in NAMES:
        np.testing.assert_allclose(found[name], expected[name], rtol=2e-5, atol=1e-5, err_msg=name)


def check_what_all_towers_have(build, config, replaced):
    """A copy of the configuration computes the same; options of dropout, norm and precision work."""
    inputs = random(B, C, W).astype(np.float32)
    tower = build(replaced(config, input_norm="layer", dropout=0.4, input_dropout=0.2, dropout_seed=3), FACTS)
    hidden = tower(inputs)
    assert {name: tuple(values.shape) for name, values in hidden.items()} == tower.compute_output_shape((B, C, W))
    copy = type(tower).from_config(tower.get_config())
    copy(inputs)
    copy.set_weights(tower.get_weights())
    for training in (False, True):
        assert_same(copy(inputs, training=training), tower(inputs, training=training))
    assert not np.allclose(tower(inputs, training=True)["click"], hidden["click"])
    assert all(tuple(weight.shape)[-1] == config.units[-1] for weight in tower.last_shared)
    mixed_tower = type(tower)(**{**tower.get_config(), "dtype": "mixed_bfloat16"})
    assert {values.dtype for values in mixed_tower(inputs).values()} == {tf.bfloat16}
    assert {weight.dtype for weight in mixed_tower.trainable_weights} == {tf.float32}
