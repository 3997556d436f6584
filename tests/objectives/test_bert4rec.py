"""BERT4Rec's objective against a loop over hidden events."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from lcn_tf.data.pipeline import flat_rows
from lcn_tf.embeddings.sequence_rows import draw_items, sequence_rows
from lcn_tf.objectives import bert4rec
from lcn_tf.ops.cloze_masking import cloze_positions
from lcn_tf.ops.pair_sampling import fold_seed
from lcn_tf.schema import CLICK
from tests.objectives.batches import SCHEMA, SEED, built, looked_up, sums


@pytest.mark.parametrize("options", [
    {}, {"log_q": True, "temperature": 0.7}, {"history": "target"}, {"history": "both_separately", "mask_share": 0.5},
    {"mask_last": 1.0}], ids=str)
def test_equals_a_loop_over_hidden_events(options):
    embedder, objective = built(bert4rec, **options)
    batch, config = looked_up(embedder), objective.config
    rows = sequence_rows(batch, config.history)
    histories = ("short_target",) if config.history == "target" else ("short_target", "short_source")
    drawn = draw_items(batch, histories, config.num_negatives, fold_seed(SEED, 0))
    negatives = np.asarray(drawn.vectors, np.float64)
    items = list(zip(*(ids.numpy().tolist() for ids in drawn.ids.values()), strict=True))
    total = count = 0.0
    for number, sequence in enumerate(rows.sequences):
        row_ids = tf.pad(rows.row_ids, [[0, 0], [0, 1]], constant_values=number)
        hidden = cloze_positions(sequence.mask, row_ids, fold_seed(SEED, 1), config.mask_share, config.mask_last)
        vectors = batch.reader.items({name: sequence.ids[f"key of {name}"] for name in ("item_id", "category")})
        states = objective.encoder(vectors, mask=sequence.mask, domain=sequence.domain, hidden=hidden)
        for row, event in np.argwhere(hidden.numpy()):
            own = tuple(int(sequence.ids[name][row, event]) for name in ("item_id", "category"))
            query = np.asarray(objective.head(states[row, event][tf.newaxis])[0], np.float64) / config.temperature
            logits = {None: query @ np.asarray(vectors[row, event], np.float64)}
            logits.update({place: query @ negatives[place] for place, item in enumerate(items) if item != own})
            if config.log_q:
                for place in logits:
                    item = own if place is None else items[place]
                    logits[place] -= np.log((items.count(item) + 1) / (len(items) + 1))
            values = np.array(list(logits.values()))
            weight = float(rows.weight[row])
            total += weight * (np.log(np.exp(values - values.max()).sum()) + values.max() - logits[None])
            count += weight
    assert count > 9
    np.testing.assert_allclose(sums(embedder, objective)["cloze"], (total, count), rtol=2e-5)


def test_layouts_hide_drop_and_draw_the_same():
    embedder, objective = built(bert4rec, dropout=0.3, history="both_separately")
    dropped = sums(embedder, objective)["cloze"]
    np.testing.assert_allclose(dropped, sums(embedder, objective, flat_rows)["cloze"], rtol=1e-5)
    assert sums(*built(bert4rec, history="both_separately"))["cloze"][0] != pytest.approx(dropped[0], rel=1e-3)


def test_a_schema_without_a_short_history_of_each_domain_is_refused():
    histories = {name: spec for name, spec in SCHEMA.histories.items() if name != "short_target"}
    with pytest.raises(ValueError, match="no short history of the domain 'target', only short_source"):
        built(bert4rec)[1].reads(dataclasses.replace(SCHEMA, histories=histories, labels=(CLICK,)))


@pytest.mark.parametrize("options", [{"weight": -1.0}, {"mask_share": 0.0}, {"mask_last": 2.0}, {"num_negatives": 0},
                                     {"temperature": float("nan")}], ids=str)
def test_impossible_options(options):
    with pytest.raises(ValueError, match=f"bert4rec.{next(iter(options))} must"):
        bert4rec.Config(**options)
