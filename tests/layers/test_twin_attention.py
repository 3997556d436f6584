import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from lcn_tf.layers import TwinAttention, masked_top_k
from lcn_tf.layers.twin_attention import merged_ranks
from tests import references, references_baselines
from tests.layers.batches import (
    TOLERANCE,
    as_tensor,
    assert_matches_reference,
    float64,
    random_batch,
    randomise,
    weighted_sum,
)

GOLDEN = json.loads((pathlib.Path(__file__).parents[1] / "golden" / "baselines.json").read_text())
VECTOR, FIXTURE, SHARED = GOLDEN["vectors"]["twin"], GOLDEN["fixture"]["twin"], GOLDEN["fixture"]["shared"]
MERGE = GOLDEN["vectors"]["twin_merged_heads"]


def weights_of(layer):
    """Weights under the names of the oracles."""
    return {"query": float64(layer.query.kernel), "key": float64(layer.keys.key_kernel),
            "value": float64(layer.values.value_kernel), "output": float64(layer.output_kernel),
            "cross": float64(layer.cross.kernel).transpose(2, 0, 1), "beta": float64(layer.cross.beta).T}


def test_golden():
    events = np.concatenate([SHARED["E"], SHARED["context"]], axis=1).astype(np.float32)
    layer, candidate = TwinAttention(2, num_heads=1, num_context_fields=1), tf.constant([[SHARED["e_v"]]])
    layer(candidate, events=tf.constant(events[None]), mask=tf.ones([1, 4], tf.bool))
    for variable, value in ((layer.query.kernel, FIXTURE["W_q"]), (layer.keys.key_kernel, FIXTURE["W_h"]),
                            (layer.values.value_kernel, np.transpose(FIXTURE["W_V"])),
                            (layer.output_kernel, np.eye(2)), (layer.cross.kernel, [[[FIXTURE["cross_w"]]]]),
                            (layer.cross.beta, [FIXTURE["beta"]])):
        variable.assign(value)
    alpha = layer.attention_logits(candidate, tf.constant(events[None]))
    np.testing.assert_allclose(alpha[0, 0, 0], VECTOR["alpha"], **TOLERANCE)
    best = masked_top_k(alpha[:, :, 0], tf.constant([SHARED["mask1110"]]), 2)[0][0, 0].numpy()
    assert best.tolist() == VECTOR["top2_mask1110"]
    interest, scores = layer(candidate, events=tf.constant(events[None, None, best]), mask=tf.ones([1, 1, 2], tf.bool))
    np.testing.assert_allclose(scores[0, 0, 0], VECTOR["attn"], **TOLERANCE)
    np.testing.assert_allclose(interest[0, 0], VECTOR["head_out"], **TOLERANCE)


def merged(logits, mask, depth):
    return merged_ranks(tf.constant(logits, tf.float32), tf.constant(mask), depth).numpy()


def test_golden_merging():
    logits = np.array([MERGE["scores_head0"], MERGE["scores_head1"]])[None, None]
    every = np.ones([1, 1, 5], bool)
    keys = merged(logits, every, 5)
    assert keys[0, 0].tolist() == MERGE["key"]
    kept = masked_top_k(-merged(logits, every, 3), tf.constant(every), 3)[0]
    assert sorted(kept[0, 0].numpy()) == MERGE["union_top3"]


@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(1, 4), st.integers(1, 11))
def test_the_first_events_in_the_merged_order_match_the_loops(seed, depth, heads, length):
    rng = np.random.default_rng(seed)
    logits, mask = rng.normal(size=(2, 3, heads, length)).round(1), rng.random((2, 3, length)) < 0.7
    keys = merged(logits, mask, depth)
    for b, c in np.ndindex(2, 3):
        expected = references_baselines.merged_keys(logits[b, c], mask[b, c])
        valid = [k for k in range(length) if mask[b, c, k]]
        assert sorted(valid, key=lambda k: keys[b, c, k])[:depth] == sorted(valid, key=lambda k: expected[k])[:depth]
        assert np.all(merged(logits, mask, length)[b, c, valid] == [expected[k] for k in valid])


@given(st.integers(0, 10**6), st.sampled_from(["shared", "own"]), st.booleans(), st.integers(1, 2), st.integers(1, 3),
       st.integers(1, 7))
def test_values_and_gradients_match_the_unfolded_loops(seed, layout, beta_per_head, fields, candidates, length):
    batch = random_batch(seed, candidates=candidates, length=length, per_candidate=layout != "shared")
    events = batch.events
    if layout == "own":
        events = np.random.default_rng(seed).normal(size=(2, candidates, *events.shape[1:])).astype(np.float32)
    layer = TwinAttention(6, 2, fields, beta_per_head)
    layer(batch.candidate, events=tf.constant(events), mask=tf.constant(batch.mask))
    randomise(layer, seed)
    weights = weights_of(layer)

    def reference(candidate, rows):
        return references.per_candidate(references_baselines.twin, candidate, rows, batch.mask, weights, 2, length)

    assert_matches_reference(
        lambda candidate, rows: layer(candidate, events=rows, mask=tf.constant(batch.mask))[0], reference,
        [batch.candidate, events], seed)


@pytest.mark.parametrize("beta_per_head", [False, True])
def test_weights_of_the_context_learn(beta_per_head):
    batch = random_batch(4)
    layer = TwinAttention(6, 2, 2, beta_per_head)
    inputs = {"events": tf.constant(batch.events), "mask": tf.constant(batch.mask)}
    layer(batch.candidate, **inputs)
    randomise(layer, 4)
    weights = weights_of(layer)

    def loss(changed):
        return weighted_sum(references.per_candidate(
            references_baselines.twin, np.float64(batch.candidate), np.float64(batch.events), batch.mask,
            {**weights, **changed}, 2, 7))

    with tf.GradientTape() as tape:
        total = weighted_sum(layer(batch.candidate, **inputs)[0])
    kernel, beta = tape.gradient(total, [as_tensor(layer.cross.kernel), as_tensor(layer.cross.beta)])
    for name, gradient in (("cross", kernel.numpy().transpose(2, 0, 1)), ("beta", beta.numpy().T)):
        direction = np.random.default_rng(1).normal(size=gradient.shape)
        expected = references.directional_derivative(
            lambda point, name=name: loss({name: point[0]}), [weights[name]], [direction])
        np.testing.assert_allclose((gradient * direction).sum(), expected, rtol=1e-3, atol=1e-4)


def test_the_bias_differs_between_positions_and_heads():
    batch = random_batch(6, requests=1)
    layer = TwinAttention(6, 2, 2)
    layer(batch.candidate, events=tf.constant(batch.events), mask=tf.constant(batch.mask))
    randomise(layer, 6)
    without = np.concatenate([batch.history, 0 * batch.context], -1)
    bias = (layer.attention_logits(batch.candidate, tf.constant(batch.events))
            - layer.attention_logits(batch.candidate, tf.constant(without))).numpy()  # [1, 3, 2, 7]
    assert np.ptp(bias, axis=3).min() > 0.1 and np.abs(bias[:, :, 0] - bias[:, :, 1]).max() > 0.1
    np.testing.assert_allclose(bias, np.broadcast_to(bias[:, :1], bias.shape), atol=1e-5)  # not of the candidate


def test_every_head_may_have_events_of_its_own():
    batch = random_batch(7, requests=1)
    layer = TwinAttention(6, 2, 1)
    own = np.zeros([1, 3, 2, 7], bool)
    own[:, :, 0, :3] = own[:, :, 1, 2:6] = True
    layer(batch.candidate, events=tf.constant(batch.events), mask=tf.constant(own))
    scores = layer(batch.candidate, events=tf.constant(batch.events), mask=tf.constant(own))[1].numpy()
    assert ((scores > 0) == own).all()


def test_errors():
    batch = random_batch(8)
    with pytest.raises(ValueError, match="attention_dim must be a positive multiple of num_heads"):
        TwinAttention(6, 4)
    with pytest.raises(ValueError, match="context must hold 3 fields of one width, got width 2"):
        TwinAttention(6, 2, 3)(batch.candidate, events=tf.constant(batch.events), mask=tf.constant(batch.mask))
