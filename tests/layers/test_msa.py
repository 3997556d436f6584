import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from lcn_tf.layers import FSA, MSA
from lcn_tf.layers.msa import MSA_NORMS, SharedMSA
from tests import references
from tests.layers.batches import (
    TOLERANCE,
    assert_matches_reference,
    assert_weight_gradients_match,
    attention_variables,
    attention_weights,
    random_batch,
    randomise,
    set_attention_weights,
)

GOLDEN = json.loads((pathlib.Path(__file__).parents[1] / "golden" / "lap.json").read_text())
VECTOR, FIXTURE, SHARED = GOLDEN["vectors"]["msa"], GOLDEN["fixture"]["msa"], GOLDEN["fixture"]["shared"]


def run_golden(norm, items=(0, 1, 2)):
    events = np.concatenate([SHARED["E"], SHARED["context"]], axis=1)[list(items)].astype(np.float32)
    inputs = {"events": tf.constant(events[None, None]), "mask": tf.ones([1, 1, len(items)], tf.bool)}
    layer = MSA(attention_dim=2, norm=norm)
    layer(tf.constant([[SHARED["e_v"]]]), **inputs)
    set_attention_weights(layer, {"query": np.transpose(FIXTURE["W_Q"]), "key": np.transpose(FIXTURE["W_K"]),
                                  "value": np.transpose(FIXTURE["W_V"])})
    interest, logits = layer(tf.constant([[SHARED["e_v"]]]), **inputs)
    return interest.numpy()[0, 0], logits.numpy()[0, 0]


def test_golden():
    interest, logits = run_golden("softmax")
    np.testing.assert_allclose(logits, VECTOR["logits_012"], **TOLERANCE)
    np.testing.assert_allclose(references.softmax(logits, [True] * 3), VECTOR["attn_softmax_012"], **TOLERANCE)
    np.testing.assert_allclose(interest, VECTOR["ir_msa_softmax_012"], **TOLERANCE)
    assert np.argsort(-logits)[:2].tolist() == VECTOR["top2_of_012"]
    interest, logits = run_golden("none")
    np.testing.assert_allclose(interest, VECTOR["ir_msa_raw_012"], **TOLERANCE)
    np.testing.assert_allclose(run_golden("none", range(4))[1], VECTOR["logits_all"], **TOLERANCE)


@given(st.integers(0, 10**6), st.sampled_from(MSA_NORMS), st.sampled_from(["shared", "broadcast", "own"]),
       st.integers(1, 3), st.integers(1, 7))
def test_values_and_gradients_match_the_unfolded_loops(seed, norm, layout, candidates, length):
    batch = random_batch(seed, candidates=candidates, length=length, per_candidate=layout != "shared")
    events = batch.events
    if layout == "broadcast":
        events = events[:, None]
    elif layout == "own":
        events = np.random.default_rng(seed).normal(size=(2, candidates, *events.shape[1:])).astype(np.float32)
    layer = MSA(attention_dim=11, norm=norm)
    layer(batch.candidate, events=tf.constant(events), mask=tf.constant(batch.mask))
    randomise(layer, seed)
    weights = attention_weights(layer)

    def reference(candidate, rows):
        return references.per_candidate(references.msa, candidate, rows[:, 0] if layout == "broadcast" else rows,
                                        batch.mask, weights, norm)

    assert_matches_reference(
        lambda candidate, rows: layer(candidate, events=rows, mask=tf.constant(batch.mask))[0], reference,
        [batch.candidate, events], seed)


def test_logits_of_shared_events_equal_those_of_copies():
    batch = random_batch(3)
    layer = MSA(attention_dim=11)
    shared = layer.attention_logits(tf.constant(batch.candidate), tf.constant(batch.events))
    copies = np.repeat(batch.events[:, None], 3, axis=1)
    np.testing.assert_allclose(shared, layer.attention_logits(tf.constant(batch.candidate), tf.constant(copies)),
                               rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("norm", MSA_NORMS)
def test_kernel_gradients_match_the_unfolded_loops(norm):
    batch = random_batch(13)
    layer = MSA(attention_dim=3, norm=norm)
    inputs = {"events": tf.constant(batch.events), "mask": tf.constant(batch.mask)}
    layer(batch.candidate, **inputs)
    randomise(layer, 1)
    assert_weight_gradients_match(
        attention_variables(layer), lambda: layer(batch.candidate, **inputs)[0],
        lambda weights: references.per_candidate(references.msa, batch.candidate, batch.events, batch.mask, weights,
                                                 norm))


@pytest.mark.parametrize("norm", MSA_NORMS)
def test_shared_msa_uses_the_head_averaged_logits_of_fsa(norm):
    batch = random_batch(17)
    fsa = FSA(attention_dim=6, num_heads=2)
    inputs = {"events": tf.constant(batch.events), "mask": tf.constant(batch.mask)}
    fsa(batch.candidate, **inputs)
    weights = attention_weights(fsa)
    interest, logits = SharedMSA(fsa, norm)(tf.constant(batch.candidate), **inputs)

    def reference_logits(candidate, events, mask):
        return references.fsa_logits(candidate, events, weights, 2).mean(axis=0)

    def reference(candidate, events, mask):
        raw = reference_logits(candidate, events, mask)
        attention = references.softmax(raw, mask) if norm == "softmax" else np.where(mask, raw, 0.0)
        return attention @ events @ weights["value"]

    arguments = (batch.candidate, batch.events, batch.mask)
    np.testing.assert_allclose(interest, references.per_candidate(reference, *arguments), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(np.where(batch.wide_mask, logits, 0.0),
                               np.where(batch.wide_mask, references.per_candidate(reference_logits, *arguments), 0.0),
                               rtol=1e-4, atol=1e-5)


def test_errors():
    for create in (MSA, lambda norm: SharedMSA(FSA(), norm)):
        with pytest.raises(ValueError, match=r"msa norm must be one of .*got 'l1'"):
            create(norm="l1")
    with pytest.raises(ValueError, match=r"attention_dim=0"):
        MSA(attention_dim=0)
