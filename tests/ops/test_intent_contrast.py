import json
import math
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from lcn_tf.ops.intent_contrast import confident, seq2item_loss, seq2seq_loss
from tests.layers.batches import TOLERANCE

GOLDEN = json.loads((pathlib.Path(__file__).parents[1] / "golden" / "objectives.json").read_text())
NUMBERS, FIXTURE = GOLDEN["vectors"]["intents"], GOLDEN["fixture"]["intents"]


def test_golden_intents():
    past, future, items = (tf.constant(FIXTURE[name]) for name in ("phi", "psi", "next"))
    others = tf.constant([[-math.inf, 0.0], [0.0, -math.inf]])
    np.testing.assert_allclose(seq2item_loss(past, items, items, others), NUMBERS["item_per_row"], **TOLERANCE)
    losses = seq2seq_loss(past, future, future, others)
    np.testing.assert_allclose(losses, NUMBERS["sequence_per_row"], **TOLERANCE)
    kept = confident(losses, losses, tf.ones([2]), FIXTURE["keep"])
    np.testing.assert_allclose(tf.reduce_mean(tf.boolean_mask(losses, kept)), NUMBERS["mean_of_kept"], **TOLERANCE)


@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_the_smallest_losses_count_whoever_has_them(share):
    rng = np.random.default_rng(3)
    every, weights = rng.random((7, 3)).astype("float32"), np.array([1, 0, 2, 1, 1, 3, 0], "float32")
    copies = np.sort(np.repeat(every, weights.astype(int), axis=0).ravel())
    count = math.floor(share * copies.size)
    kept = confident(tf.constant(every[2:5]), tf.constant(every), tf.constant(weights), share)
    np.testing.assert_array_equal(kept, every[2:5] <= (copies[count - 1] if count else -1.0))


def test_of_no_rows_none_is_kept():
    assert not confident(tf.zeros([2, 3]), tf.zeros([2, 3]), tf.zeros([2]), 0.5).numpy().any()
    assert confident(tf.zeros([0, 3]), tf.zeros([0, 3]), tf.zeros([0]), 0.5).shape == (0, 3)


def test_a_row_without_others_is_told_from_its_own_intents_alone():
    past = tf.constant([[[1.0, 0.0], [0.0, 1.0]]])
    alone = tf.fill([1, 1], -math.inf)
    with tf.GradientTape() as tape:
        tape.watch(past)
        loss = seq2item_loss(past, past[:, 0], past[:, 1], alone)
    scale = math.sqrt(2.0)
    np.testing.assert_allclose(loss, [math.log(math.exp(1 / scale) + 1.0) - 1 / scale], rtol=1e-5)
    assert np.isfinite(tape.gradient(loss, past)).all()
