"""BERT4Rec's objective against a loop over hidden events."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from lcn_tf.contracts import Everyone
from lcn_tf.data import records
from lcn_tf.data.pipeline import flat_rows, grouped_rows
from lcn_tf.embeddings import EmbeddingConfig, FeatureEmbedder
from lcn_tf.embeddings.sequence_rows import draw_items, sequence_rows
from lcn_tf.objectives import bert4rec
from lcn_tf.ops.cloze_masking import cloze_positions
from lcn_tf.ops.pair_sampling import fold_seed
from lcn_tf.schema import CLICK
from tests import synthetic

LENGTHS = {"short_target": 3, "short_source": 5, "lifelong_source": 13}
SCHEMA = synthetic.make_schema()
SEED = tf.constant([3, 4], tf.int64)
SMALL = {"num_negatives": 24, "width": 6, "dropout": 0.0}


def looked_up(embedder, rows=grouped_rows):
    groups = synthetic.make_groups(SCHEMA, 9, seed=4)
    return embedder.look_up(rows(SCHEMA, tf.constant([records.encode(SCHEMA, group) for group in groups]), LENGTHS))


def built(**options):
    tf.keras.utils.set_random_seed(2)
    embedder = FeatureEmbedder(SCHEMA, LENGTHS, EmbeddingConfig(embedding_dim=4, initializer="unit_normal"))
    objective = bert4rec.build(bert4rec.Config(**{**SMALL, **options}))
    objective.build_weights(embedder)
    for weight in objective.trainable_weights:
        weight.assign(tf.random.stateless_normal(weight.shape, [1, len(weight.shape)], stddev=0.5))
    return embedder, objective


def sums(embedder, objective, rows=grouped_rows):
    batch = looked_up(embedder, rows)
    total, count = objective(batch, Everyone(batch, tf.constant(0)), SEED)["cloze"]
    return float(total), float(count)


@pytest.mark.parametrize("options", [
    {}, {"log_q": True, "temperature": 0.7}, {"history": "target"}, {"history": "both_separately", "mask_share": 0.5},
    {"mask_last": 1.0}], ids=str)
def test_equals_a_loop_over_hidden_events(options):
    embedder, objective = built(**options)
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
    np.testing.assert_allclose(sums(embedder, objective), (total, count), rtol=2e-5)


def test_layouts_hide_drop_and_draw_the_same():
    embedder, objective = built(dropout=0.3, history="both_separately")
    np.testing.assert_allclose(sums(embedder, objective), sums(embedder, objective, flat_rows), rtol=1e-5)
    other = dataclasses.replace(objective.config, dropout=0.0, history="both_separately")
    assert sums(*built(**dataclasses.asdict(other)))[0] != pytest.approx(sums(embedder, objective)[0], rel=1e-3)


def test_a_schema_without_a_short_history_of_each_domain_is_refused():
    histories = {name: spec for name, spec in SCHEMA.histories.items() if name != "short_target"}
    with pytest.raises(ValueError, match="no short history of the domain 'target', only short_source"):
        built()[1].reads(dataclasses.replace(SCHEMA, histories=histories, labels=(CLICK,)))


@pytest.mark.parametrize("options", [{"weight": -1.0}, {"mask_share": 0.0}, {"mask_last": 2.0}, {"num_negatives": 0},
                                     {"temperature": float("nan")}], ids=str)
def test_impossible_options(options):
    with pytest.raises(ValueError, match=f"bert4rec.{next(iter(options))} must"):
        bert4rec.Config(**options)
