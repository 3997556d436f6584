import numpy as np
import pytest

from lcn_tf.long_term import recent_k
from tests import references_baselines
from tests.long_term.histories import LAYOUTS, Requests, attention_weights, built

SIZES = {"top_k": 3, "attention_dim": 6, "num_heads": 2}


@pytest.mark.parametrize("rows, offsets, moments", LAYOUTS)
@pytest.mark.parametrize("top_k", [1, 3, 50])
def test_attention_over_the_most_recent_visible_events(rows, offsets, moments, top_k):
    requests = Requests(rows, offsets, moments)
    layer = built(recent_k, requests, **{**SIZES, "top_k": top_k})
    weights = attention_weights(layer.attention.attention)

    def attend(candidate, events, mask):
        newest = [k for k in range(len(events)) if mask[k]][:top_k]
        return references_baselines.target_mha(candidate, events[newest], [True] * len(newest), weights, 2)

    expected = requests.expected(attend)
    np.testing.assert_allclose(requests.run(layer)[requests.real], expected[requests.real], rtol=1e-4, atol=1e-4)


def test_the_first_stage_ranks_by_position():
    requests = Requests(offsets=True)
    layer = built(recent_k, requests, **SIZES)
    scores = layer.stage_scores(requests.candidate, requests.history)["gsu"].numpy()
    positions = np.broadcast_to(np.arange(scores.shape[-1]), scores.shape)
    np.testing.assert_array_equal(scores[requests.mask], -positions[requests.mask])


def test_impossible_options():
    with pytest.raises(ValueError, match="top_k must be at least 1 or None, got 0"):
        recent_k.build(recent_k.Config(top_k=0))


def test_a_choice_without_scores_is_refused():
    requests = Requests()
    layer = built(recent_k, requests, **SIZES)
    with pytest.raises(ValueError, match="with top_k=3, got None"):
        layer.attention(requests.candidate, requests.history)
