import numpy as np
import pytest

from lcn_tf.layers import MASKED_SCORE
from lcn_tf.long_term import din
from tests import references
from tests.layers.test_target_attention import layers_of, variables_of
from tests.long_term.histories import LAYOUTS, WIDTH, Requests, built


def oracle(layer, top_k=None, width=None, **options):
    layers = layers_of({name: np.float64(variable) for name, variable in variables_of(layer.attention).items()})

    def attend(candidate, events, mask):
        newest = [k for k in range(len(events)) if mask[k]][:top_k]
        return references.din(candidate, events[newest, :width], [True] * len(newest), layers, **options)

    return attend


@pytest.mark.parametrize("rows, offsets, moments", LAYOUTS)
@pytest.mark.parametrize("top_k, context", [(None, True), (1, True), (3, True), (50, True), (None, False), (3, False)])
def test_attention_over_the_visible_events(rows, offsets, moments, top_k, context):
    requests = Requests(rows, offsets, moments)
    layer = built(din, requests, top_k=top_k, hidden_units=(7, 3), context=context)
    expected = requests.expected(oracle(layer, top_k, None if context else WIDTH))
    np.testing.assert_allclose(requests.run(layer)[requests.real], expected[requests.real], rtol=1e-4, atol=1e-4)


def test_the_papers_variant_and_its_stages():
    requests = Requests(offsets=True)
    layer = built(din, requests, hidden_units=(7,), softmax=False, scale=False)
    expected = requests.expected(oracle(layer, use_softmax=False, scale=False))
    np.testing.assert_allclose(requests.run(layer)[requests.real], expected[requests.real], rtol=1e-4, atol=1e-4)
    stages = layer.stage_scores(requests.candidate, requests.history)
    np.testing.assert_array_equal(stages["gsu"], stages["final"])


def test_with_a_limit_the_first_stage_ranks_by_position():
    requests = Requests(offsets=True)
    layer = built(din, requests, top_k=3, hidden_units=(7,))
    stages = layer.stage_scores(requests.candidate, requests.history)
    positions = np.broadcast_to(-np.arange(requests.mask.shape[-1], dtype=np.float32), requests.mask.shape)
    np.testing.assert_array_equal(stages["gsu"], np.where(requests.mask, positions, MASKED_SCORE))
    total = np.where(requests.mask, stages["final"], 0).sum(-1)
    np.testing.assert_allclose(total, requests.mask.any(-1), rtol=1e-5)


def test_impossible_options():
    with pytest.raises(ValueError, match="lifelong_din.top_k must be at least 1 or none, got 0"):
        din.Config(top_k=0)
    with pytest.raises(ValueError, match=r"lifelong_din.hidden_units must all be at least 1, got \(0,\)"):
        din.Config(hidden_units=(0,))
