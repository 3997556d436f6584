import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from lcn_tf.layers import MASKED_SCORE, InterestEvolution
from lcn_tf.layers.interest_evolution import GRUWeights, next_event_loss, run_gru
from tests import references, references_baselines
from tests.layers.batches import (
    TOLERANCE,
    assert_matches_reference,
    assert_weight_gradients_match,
    float64,
    random_batch,
    randomise,
)

GOLDEN = json.loads((pathlib.Path(__file__).parents[1] / "golden" / "baselines.json").read_text())
VECTOR = GOLDEN["vectors"]["dien_augru"]


def variables_of(layer):
    variables = {(name, part): weight for name in ("extraction", "evolution")
                 for part, weight in enumerate(getattr(layer, name))}
    variables |= {("query", part): weight for part, weight in enumerate(
        (layer.query_kernel, layer.query_bias, layer.query_slope))}
    dense = [(layer.attention.kernel, layer.attention.bias),
             *((dense.kernel, dense.bias) for dense in layer.attention.dense_layers)]
    return variables | {("layers", 2 * place + part): weight for place, pair in enumerate(dense)
                        for part, weight in enumerate(pair)}


def oracle_weights(weights):
    found = {name: [weights[key] for key in sorted(weights) if key[0] == name]
             for name in ("extraction", "evolution", "query", "layers")}
    return {**found, "layers": list(zip(found["layers"][::2], found["layers"][1::2], strict=True))}


def weights_of(layer):
    return oracle_weights({name: float64(variable) for name, variable in variables_of(layer).items()})


def built(batch, seed=1, **options):
    layer = InterestEvolution((7, 3), **options)
    layer(batch.candidate, batch.history, mask=tf.constant(batch.mask))
    randomise(layer, seed)
    return layer


@pytest.mark.parametrize("augru, key", [("paper", "h_paper"), ("code", "h_dien_official_code")])
def test_golden(augru, key):
    """The first event sets the state to `h_prev`, the second one has the vector's gate and candidate state."""
    def bias(update, new):
        return [np.log(update / (1 - update)), 0.0, np.arctanh(new)]

    open_gate = 1 - 1e-7
    inputs = tf.constant([[bias(VECTOR["u"], VECTOR["candidate"]), bias(open_gate, VECTOR["h_prev"])]], tf.float32)
    if augru == "code":  # there u weights the old state
        inputs = tf.constant([[bias(VECTOR["u"], VECTOR["candidate"]), bias(1e-7, VECTOR["h_prev"])]], tf.float32)
    weights = GRUWeights(tf.eye(3), tf.zeros([1, 3]), tf.zeros([3]))
    attention = tf.constant([[VECTOR["attn"], 1.0]])
    states, final = run_gru(inputs, tf.ones([1, 2], tf.bool), weights, attention, augru)
    np.testing.assert_allclose(final[0, 0], VECTOR[key], **TOLERANCE)
    np.testing.assert_allclose(states[0, :, 0], [VECTOR[key], VECTOR["h_prev"]], **TOLERANCE)


@settings(max_examples=5)
@given(st.integers(0, 10**6), st.sampled_from(["paper", "code"]), st.booleans(), st.integers(1, 3), st.integers(1, 5))
def test_values_and_gradients_match_the_loops(seed, augru, per_candidate, candidates, length):
    batch = random_batch(seed, candidates=candidates, length=length, per_candidate=per_candidate)
    layer = built(batch, seed, augru=augru)
    weights = weights_of(layer)
    assert_matches_reference(
        lambda candidate, history: layer(candidate, history, mask=tf.constant(batch.mask)),
        lambda candidate, history: references.per_candidate(references_baselines.dien, candidate, history, batch.mask,
                                                            weights, augru),
        [batch.candidate, batch.history], seed)


def test_weight_gradients_match_the_loops():
    batch = random_batch(41)
    layer = built(batch)
    assert_weight_gradients_match(
        variables_of(layer), lambda: layer(batch.candidate, batch.history, mask=tf.constant(batch.mask)),
        lambda weights: references.per_candidate(references_baselines.dien, batch.candidate, batch.history, batch.mask,
                                                 oracle_weights(weights)))


def test_histories_of_a_candidate():
    batch = random_batch(5)
    layer, mask = built(batch), tf.constant(batch.mask)
    own = tf.repeat(tf.constant(batch.history)[:, tf.newaxis], 3, axis=1)
    np.testing.assert_allclose(layer(batch.candidate, own, mask=mask), layer(batch.candidate, batch.history, mask=mask),
                               rtol=1e-6, atol=1e-7)
    changed = tf.tensor_scatter_nd_add(own, [[0, 1]], tf.ones([1, *own.shape[2:]]))
    differs = layer(batch.candidate, changed, mask=mask) != layer(batch.candidate, own, mask=mask)
    assert tf.reduce_any(differs, -1).numpy().nonzero()[0].tolist() == [0]
    assert tf.reduce_any(differs, -1).numpy().nonzero()[1].tolist() == [1]


def test_attention_scores_match_the_loops():
    batch = random_batch(6, per_candidate=True)
    layer = built(batch)
    expected = references.per_candidate(
        lambda *views: references_baselines.dien_attention(*views, weights_of(layer))[1],
        *(float64(tf.constant(value)) for value in (batch.candidate, batch.history)), batch.mask)
    found = layer.attention_scores(batch.candidate, batch.history, mask=tf.constant(batch.mask)).numpy()
    np.testing.assert_allclose(found[batch.mask], expected[batch.mask], rtol=1e-4, atol=1e-5)
    assert (found[~batch.mask] == MASKED_SCORE).all()


@pytest.mark.parametrize("per_candidate", [False, True])
def test_the_loss_on_the_next_event_matches_the_loops(per_candidate):
    batch, rng = random_batch(7, per_candidate=per_candidate), np.random.default_rng(8)
    states, negatives = rng.normal(size=(2, 3, 7, 5)), rng.normal(size=(2, 3, 7, 5))
    valid = rng.random((2, 3, 7)) < 0.6

    def reference(states, items, negatives):
        return np.array([[references_baselines.next_event_loss(
            states[b, c], items[b], negatives[b, c], batch.wide_mask[b, c], valid[b, c]) for c in range(3)]
            for b in range(2)])

    assert_matches_reference(
        lambda *inputs: next_event_loss(*inputs, tf.constant(batch.wide_mask), tf.constant(valid)), reference,
        [states.astype(np.float32), batch.history, negatives.astype(np.float32)])


def test_without_attention_the_papers_state_stays_and_the_authors_moves():
    inputs, mask = tf.ones([1, 1, 3]), tf.ones([1, 1], tf.bool)
    weights = GRUWeights(tf.ones([1, 3]), tf.zeros([1, 3]), tf.zeros([3]))
    finals = [run_gru(inputs, mask, weights, tf.zeros([1, 1]), augru)[1].numpy().item() for augru in ("paper", "code")]
    assert finals[0] == 0 and finals[1] == pytest.approx((1 - 0.731059) * 0.761594, rel=1e-4)


def test_impossible_arguments():
    with pytest.raises(ValueError, match=r"augru must be one of \('paper', 'code'\), got 'gru'"):
        InterestEvolution(augru="gru")
    with pytest.raises(ValueError, match="hidden_units must all be at least 1"):
        InterestEvolution((0,))
    with pytest.raises(ValueError, match="if and only if context_width, 3, is positive; got none"):
        InterestEvolution((7,), context_width=3)(tf.ones([1, 1, 5]), tf.ones([1, 2, 5]), mask=tf.ones([1, 2], tf.bool))
