import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from lcn_tf.data.pipeline import flat_rows, grouped_rows
from lcn_tf.layers import MASKED_SCORE
from lcn_tf.long_term import dien
from lcn_tf.ops.event_forms import as_tensor
from lcn_tf.ops.recent_events import recent_events
from lcn_tf.short_term import dien as short_term_dien
from tests import references_baselines
from tests.layers.test_interest_evolution import weights_of
from tests.long_term.histories import LAYOUTS, WIDTH, Requests, built, config, small_model


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
    events = recent_events(requests.history, 3, context=True)
    assert (events.items.shape[1], events.mask.shape[1]) == (views[0], views[0])
    assert as_tensor(events.context).shape[1] == max(views)
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


def model_and_batch(rows=grouped_rows, **options):
    model = small_model("dien", config("dien", hidden_units=(7, 3), **options))
    for variable in model.embedder.variables:
        variable.assign(tf.random.stateless_normal(variable.shape, [3, variable.shape[0]]))
    return model, Requests(rows, offsets=True, embedder=model.embedder).batch


@pytest.mark.parametrize("rows", [grouped_rows, flat_rows])
@pytest.mark.parametrize("top_k", [None, 3])
def test_the_loss_on_the_next_event_is_a_weighted_mean_over_candidates(rows, top_k):
    model, batch = model_and_batch(rows, top_k=top_k, aux_weight=0.25)
    loss = float(model.compute_losses(batch)["dien_next_event"])
    drawn = model._with_negatives(batch)
    negatives, valid = (np.asarray(values) for values in model.embedder.read(drawn).lifelong.negatives())
    assert valid.any()
    requests, weights = Requests(rows, offsets=True, embedder=model.embedder), weights_of(model.long_term.evolution)
    expected = []
    for b, c in np.argwhere(requests.real):
        kept = requests.mask[b, c].nonzero()[0][:top_k]
        events, mask = requests.events[b, c, kept], [True] * len(kept)
        states = references_baselines.dien_attention(np.zeros(WIDTH), events, mask, weights)[0]
        expected.append(references_baselines.next_event_loss(
            states, events[:, :WIDTH], negatives[b, kept], mask, valid[b, kept]))
    assert loss == pytest.approx(0.25 * np.mean(expected), rel=1e-4)


def test_the_loss_on_the_next_event_trains_the_first_recurrence_and_not_what_follows():
    model, batch = model_and_batch()
    evolution = model.long_term.evolution
    with tf.GradientTape() as tape:
        loss = model.compute_losses(batch)["dien_next_event"]
    trained, other, tables = tape.gradient(loss, [
        list(evolution.extraction), list(evolution.evolution), model.embedder.tables.vectors["item"]])
    assert all(np.any(gradient) for gradient in trained) and other == [None] * 3
    assert np.any(tf.convert_to_tensor(tables))
    (logits, losses) = model(model._with_negatives(batch), returns="losses")
    assert set(losses) == {"next_event"}
    np.testing.assert_allclose(logits["click"], model(batch), rtol=1e-6)
    without, _ = model_and_batch(aux_weight=0.0)
    assert set(without.compute_losses(batch)) == {"ctr_loss"}


def test_every_step_draws_other_negatives_and_the_same_step_the_same():
    model, batch = model_and_batch()
    first = model._with_negatives(batch)["negative item_id"].numpy()
    np.testing.assert_array_equal(model._with_negatives(batch)["negative item_id"], first)
    model.train_step(batch)
    assert (model._with_negatives(batch)["negative item_id"].numpy() != first).mean() > 0.5


def test_impossible_options():
    with pytest.raises(ValueError, match="lifelong_dien.aux_weight must not be negative, got -1.0"):
        dien.Config(aux_weight=-1.0)
    with pytest.raises(ValueError, match="lifelong_dien.top_k must be at least 1 or none, got 0"):
        dien.Config(top_k=0)
    with pytest.raises(ValueError, match=r"lifelong_dien.hidden_units must all be at least 1, got \(7, 0\)"):
        dien.Config(hidden_units=(7, 0))
    with pytest.raises(ValueError, match="augru must be one of.*got 'gru'"):
        short_term_dien.build(short_term_dien.Config(augru="gru"))
