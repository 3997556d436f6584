import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from lcn_tf.layers import MASKED_SCORE
from lcn_tf.layers.event_vectors import as_tensor
from lcn_tf.layers.recent_events import recent_events
from lcn_tf.long_term import dien
from lcn_tf.short_term import dien as short_term_dien
from tests import references_baselines
from tests.layers.test_interest_evolution import weights_of
from tests.long_term.histories import LAYOUTS, WIDTH, Requests, built


def oracle(layer, top_k=None, gate="paper", width=None):
    weights = weights_of(layer.evolution)

    def evolve(candidate, events, mask):
        newest = [k for k in range(len(events)) if mask[k]][:top_k]
        return references_baselines.dien(candidate, events[newest, :width], [True] * len(newest), weights, gate)

    return evolve


@pytest.mark.parametrize("rows, offsets, moments", LAYOUTS)
@pytest.mark.parametrize("top_k, augru, context", [(None, "paper", True), (3, "paper", True), (50, "code", True),
                                                   (None, "paper", False), (3, "code", False)])
def test_evolution_over_the_most_recent_visible_events(rows, offsets, moments, top_k, augru, context):
    requests = Requests(rows, offsets, moments)
    layer = built(dien, requests, top_k=top_k, hidden_units=(7, 3), augru=augru, context=context)
    expected = requests.expected(oracle(layer, top_k, augru, None if context else WIDTH))
    np.testing.assert_allclose(requests.run(layer)[requests.real], expected[requests.real], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("offsets, moments, views", [(False, False, (1, 1)), (True, False, (3, 1)),
                                                     (False, True, (1, 3))])
def test_events_that_all_candidates_of_a_request_see_are_read_once(offsets, moments, views):
    requests = Requests(offsets=offsets, moments=moments)
    assert not requests.real.all()  # padded candidates do not count
    items, mask, context = recent_events(requests.history, 3, context=True)
    assert (items.shape[1], mask.shape[1]) == (views[0], views[0])
    assert as_tensor(context).shape[1] == max(views)
    narrowed = dataclasses.replace(requests.history, mask=tf.constant(requests.mask & (np.arange(3) > 0)[:, None]))
    assert narrowed.views.shape[1] == 3


def test_the_encoder_of_short_histories_reads_all_of_them():
    requests = Requests(offsets=True)
    layer = built(short_term_dien, requests, hidden_units=(7, 3))
    expected = requests.expected(oracle(layer, width=WIDTH))
    np.testing.assert_allclose(requests.run(layer)[requests.real], expected[requests.real], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("top_k", [None, 3])
def test_stage_scores(top_k):
    requests = Requests(offsets=True)
    layer = built(dien, requests, top_k=top_k, hidden_units=(7, 3))
    stages = {name: scores.numpy() for name, scores in layer.stage_scores(requests.candidate, requests.history).items()}
    weights = weights_of(layer.evolution)
    final = requests.expected(lambda candidate, events, mask: references_baselines.dien_attention(
        candidate, events, mask, weights)[1])
    expected = np.where(requests.mask, final, MASKED_SCORE)
    np.testing.assert_allclose(stages["final"][requests.real], expected[requests.real], rtol=1e-4, atol=1e-5)
    positions = np.broadcast_to(-np.arange(requests.mask.shape[-1], dtype=np.float32), requests.mask.shape)
    expected = stages["final"] if top_k is None else np.where(requests.mask, positions, MASKED_SCORE)
    np.testing.assert_array_equal(stages["gsu"], expected)


def test_impossible_options():
    with pytest.raises(ValueError, match="lifelong_dien.top_k must be at least 1 or none, got 0"):
        dien.Config(top_k=0)
    with pytest.raises(ValueError, match=r"lifelong_dien.hidden_units must all be at least 1, got \(7, 0\)"):
        dien.Config(hidden_units=(7, 0))
    with pytest.raises(ValueError, match="augru must be one of.*got 'gru'"):
        short_term_dien.build(short_term_dien.Config(augru="gru"))
