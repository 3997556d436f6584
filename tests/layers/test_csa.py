import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from lcn_tf.layers import CSA, masked_softmax, masked_top_k
from lcn_tf.layers.csa import CSA_POOLS
from lcn_tf.ops.masking import MASKED_SCORE
from tests import references
from tests.layers.batches import TOLERANCE, assert_matches_reference, random_batch

GOLDEN = json.loads((pathlib.Path(__file__).parents[1] / "golden" / "lap.json").read_text())
VECTOR, SHARED = GOLDEN["vectors"]["csa"], GOLDEN["fixture"]["shared"]


def run_golden(mask=None, **options):
    candidate, history = tf.constant([[SHARED["e_v"]]]), tf.constant([SHARED["E"]])
    interest, scores = CSA(**options)(candidate, history, mask=tf.constant([mask or [True] * 4]))
    return interest.numpy()[0, 0], scores.numpy()[0, 0]


def test_golden_scores_and_ranking():
    _, scores = run_golden()
    np.testing.assert_allclose(scores, VECTOR["scores"], **TOLERANCE)
    _, scores = run_golden(SHARED["mask1110"])
    assert scores[3] == MASKED_SCORE
    indices, kept = masked_top_k(tf.constant([[VECTOR["scores"]]]), tf.constant([SHARED["mask1110"]]), 3)
    assert indices.numpy()[0, 0].tolist() == VECTOR["top3_correct_mask1110"] and kept.numpy().all()


@pytest.mark.parametrize(("options", "mask", "key"), [
    ({}, None, "csa_sum_all"),
    ({}, SHARED["mask1110"], "csa_sum_mask1110"),
    ({}, SHARED["mask1110"], "gram_times_ev"),
    ({"pool": "mean"}, SHARED["mask1110"], "csa_mean_mask1110"),
    ({"pool": "softmax"}, SHARED["mask1110"], "csa_softmax_scaled_mask1110"),
    ({"pool": "softmax", "scale": True}, SHARED["mask1110"], "csa_softmax_scaled_mask1110"),
    ({"pool": "abs_norm"}, SHARED["mask1110"], "csa_absnorm_mask1110"),
    ({"pool": "abs_norm", "scale": True}, SHARED["mask1110"], "csa_absnorm_mask1110"),
])
def test_golden_interest(options, mask, key):
    np.testing.assert_allclose(run_golden(mask, **options)[0], VECTOR[key], **TOLERANCE)


def test_golden_softmax_without_scale():
    weights = masked_softmax(tf.constant(VECTOR["scores"]), tf.constant(SHARED["mask1110"])).numpy()
    np.testing.assert_allclose(weights @ np.array(SHARED["E"]), VECTOR["csa_softmax_mask1110"], **TOLERANCE)


def test_sum_is_the_gram_matrix_times_the_candidate():
    items = np.array(SHARED["E"])[:3]
    np.testing.assert_allclose(items.T @ items, VECTOR["gram_mask1110"], **TOLERANCE)
    batch = random_batch(5, length=11)
    gram = np.einsum("bld,bl,ble->bde", batch.history, batch.mask, batch.history)
    interest, _ = CSA()(batch.candidate, batch.history, mask=batch.mask)
    np.testing.assert_allclose(interest, np.einsum("bde,bce->bcd", gram, batch.candidate), rtol=1e-4, atol=1e-4)


@given(st.integers(0, 10**6), st.sampled_from(CSA_POOLS), st.booleans(), st.booleans(), st.integers(1, 3),
       st.integers(1, 7))
def test_values_and_gradients_match_the_loops(seed, pool, scale, per_candidate, candidates, length):
    batch = random_batch(seed, candidates=candidates, length=length, per_candidate=per_candidate)
    layer = CSA(pool, scale)
    assert_matches_reference(
        lambda candidate, history: layer(candidate, history, mask=tf.constant(batch.mask))[0],
        lambda candidate, history: references.per_candidate(references.csa, candidate, history, batch.mask, pool,
                                                            scale),
        [batch.candidate, batch.history], seed)


@given(st.integers(0, 10**6), st.booleans())
def test_scores_match_the_loops_and_carry_gradients(seed, scale):
    batch = random_batch(seed)
    layer = CSA(scale=scale)

    def reference(candidate, history):
        scores = references.per_candidate(lambda c, h, m: references.csa_scores(c, h, scale), candidate, history,
                                          batch.mask)
        return np.where(batch.wide_mask, scores, 0.0)

    assert_matches_reference(
        lambda candidate, history: tf.where(batch.wide_mask, layer(candidate, history, mask=tf.constant(batch.mask))[1],
                                            0.0),
        reference, [batch.candidate, batch.history], seed)


def test_pool_does_not_change_the_ranking():
    batch = random_batch(7)
    rankings = {tuple(np.argsort(-CSA(pool)(batch.candidate, batch.history, mask=batch.mask)[1].numpy()[0].ravel()))
                for pool in CSA_POOLS}
    assert len(rankings) == 1


def test_search_embeddings_replace_the_scores_only():
    batch, other = random_batch(1), random_batch(2, width=11)
    interest, scores = CSA()(batch.candidate, batch.history, mask=batch.mask, search=(
        tf.constant(other.candidate), tf.constant(other.history)))
    _, expected_scores = CSA()(other.candidate, other.history, mask=batch.mask)
    np.testing.assert_allclose(scores, expected_scores, rtol=1e-6)
    weights = np.where(batch.wide_mask, scores, 0.0)
    np.testing.assert_allclose(interest, np.einsum("bcl,bld->bcd", weights, batch.history), rtol=1e-4, atol=1e-5)


def test_zero_candidate_has_finite_gradients_in_every_pool():
    batch = random_batch(3)
    for pool in CSA_POOLS:
        candidate = tf.zeros_like(batch.candidate)
        history = tf.constant(batch.history)
        with tf.GradientTape() as tape:
            tape.watch([candidate, history])
            total = tf.reduce_sum(CSA(pool)(candidate, history, mask=batch.mask)[0])
        assert all(np.isfinite(gradient.numpy()).all() for gradient in tape.gradient(total, [candidate, history]))


def test_unknown_pool():
    with pytest.raises(ValueError, match=r"csa pool must be one of .*got 'max'"):
        CSA("max")
