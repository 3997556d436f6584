"""MESI against numpy: products by behaviour, one gate for all labels."""

import numpy as np
import pytest
import tensorflow as tf

from lcn_tf.contracts import TowerInputs
from lcn_tf.heads import mesi
from lcn_tf.schema import CLICK, Label

B, C, D, U = 2, 3, 7, 5
WIDTHS = {"short_target": 4, "short_source": 6, "lifelong_source": 11}
LABELS = (CLICK, Label("long_stay", given="click"))


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def tower_inputs(empty=()):
    interests = {name: random(B, C, width, seed=width) * (name not in empty) for name, width in WIDTHS.items()}
    return TowerInputs({}, random(B, C, D, seed=1), {}, {name: tf.constant(values) for name, values in
                                                         interests.items()}, None)


def dense(layer, values):
    kernel, *bias = (weight.numpy().astype(np.float64) for weight in layer.weights)
    return values @ kernel + (bias[0] if bias else 0)


@pytest.mark.parametrize("by_label", [False, True])
def test_equals_the_equation(by_label):
    head, inputs = mesi.build(mesi.Config(width=8, scale=3.0), LABELS), tower_inputs(empty=("short_source",))
    hidden = {label.name: random(B, C, U, seed=2 + place) for place, label in enumerate(LABELS)}
    read = hidden if by_label else hidden["click"]
    head(read, inputs)
    for place, weight in enumerate(head.weights):
        weight.assign(random(*weight.shape, seed=place) / 2)
    candidate = np.asarray(inputs.candidate, np.float64)
    items = np.split(dense(head.products.items, candidate), 3, -1)
    products = [dense(head.products.users[name], np.asarray(inputs.interests[name], np.float64)) * item
                for name, item in zip(WIDTHS, items, strict=True)]
    assert not products[1].any()  # of an empty history
    for label, logit in head(read, inputs).items():
        user = dense(head.users[label], (hidden[label] if by_label else read).astype(np.float64))
        item = dense(head.items[label], candidate)
        gate = np.exp(dense(head.gated.gate, np.concatenate([user, item], -1)))
        gate /= gate.sum(-1, keepdims=True)
        mixed = sum(gate[..., place, np.newaxis] * values for place, values in enumerate([*products, user]))
        np.testing.assert_allclose(logit, 3.0 * mixed.sum(-1) + head.biases[label].numpy(), rtol=2e-5, atol=1e-4)


def test_a_label_that_is_given_another_counts_where_that_is_1():
    head, clicked = mesi.build(mesi.Config(), LABELS), tf.constant([[1.0, 0.0, 1.0]])
    mask = tf.constant([[True, True, False]])
    counted = head.counted({"click": clicked, "long_stay": clicked}, mask)
    assert counted["ctr_loss"].numpy().tolist() == [[True, True, False]]
    assert counted["long_stay_loss"].numpy().tolist() == [[True, False, False]]


def test_gates_and_logits_are_float32_in_mixed_precision():
    head = mesi.MESIHead(mesi.Config(width=8), LABELS, dtype="mixed_bfloat16")
    logits = head(tf.cast(random(B, C, U), tf.bfloat16), tower_inputs())
    assert {logit.dtype for logit in logits.values()} == {weight.dtype for weight in head.weights} == {tf.float32}


@pytest.mark.parametrize("options, message", [
    ({"width": 0}, "mesi.width must be at least 1, got 0"), ({"scale": 0.0}, "mesi.scale must be a positive number"),
    ({"weights": (-1.0,)}, "mesi.weights must be positive")])
def test_bad_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        mesi.Config(**options)
