"""The arithmetic of CRP's losses, apart from how pairs are drawn."""

import json
import math
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from lcn_tf.layers import crp
from tests import references
from tests.layers.batches import TOLERANCE

GOLDEN = json.loads((pathlib.Path(__file__).parents[1] / "golden" / "crp.json").read_text())
VECTOR, BOUNDS = GOLDEN["vectors"]["crp_loss"], GOLDEN["vectors"]["crp_loss_bounds"]
FIXTURE = GOLDEN["fixture"]["crp_loss"]
BOTH = tf.constant([True, True])


def golden_loss(positive_valid=BOTH, negative_valid=BOTH, **options):
    return crp.contrastive_loss(tf.constant(VECTOR["pos_cos"]), positive_valid, tf.constant(VECTOR["neg_cos"]),
                                negative_valid, VECTOR["tau"], **options).numpy()


def test_golden_cosines():
    for pairs, expected in ((VECTOR["pos_pairs"], VECTOR["pos_cos"]), (VECTOR["neg_pairs"], VECTOR["neg_cos"])):
        first, second = tf.unstack(tf.constant(pairs), axis=1)
        np.testing.assert_allclose(crp.cosine(first, second), expected, **TOLERANCE)


def test_golden_losses():
    rows, negatives = tf.constant(FIXTURE["row2_valid_mask"]), tf.constant(FIXTURE["neg2_valid_mask"])
    for key, loss in {
        "loss_printed": golden_loss(),
        "loss_inclusive": golden_loss(denominator="infonce"),
        "loss_row2_invalid_mean_over_valid": golden_loss(rows),
        "loss_row2_invalid_div_by_B": golden_loss(rows, reduce="batch_mean"),
        "loss_printed_neg2_masked_as_same_id": golden_loss(negative_valid=negatives),
        "loss_printed_logmeanexp": golden_loss() - math.log(2),
    }.items():
        np.testing.assert_allclose(loss, VECTOR[key], rtol=2e-5, err_msg=key)


def test_golden_inbatch():
    first, second = tf.unstack(tf.constant(VECTOR["pos_pairs"]), axis=1)
    cosines = tf.stack([crp.cosine(first[i][tf.newaxis], second) for i in range(2)])
    loss = crp.inbatch_loss(cosines, BOTH, tf.ones([2, 2], tf.bool), VECTOR["tau"])
    np.testing.assert_allclose(loss, VECTOR["loss_inbatch_anchored"], rtol=2e-5)


@pytest.mark.parametrize(("denominator", "positives", "negatives"), [
    ("negatives", "dL_dspos_printed", "dL_dsneg_printed"), ("infonce", "dL_dspos_inclusive", None)])
def test_golden_gradients(denominator, positives, negatives):
    cosines = [tf.constant(VECTOR["pos_cos"]), tf.constant(VECTOR["neg_cos"])]
    with tf.GradientTape() as tape:
        tape.watch(cosines)
        loss = crp.contrastive_loss(cosines[0], BOTH, cosines[1], BOTH, VECTOR["tau"], denominator)
    found = tape.gradient(loss, cosines)
    np.testing.assert_allclose(found[0], VECTOR[positives], **TOLERANCE)
    if negatives:
        np.testing.assert_allclose(found[1], VECTOR[negatives], **TOLERANCE)


@pytest.mark.parametrize(("positive", "negative", "temperature", "key"), [
    (1.0, -1.0, BOUNDS["tau"], "lower_bound"), (0.0, 0.0, BOUNDS["tau"], "value_all_cos_zero"),
    (1.0, 0.0, BOUNDS["tau"], "value_pos1_neg0"), (1.0, -1.0, 1.0, "lower_bound_tau1")])
def test_golden_bounds(positive, negative, temperature, key):
    loss = crp.contrastive_loss(tf.fill([3], positive), tf.ones([3], tf.bool), tf.fill([BOUNDS["M"]], negative),
                                tf.ones([BOUNDS["M"]], tf.bool), temperature)
    np.testing.assert_allclose(loss, BOUNDS[key], rtol=2e-5)


@given(st.integers(0, 10**6), st.sampled_from(["negatives", "infonce"]), st.sampled_from(crp.CRP_REDUCTIONS),
       st.sampled_from([0.05, 0.5, 1.0]), st.floats(0.0, 1.0))
def test_values_and_gradients_match_the_loops(seed, denominator, reduce, temperature, share):
    rng = np.random.default_rng(seed)
    exact = [rng.uniform(-1, 1, 5), rng.uniform(-1, 1, 11)]
    positive_valid, negative_valid = rng.random(5) < share, rng.random(11) < share

    def reference(point):
        return references.contrastive_loss(point[0], positive_valid, point[1], negative_valid, temperature, denominator,
                                           reduce)

    cosines = [tf.constant(values, tf.float32) for values in exact]
    with tf.GradientTape() as tape:
        tape.watch(cosines)
        loss = crp.contrastive_loss(cosines[0], tf.constant(positive_valid), cosines[1], tf.constant(negative_valid),
                                    temperature, denominator, reduce)
    np.testing.assert_allclose(loss, reference(exact), rtol=1e-5, atol=1e-5)
    for index, gradient in enumerate(tape.gradient(loss, cosines)):
        for place in range(len(exact[index])):
            direction = [np.zeros(5), np.zeros(11)]
            direction[index][place] = 1.0
            expected = references.directional_derivative(reference, exact, direction)
            np.testing.assert_allclose(gradient[place], expected, rtol=1e-3, atol=1e-5)


@given(st.integers(0, 10**6), st.sampled_from(crp.CRP_REDUCTIONS), st.floats(0.0, 1.0))
def test_inbatch_matches_the_loops(seed, reduce, share):
    rng = np.random.default_rng(seed)
    cosines = rng.uniform(-1, 1, (5, 5))
    positive_valid, negative_valid = rng.random(5) < share, rng.random((5, 5)) < share
    loss = crp.inbatch_loss(tf.constant(cosines, tf.float32), tf.constant(positive_valid), tf.constant(negative_valid),
                            0.3, reduce)
    expected = references.inbatch_loss(cosines, positive_valid, negative_valid, 0.3, reduce)
    np.testing.assert_allclose(loss, expected, rtol=1e-5, atol=1e-6)


def test_no_valid_pair_gives_zero_and_zero_gradients():
    none = tf.constant([False, False])
    for denominator in ("negatives", "infonce"):
        for positive_valid, negative_valid in ((none, BOTH), (BOTH, none), (none, none)):
            cosines = [tf.constant(VECTOR["pos_cos"]), tf.constant(VECTOR["neg_cos"])]
            with tf.GradientTape() as tape:
                tape.watch(cosines)
                loss = crp.contrastive_loss(cosines[0], positive_valid, cosines[1], negative_valid, 0.1, denominator)
            assert loss.numpy() == 0
            assert all((gradient.numpy() == 0).all() for gradient in tape.gradient(loss, cosines))


def test_cosine_of_zero_vectors_is_finite():
    first, second = tf.zeros([2, 3]), tf.constant([[0.0, 0.0, 0.0], [1.0, 2.0, 3.0]])
    with tf.GradientTape() as tape:
        tape.watch([first, second])
        value = crp.cosine(first, second)
        total = tf.reduce_sum(value)
    assert value.numpy().tolist() == [0.0, 0.0]
    assert all(np.isfinite(gradient.numpy()).all() for gradient in tape.gradient(total, [first, second]))
    assert crp.cosine(tf.ones([1, 3], tf.bfloat16), tf.ones([1, 3], tf.bfloat16)).dtype == tf.float32


def test_inbatch_has_its_own_function():
    with pytest.raises(ValueError, match="use inbatch_loss"):
        golden_loss(denominator="inbatch")
