import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from lcn_tf.layers import TargetMHA
from tests import references, references_baselines
from tests.layers.batches import (
    TOLERANCE,
    assert_matches_reference,
    assert_weight_gradients_match,
    attention_variables,
    float64,
    random_batch,
    randomise,
)

GOLDEN = json.loads((pathlib.Path(__file__).parents[1] / "golden" / "baselines.json").read_text())
SHARED = GOLDEN["fixture"]["shared"]


def variables_of(layer):
    return {**attention_variables(layer), "output": layer.output_kernel}


def weights_of(layer):
    return {name: float64(variable) for name, variable in variables_of(layer).items()}


def test_golden():
    """The second stage of `sim_soft` and `eta`: one head, identity projections."""
    events, mask = tf.constant([np.array(SHARED["E"], np.float32)[:2]]), tf.ones([1, 2], tf.bool)
    layer, candidate = TargetMHA(attention_dim=2, num_heads=1), tf.constant([[SHARED["e_v"]]])
    layer(candidate, events=events, mask=mask)
    for variable in layer.trainable_variables:
        variable.assign(np.eye(2))
    interest, scores = layer(candidate, events=events, mask=mask)
    for vector in (GOLDEN["vectors"]["sim_soft"], GOLDEN["vectors"]["eta"]):
        np.testing.assert_allclose(scores[0, 0, 0], vector["esu_attn"], **TOLERANCE)
        np.testing.assert_allclose(interest[0, 0], vector["esu_out"], **TOLERANCE)
    np.testing.assert_allclose(layer.attention_logits(candidate, events)[0, 0, 0],
                               GOLDEN["vectors"]["sim_soft"]["esu_logits"], **TOLERANCE)


@given(st.integers(0, 10**6), st.sampled_from(["shared", "own"]), st.sampled_from([1, 2, 3]), st.integers(1, 3),
       st.integers(1, 7))
def test_values_and_gradients_match_the_unfolded_loops(seed, layout, num_heads, candidates, length):
    batch = random_batch(seed, candidates=candidates, length=length, per_candidate=layout != "shared")
    events = batch.events
    if layout == "own":
        events = np.random.default_rng(seed).normal(size=(2, candidates, *events.shape[1:])).astype(np.float32)
    layer = TargetMHA(attention_dim=6, num_heads=num_heads)
    layer(batch.candidate, events=tf.constant(events), mask=tf.constant(batch.mask))
    randomise(layer, seed)
    weights = weights_of(layer)

    def reference(candidate, rows):
        return references.per_candidate(
            references_baselines.target_mha, candidate, rows, batch.mask, weights, num_heads)

    assert_matches_reference(
        lambda candidate, rows: layer(candidate, events=rows, mask=tf.constant(batch.mask))[0], reference,
        [batch.candidate, events], seed)


def test_weight_gradients_match_the_unfolded_loops():
    batch = random_batch(3)
    layer = TargetMHA(attention_dim=6, num_heads=2)
    inputs = {"events": tf.constant(batch.events), "mask": tf.constant(batch.mask)}
    layer(batch.candidate, **inputs)
    randomise(layer, 3)

    def reference(weights):
        return references.per_candidate(references_baselines.target_mha, np.float64(batch.candidate),
                                        np.float64(batch.events), batch.mask, weights, 2)

    assert_weight_gradients_match(variables_of(layer), lambda: layer(batch.candidate, **inputs)[0], reference)


def test_attention_scores_sum_to_one_over_the_real_events():
    batch = random_batch(5, per_candidate=True)
    scores = TargetMHA(attention_dim=6, num_heads=3)(
        batch.candidate, events=tf.constant(batch.events), mask=tf.constant(batch.mask))[1].numpy()
    assert scores.shape == (2, 3, 3, 7)
    assert (np.moveaxis(scores, 2, -1)[~batch.wide_mask] == 0).all()
    np.testing.assert_allclose(scores.sum(-1), np.repeat(batch.mask.any(-1)[:, :, None], 3, 2), rtol=1e-5)


@pytest.mark.parametrize("attention_dim, num_heads", [(0, 1), (5, 2), (4, 0)])
def test_widths_that_do_not_divide(attention_dim, num_heads):
    with pytest.raises(ValueError, match="attention_dim must be a positive multiple of num_heads"):
        TargetMHA(attention_dim, num_heads)
