import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from lcn_tf.layers import MASKED_SCORE, SoftSearch, masked_top_k
from lcn_tf.layers.soft_search import SEARCH_POOLS
from tests import references, references_baselines
from tests.layers.batches import TOLERANCE, assert_matches_reference, float64, random_batch, randomise

GOLDEN = json.loads((pathlib.Path(__file__).parents[1] / "golden" / "baselines.json").read_text())
VECTOR, SHARED = GOLDEN["vectors"]["sim_soft"], GOLDEN["fixture"]["shared"]


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


@given(st.integers(0, 10**6), st.booleans(), st.integers(1, 3), st.integers(1, 7), st.sampled_from(SEARCH_POOLS))
def test_values_and_gradients_match_the_loops(seed, per_candidate, candidates, length, pool):
    batch = random_batch(seed, candidates=candidates, length=length, per_candidate=per_candidate)
    layer = SoftSearch(attention_dim=3, pool=pool)
    layer(batch.candidate, tf.constant(batch.history), mask=tf.constant(batch.mask))
    randomise(layer, seed)
    weights = weights_of(layer)
    for place in (0, 1):
        def run(candidate, history, place=place):
            scores, pooled = layer(candidate, history, mask=tf.constant(batch.mask))[::-1]
            return (tf.where(batch.wide_mask, scores, 0.0), pooled)[place]

        def reference(candidate, history, place=place):
            found = references.per_candidate(
                lambda *views: references_baselines.soft_search(*views, weights, pool)[place],
                candidate, history, batch.mask)
            return found if place else np.where(batch.wide_mask, found, 0.0)

        assert_matches_reference(run, reference, [batch.candidate, batch.history], seed)


def test_masked_scores_are_marked():
    batch = random_batch(2)
    scores = SoftSearch()(batch.candidate, tf.constant(batch.history), mask=tf.constant(batch.mask))[1].numpy()
    assert (scores[~batch.wide_mask] == MASKED_SCORE).all() and (scores[batch.wide_mask] > MASKED_SCORE).all()


def test_only_the_softmax_tells_high_scores_from_low_ones():
    batch = random_batch(3)
    inputs = (batch.candidate, tf.constant(batch.history))
    for pool, symmetric in (("sum", True), ("softmax", False)):
        layer = SoftSearch(3, pool)
        before, scores = layer(*inputs, mask=tf.constant(batch.mask))
        layer.candidate_kernel.assign(-tf.convert_to_tensor(layer.candidate_kernel))
        after, negated = layer(*inputs, mask=tf.constant(batch.mask))
        np.testing.assert_allclose(negated.numpy()[batch.wide_mask], -scores.numpy()[batch.wide_mask], **TOLERANCE)
        assert np.allclose(after, -before, **TOLERANCE) == symmetric


def own_topic_ranks(pool, seed, topics=8, length=20, width=8, steps=200):
    """Trains a search on clicks that follow the share of the candidate's topic; the rank (0 first) of each topic's own
    events among all topics."""
    rng = np.random.default_rng(seed)
    tf.keras.utils.set_random_seed(seed)
    layer = SoftSearch(width, pool)
    table = tf.Variable(rng.normal(scale=0.3, size=(topics, width)).astype(np.float32))
    hidden, output = tf.keras.layers.Dense(16, "relu"), tf.keras.layers.Dense(1)
    optimizer = tf.keras.optimizers.Adam(1e-2)

    def logits(candidate, events):
        candidate, events = tf.gather(table, candidate), tf.gather(table, events)
        interest, scores = layer(candidate, events, mask=tf.ones(tf.shape(events)[:2], tf.bool))
        return output(hidden(tf.concat([candidate, interest], -1)))[..., 0], scores

    @tf.function
    def step(candidate, events, label):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(label, logits(candidate, events)[0]))
        weights = [table, *(weight for part in (layer, hidden, output) for weight in part.trainable_variables)]
        optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))

    logits(tf.zeros([1, 1], tf.int32), tf.zeros([1, 1], tf.int32))
    for _ in range(steps):
        liked = rng.integers(0, topics, (256, 2))
        events = np.where(rng.random((256, length)) < 0.7, liked[np.arange(256)[:, None],
                          rng.integers(0, 2, (256, length))], rng.integers(0, topics, (256, length)))
        candidate = np.where(rng.random(256) < 0.5, liked[:, 0], rng.integers(0, topics, 256))
        click = rng.random(256) < np.where((events == candidate[:, None]).mean(1) > 0.2, 0.9, 0.1)
        step(tf.constant(candidate[:, None], tf.int32), tf.constant(events, tf.int32),
             tf.constant(click[:, None], tf.float32))
    every = tf.range(topics)[tf.newaxis]
    scores = logits(tf.transpose(every), tf.repeat(every, topics, axis=0))[1].numpy()[:, 0]  # [topics, topics]
    return (scores > np.diag(scores)[:, None]).sum(1)


def test_with_the_softmax_the_own_topic_ranks_first_and_with_the_sum_it_may_rank_last():
    assert (own_topic_ranks("softmax", seed=1) == 0).all()
    assert (own_topic_ranks("sum", seed=1) == 7).any()


@pytest.mark.parametrize("options, message", [
    ({"attention_dim": 0}, "attention_dim must be at least 1, got 0"),
    ({"pool": "mean"}, r"pool must be one of \('sum', 'softmax'\), got 'mean'"),
])
def test_impossible_options(options, message):
    with pytest.raises(ValueError, match=message):
        SoftSearch(**options)
