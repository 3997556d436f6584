import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from lcn_tf.layers import DINAttention
from tests import references
from tests.layers.batches import (
    TOLERANCE,
    assert_matches_reference,
    assert_weight_gradients_match,
    float64,
    random_batch,
    randomise,
)

GOLDEN = json.loads((pathlib.Path(__file__).parents[1] / "golden" / "lap.json").read_text())
VECTOR, SHARED = GOLDEN["vectors"]["din"], GOLDEN["fixture"]["shared"]


def variables_of(layer):
    pairs = [(layer.kernel, layer.bias), *((dense.kernel, dense.bias) for dense in layer.dense_layers)]
    return {(place, part): variable for place, pair in enumerate(pairs) for part, variable in enumerate(pair)}


def layers_of(weights):
    return [(weights[place, 0], weights[place, 1]) for place in range(len(weights) // 2)]


@pytest.mark.parametrize(("options", "key"), [
    ({"use_softmax": False, "scale": False}, "out_nosoftmax_mask1110"),
    ({"use_softmax": True, "scale": False}, "out_softmax_mask1110"),
    ({"use_softmax": True, "scale": True}, "out_softmax_scaled_mask1110"),
])
def test_golden(options, key):
    layer = DINAttention(hidden_units=(), **options)
    candidate, history = tf.constant([[SHARED["e_v"]]]), tf.constant([SHARED["E"]])
    mask = tf.constant([SHARED["mask1110"]])
    layer(candidate, history, mask=mask)
    layer.kernel.assign(np.reshape(VECTOR["weights"], [8, 1]))
    np.testing.assert_allclose(layer(candidate, history, mask=mask)[0, 0], VECTOR[key], **TOLERANCE)
    if not options["scale"]:
        np.testing.assert_allclose(layer.attention_logits(candidate, history)[0, 0], VECTOR["logits"], **TOLERANCE)


@given(st.integers(0, 10**6), st.sampled_from([(), (11,), (7, 3)]), st.booleans(), st.booleans(), st.booleans(),
       st.integers(1, 3), st.integers(1, 5))
def test_values_and_gradients_match_the_unfolded_loops(seed, units, use_softmax, scale, per_candidate, candidates,
                                                       length):
    batch = random_batch(seed, candidates=candidates, length=length, per_candidate=per_candidate)
    layer = DINAttention(units, use_softmax=use_softmax, scale=scale)
    mask = tf.constant(batch.mask)
    layer(batch.candidate, batch.history, mask=mask)
    randomise(layer, seed)
    layers = layers_of({name: float64(variable) for name, variable in variables_of(layer).items()})
    assert_matches_reference(
        lambda candidate, history: layer(candidate, history, mask=mask),
        lambda candidate, history: references.per_candidate(references.din, candidate, history, batch.mask, layers,
                                                            use_softmax, scale),
        [batch.candidate, batch.history], seed)


def test_weight_gradients_match_the_unfolded_loops():
    batch = random_batch(41)
    layer = DINAttention((7, 3))
    mask = tf.constant(batch.mask)
    layer(batch.candidate, batch.history, mask=mask)
    randomise(layer, 4)
    assert_weight_gradients_match(
        variables_of(layer), lambda: layer(batch.candidate, batch.history, mask=mask),
        lambda weights: references.per_candidate(references.din, batch.candidate, batch.history, batch.mask,
                                                 layers_of(weights)))


@pytest.mark.parametrize("use_softmax", [True, False])
def test_a_history_for_each_candidate(use_softmax):
    batch = random_batch(42, per_candidate=True)
    layer = DINAttention((7, 3), use_softmax=use_softmax)
    mask = tf.constant(batch.mask)
    layer(batch.candidate, batch.history, mask=mask)
    randomise(layer, 4)
    own = np.random.default_rng(43).normal(size=(2, 3, 7, 5)).astype(np.float32)
    layers = layers_of({name: float64(variable) for name, variable in variables_of(layer).items()})
    assert_matches_reference(
        lambda candidate, history: layer(candidate, history, mask=mask),
        lambda candidate, history: references.per_candidate(references.din, candidate, history, batch.mask, layers,
                                                            use_softmax),
        [batch.candidate, own])


def test_errors():
    with pytest.raises(ValueError, match=r"hidden_units must all be at least 1, got \(80, 0\)"):
        DINAttention((80, 0))
    with pytest.raises(ValueError):
        DINAttention(activation="no_such_activation")
