import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from lcn_tf.layers import MASKED_SCORE, SoftSearch, masked_top_k
from tests import references, references_baselines
from tests.layers.batches import TOLERANCE, assert_matches_reference, float64, random_batch, randomise

GOLDEN = json.loads((pathlib.Path(__file__).parents[1] / "golden" / "baselines.json").read_text())
VECTOR, SHARED = GOLDEN["vectors"]["TV-B1"], GOLDEN["fixture"]["shared"]


def weights_of(layer):
    return {"candidate": float64(layer.candidate_kernel), "event": float64(layer.event_kernel)}


def test_golden():
    layer = SoftSearch(attention_dim=2)
    inputs = (tf.constant([[SHARED["e_v"]]]), tf.constant([SHARED["E"]]))
    every, mask = tf.ones([1, 4], tf.bool), tf.constant([SHARED["mask1110"]])
    layer(*inputs, mask=every)
    for variable in layer.trainable_variables:
        variable.assign(np.eye(2))
    np.testing.assert_allclose(layer(*inputs, mask=every)[1][0, 0], VECTOR["gsu_scores"], **TOLERANCE)
    pooled, scores = layer(*inputs, mask=mask)
    np.testing.assert_allclose(pooled[0, 0], VECTOR["U_r_mask1110"], **TOLERANCE)
    assert masked_top_k(scores, mask, 2)[0][0, 0].numpy().tolist() == VECTOR["top2"]


@given(st.integers(0, 10**6), st.booleans(), st.integers(1, 3), st.integers(1, 7))
def test_values_and_gradients_match_the_loops(seed, per_candidate, candidates, length):
    batch = random_batch(seed, candidates=candidates, length=length, per_candidate=per_candidate)
    layer = SoftSearch(attention_dim=3)
    layer(batch.candidate, tf.constant(batch.history), mask=tf.constant(batch.mask))
    randomise(layer, seed)
    weights = weights_of(layer)
    for place in (0, 1):
        def run(candidate, history, place=place):
            scores, pooled = layer(candidate, history, mask=tf.constant(batch.mask))[::-1]
            return (tf.where(batch.wide_mask, scores, 0.0), pooled)[place]

        def reference(candidate, history, place=place):
            found = references.per_candidate(
                lambda *views: references_baselines.soft_search(*views, weights)[place], candidate, history, batch.mask)
            return found if place else np.where(batch.wide_mask, found, 0.0)

        assert_matches_reference(run, reference, [batch.candidate, batch.history], seed)


def test_masked_scores_are_marked():
    batch = random_batch(2)
    scores = SoftSearch()(batch.candidate, tf.constant(batch.history), mask=tf.constant(batch.mask))[1].numpy()
    assert (scores[~batch.wide_mask] == MASKED_SCORE).all() and (scores[batch.wide_mask] > MASKED_SCORE).all()


def test_width_below_one():
    with pytest.raises(ValueError, match="attention_dim must be at least 1, got 0"):
        SoftSearch(0)
