"""ESMM against numpy: the product of probabilities, on all candidates."""

import numpy as np
import pytest
import tensorflow as tf

from lcn_tf.heads import esmm
from lcn_tf.ops.label_terms import product_logit
from lcn_tf.schema import CLICK, Label

B, C, U = 2, 3, 5
LABELS = (CLICK, Label("long_stay", given="click"), Label("gift", given="long_stay"), Label("liked"))
CLICKED = np.array([[1, 0, 1], [1, 1, 0]], np.float32)
STAYED = np.array([[1, 0, 0], [1, 1, 0]], np.float32)
GAVE = np.array([[0, 0, 0], [1, 0, 0]], np.float32)
LIKED = np.array([[0, 1, 0], [1, 0, 1]], np.float32)
VALUES = {"click": CLICKED, "long_stay": STAYED, "gift": GAVE, "liked": LIKED}
MASK = np.array([[True, True, True], [True, True, False]])


def sigmoid(logit):
    return 1 / (1 + np.exp(-np.asarray(logit, np.float64)))


@pytest.mark.parametrize("by_label", [False, True])
def test_losses_are_of_products_and_logits_of_the_label_given_the_other(by_label):
    head = esmm.build(esmm.Config(weights=(1.0, 0.5, 0.25, 2.0)), LABELS)
    rng = np.random.default_rng(1)
    hidden = {label.name: rng.normal(size=(B, C, U)).astype(np.float32) for label in LABELS}
    logits = head(hidden if by_label else hidden["click"])
    for name, logit in logits.items():
        kernel, bias = head.logits[name].get_weights()
        read = hidden[name if by_label else "click"]
        np.testing.assert_allclose(logit, (read @ kernel + bias)[..., 0], rtol=2e-5, atol=1e-6)

    assert head.terms == {"ctr_loss": 1.0, "long_stay_loss": 0.5, "gift_loss": 0.25, "liked_loss": 2.0}
    targets, counted = head.targets(logits, VALUES), head.counted(VALUES, tf.constant(MASK))
    given = {name: sigmoid(logit) for name, logit in logits.items()}
    stay = given["click"] * given["long_stay"]
    for term, label, probability in (("ctr_loss", CLICKED, given["click"]), ("long_stay_loss", STAYED, stay),
                                     ("gift_loss", GAVE, stay * given["gift"]), ("liked_loss", LIKED, given["liked"])):
        np.testing.assert_array_equal(counted[term], MASK)
        np.testing.assert_array_equal(targets[term][0], label)
        np.testing.assert_allclose(sigmoid(targets[term][1]), probability, rtol=2e-5, err_msg=term)


def test_the_products_logit_is_exact_at_both_ends():
    first, second = (tf.constant(values) for values in ([90.0, -90.0, 40.0, 0.0], [95.0, 80.0, -60.0, 0.0]))
    with tf.GradientTape() as tape:
        tape.watch([first, second])
        found = product_logit(first, second)
        loss = tf.reduce_sum(tf.nn.sigmoid_cross_entropy_with_logits(tf.zeros(4), found))
    np.testing.assert_allclose(found, [90 - np.log1p(np.exp(-5)), -90, -60, -np.log(3)], rtol=1e-6)
    for gradient in tape.gradient(loss, [first, second]):
        assert np.isfinite(gradient).all() and np.any(gradient)


@pytest.mark.parametrize("labels, weights, message", [
    ((CLICK,), (), "model.head=esmm needs a schema of two labels or more, got click"),
    ((CLICK, Label("liked")), (), "model.head=esmm needs a label that is given another, got click, liked"),
    (LABELS[:2], (1.0,), "esmm.weights needs a weight for each of the labels click, long_stay, got 1"),
])
def test_bad_arguments(labels, weights, message):
    with pytest.raises(ValueError, match=message):
        esmm.build(esmm.Config(weights), labels)
    with pytest.raises(ValueError, match="esmm.weights must be positive"):
        esmm.Config(weights=(1.0, 0.0))
