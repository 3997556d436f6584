import json
import math
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from lcn_tf.ops import sampled_softmax
from tests import references_objectives
from tests.layers.batches import TOLERANCE, assert_matches_reference

GOLDEN = json.loads((pathlib.Path(__file__).parents[1] / "golden" / "objectives.json").read_text())
VECTORS, FIXTURE = GOLDEN["vectors"], GOLDEN["fixture"]
ALL = tf.ones([2, 2], tf.bool)


def unit(vectors):
    return tf.math.l2_normalize(tf.constant(vectors), axis=-1)


def test_golden_sampled_softmax():
    fixture = FIXTURE["sampled_softmax"]
    log_q = tf.math.log(tf.constant(fixture["q"]))
    for key, mask, options in (
            ("ce", [True, True], {}), ("ce_tau_0_5", [True, True], {"temperature": 0.5}),
            ("ce_accidental_neg1_masked", [False, True], {}),
            ("ce_logq", [True, True], {"positive_log_q": log_q[:1], "negative_log_q": log_q[1:]})):
        loss = sampled_softmax.sampled_softmax_loss(
            tf.constant([fixture["h"]]), tf.constant([fixture["positive"]]), tf.constant(fixture["negatives"]),
            tf.constant(mask), **options)
        np.testing.assert_allclose(loss, [VECTORS["sampled_softmax"][key]], **TOLERANCE, err_msg=key)


def test_golden_queue():
    fixture = FIXTURE["queue"]
    for key, mask in (("loss_all", [True] * 3), ("loss_mask_same_id_queue2", np.logical_not(fixture["same_id_queue"]))):
        loss = sampled_softmax.sampled_softmax_loss(unit([fixture["u"]]), unit([fixture["v"]]), unit(fixture["queue"]),
                                                    tf.constant(mask), fixture["tau"])
        np.testing.assert_allclose(loss, [VECTORS["queue"][key]], **TOLERANCE, err_msg=key)


def test_golden_inbatch():
    views, pairs = FIXTURE["two_views_of_items"], FIXTURE["users_and_items"]
    loss = sampled_softmax.inbatch_softmax_loss(unit(views["z"]), unit(views["z_prime"]), ALL, views["tau"])
    np.testing.assert_allclose(np.mean(loss), VECTORS["two_views_of_items"]["ssl_loss"], **TOLERANCE)
    users, items = tf.constant(pairs["U"]), tf.constant(pairs["V"])
    for key, sides in (("u2i", (users, items)), ("i2u", (items, users))):
        loss = sampled_softmax.inbatch_softmax_loss(*sides, ALL, pairs["tau"])
        np.testing.assert_allclose(np.mean(loss), VECTORS["users_and_items"][key], **TOLERANCE, err_msg=key)


def test_golden_two_views_of_rows():
    first, second = (tf.constant(FIXTURE["two_views_of_rows"][name]) for name in ("z1", "z2"))
    views, partners = tf.concat([first, second], 0), tf.concat([second, first], 0)
    loss = sampled_softmax.sampled_softmax_loss(views, partners, views, ~tf.tile(tf.eye(2, dtype=tf.bool), [2, 2]))
    np.testing.assert_allclose(loss, VECTORS["two_views_of_rows"]["per_row"], **TOLERANCE)


@given(st.integers(0, 10**6), st.booleans(), st.sampled_from([0.1, 1.0, 2.0]), st.sampled_from([0.0, 0.6, 1.0]))
def test_values_and_gradients_are_the_oracle_s(seed, own, temperature, share):
    rng = np.random.default_rng(seed)
    negatives = rng.normal(size=(5, 7, 3) if own else (7, 3)).astype(np.float32)
    mask = rng.random((5, 7)) < share
    inputs = [rng.normal(size=(5, 3)).astype(np.float32) for _ in range(2)]
    inputs += [negatives, rng.normal(size=5).astype(np.float32), rng.normal(size=7).astype(np.float32)]

    def reference(queries, positives, negatives, positive_log_q, negative_log_q):
        return np.array([references_objectives.sampled_softmax(
            queries[m], positives[m], negatives[m] if own else negatives, mask[m], temperature, positive_log_q[m],
            negative_log_q) for m in range(5)])

    def loss(queries, positives, negatives, *log_q):
        return sampled_softmax.sampled_softmax_loss(queries, positives, negatives, mask, temperature, *log_q)

    assert_matches_reference(loss, reference, inputs, seed)


def test_masked_negatives_have_no_influence_and_a_query_without_any_loses_nothing():
    queries = tf.constant([[1.0, 0.5], [2.0, 1.0]])
    positives = tf.Variable([[1.0, 0.0], [0.0, 1.0]])
    negatives = tf.Variable([[0.0, 1.0], [1e30, -1e30]])
    with tf.GradientTape() as tape:
        loss = sampled_softmax.sampled_softmax_loss(queries, positives, negatives,
                                                    tf.constant([[True, False], [False, False]]))
    by_positive, by_negative = tape.gradient(loss, [positives, negatives])
    np.testing.assert_allclose(loss, [math.log(1 + math.exp(-0.5)), 0.0], rtol=1e-6)
    assert (by_negative[1].numpy() == 0).all() and (by_positive[1].numpy() == 0).all()
    none = sampled_softmax.sampled_softmax_loss(queries, positives, negatives[:0], tf.zeros([0], tf.bool))
    assert none.numpy().tolist() == [0.0, 0.0]


def test_half_precision_is_computed_in_float32():
    vectors = tf.constant([[200.0, 3.0]], tf.float16)
    loss = sampled_softmax.sampled_softmax_loss(vectors, vectors, -vectors, tf.constant([True]), 0.01)
    assert loss.dtype == tf.float32 and loss.numpy().tolist() == [0.0]
    loss = sampled_softmax.sampled_softmax_loss(vectors, -vectors, vectors, tf.constant([True]), 0.01)
    np.testing.assert_allclose(loss, [2 * 40009 / 0.01], rtol=1e-6)


def test_accidental_hits_are_equal_in_every_field():
    positives = {"brand": tf.constant([3, 3]), "category": tf.constant([5, 6])}
    shared = {"brand": tf.constant([3, 3, 4]), "category": tf.constant([6, 5, 5])}
    assert sampled_softmax.accidental_hits(positives, shared).numpy().tolist() == [
        [False, True, False], [True, False, False]]
    own = {field: tf.stack([values, values[::-1]]) for field, values in shared.items()}
    assert sampled_softmax.accidental_hits(positives, own).numpy().tolist() == [
        [False, True, False], [False, False, True]]
    with pytest.raises(ValueError, match=r"same fields, at least one, got \['brand', 'category'\] and \['brand'\]"):
        sampled_softmax.accidental_hits(positives, {"brand": shared["brand"]})


def test_draw_rates_are_those_of_whole_items_among_the_draws_that_count():
    drawn = {"brand": tf.constant([3, 3, 4, 3, 4]), "category": tf.constant([5, 6, 5, 5, 5])}
    items = {"brand": tf.constant([3, 3, 4, 9]), "category": tf.constant([5, 6, 5, 9])}
    mask = tf.constant([True, True, True, True, False])
    rates = np.exp(sampled_softmax.log_draw_rate(items, drawn, mask))
    np.testing.assert_allclose(rates, [0.6, 0.4, 0.4, 0.2], rtol=1e-6)
    nothing = sampled_softmax.log_draw_rate(items, drawn, tf.zeros([5], tf.bool))
    assert nothing.numpy().tolist() == [0.0] * 4


def test_options_are_checked():
    vectors, mask = tf.ones([1, 2]), tf.ones([1], tf.bool)
    with pytest.raises(ValueError, match="temperature must be above 0, got 0"):
        sampled_softmax.sampled_softmax_loss(vectors, vectors, vectors, mask, 0.0)
    with pytest.raises(ValueError, match="must be given both or neither"):
        sampled_softmax.sampled_softmax_loss(vectors, vectors, vectors, mask, positive_log_q=tf.ones([1]))
