import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from lcn_tf.layers import FSA
from lcn_tf.layers.fsa import FSA_POOLS
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
VECTOR, FIXTURE, SHARED = GOLDEN["vectors"]["fsa"], GOLDEN["fixture"]["fsa"], GOLDEN["fixture"]["shared"]


@pytest.mark.parametrize(("pool", "key"), [("query", "ir_fsa_query"), ("per_item", "ir_fsa_per_item")])
def test_golden(pool, key):
    events = np.concatenate([SHARED["E"], SHARED["context"]], axis=1)[FIXTURE["items"]].astype(np.float32)
    candidate = tf.constant([[SHARED["e_v"]]])
    inputs = {"events": tf.constant(events[None, None]), "mask": tf.ones([1, 1, 2], tf.bool)}
    layer = FSA(attention_dim=2, num_heads=2, ffn_dim=2, pool=pool)
    layer(candidate, **inputs)
    set_attention_weights(layer, {
        "query": np.transpose(FIXTURE["W_Q"]), "key": np.transpose(FIXTURE["W_K"]),
        "value": np.transpose(FIXTURE["W_V"]), **{name: FIXTURE[name] for name in ("w1", "b1", "w2", "b2")}})
    interest, scores = layer(candidate, **inputs)
    np.testing.assert_allclose(interest[0, 0], VECTOR[key], **TOLERANCE)
    np.testing.assert_allclose(scores[0, 0], [VECTOR["attn_head0"], VECTOR["attn_head1"]], **TOLERANCE)
    np.testing.assert_allclose(tf.reduce_mean(scores, axis=2)[0, 0], VECTOR["mean_head_attn"], **TOLERANCE)
    concatenated = layer.projections.pool(scores, inputs["events"])
    np.testing.assert_allclose(concatenated[0, 0], VECTOR["concat_heads"], **TOLERANCE)
    per_item = layer._weighted_values(scores, inputs["events"])
    np.testing.assert_allclose(per_item[0, 0], VECTOR["per_item_concat"], **TOLERANCE)


@given(st.integers(0, 10**6), st.sampled_from(FSA_POOLS), st.booleans(), st.booleans(),
       st.sampled_from(["shared", "own"]), st.integers(1, 3), st.integers(1, 5))
def test_values_and_gradients_match_the_unfolded_loops(seed, pool, residual, normalised, layout, candidates, length):
    batch = random_batch(seed, candidates=candidates, length=length, per_candidate=layout == "own")
    events = batch.events
    if layout == "own":
        events = np.random.default_rng(seed).normal(size=(2, candidates, *events.shape[1:])).astype(np.float32)
    layer = FSA(attention_dim=6, num_heads=3, ffn_dim=11, pool=pool, residual=residual, layer_norm=normalised)
    layer(batch.candidate, events=tf.constant(events), mask=tf.constant(batch.mask))
    variables = attention_variables(layer)
    rng = np.random.default_rng(seed)
    for variable in variables.values():
        variable.assign(rng.normal(scale=0.5, size=variable.shape).astype(np.float32))
    weights = attention_weights(layer)
    assert_matches_reference(
        lambda candidate, rows: layer(candidate, events=rows, mask=tf.constant(batch.mask))[0],
        lambda candidate, rows: references.per_candidate(references.fsa, candidate, rows, batch.mask, weights, 3, pool,
                                                         residual, normalised),
        [batch.candidate, events], seed)


@pytest.mark.parametrize("pool", FSA_POOLS)
def test_weight_gradients_match_the_unfolded_loops(pool):
    batch = random_batch(23)
    layer = FSA(attention_dim=6, num_heads=2, ffn_dim=5, pool=pool)
    inputs = {"events": tf.constant(batch.events), "mask": tf.constant(batch.mask)}
    layer(batch.candidate, **inputs)
    randomise(layer, 2)
    assert_weight_gradients_match(
        attention_variables(layer), lambda: layer(batch.candidate, **inputs)[0],
        lambda weights: references.per_candidate(references.fsa, batch.candidate, batch.events, batch.mask, weights, 2,
                                                 pool))


def test_attention_scores_match_the_loops_and_sum_to_one():
    batch = random_batch(29)
    layer = FSA(attention_dim=6, num_heads=3)
    _, scores = layer(batch.candidate, events=tf.constant(batch.events), mask=tf.constant(batch.mask))
    expected = references.per_candidate(references.fsa_scores, batch.candidate, batch.events, batch.mask,
                                        attention_weights(layer), 3)
    np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(tf.reduce_sum(scores[0], axis=-1), 1.0, rtol=1e-5)
    assert (scores.numpy()[1] == 0).all()


@pytest.mark.parametrize("pool", FSA_POOLS)
def test_empty_history_is_zero_despite_biases(pool):
    batch = random_batch(31)
    layer = FSA(attention_dim=6, num_heads=3, pool=pool, residual=True, layer_norm=True)
    inputs = {"events": tf.constant(batch.events), "mask": tf.constant(batch.mask)}
    layer(batch.candidate, **inputs)
    randomise(layer, 3)
    interest, _ = layer(batch.candidate, **inputs)
    assert (interest.numpy()[1] == 0).all() and (interest.numpy()[0] != 0).any()


def test_dropout_acts_in_training_only_and_is_seeded():
    batch = random_batch(37)

    def run(seed, training):
        layer = FSA(attention_dim=6, num_heads=3, dropout=0.5, seed=seed)
        inputs = {"events": tf.constant(batch.events), "mask": tf.constant(batch.mask)}
        layer(batch.candidate, **inputs)
        randomise(layer, 5)
        return layer(batch.candidate, **inputs, training=training)[0].numpy()

    np.testing.assert_array_equal(run(1, False), run(2, False))
    np.testing.assert_array_equal(run(1, True), run(1, True))
    assert (run(1, True) != run(2, True)).any() and (run(1, True) != run(1, False)).any()


@pytest.mark.parametrize(("options", "message"), [
    ({"pool": "max"}, r"fsa pool must be one of .*got 'max'"),
    ({"dropout": 1.0}, r"fsa dropout must be in \[0, 1\), got 1.0"),
    ({"ffn_dim": 0}, r"ffn_dim must be at least 1 or None, got 0"),
    ({"attention_dim": 64, "num_heads": 5}, r"attention_dim=64 and num_heads=5"),
])
def test_errors(options, message):
    with pytest.raises(ValueError, match=message):
        FSA(**options)
