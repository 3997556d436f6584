"""The L2 penalty of a batch's rows against a loop over the ids that candidates see."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from lcn_tf.data import records
from lcn_tf.data.pipeline import flat_rows, grouped_rows
from lcn_tf.embeddings import EmbeddingConfig, FeatureEmbedder
from lcn_tf.models import ModelConfig, build_model
from tests import synthetic
from tests.synthetic import HISTORIES

LENGTHS = {"short_target": 3, "short_source": 5, "lifelong_source": 13}
L2 = 0.3
CONFIG = EmbeddingConfig(embedding_dim=5, l2=L2)


def groups_of(schema, count=9):
    return synthetic.make_groups(schema, count, seed=4, offsets=True)


def batch_of(schema, rows, groups):
    return rows(schema, tf.constant([records.encode(schema, group) for group in groups]), LENGTHS)


def rows_read(schema, groups):
    """Table -> ids that a candidate of the groups sees."""
    found = {table: set() for table in schema.tables}
    for group in groups:
        for feature in (*schema.user, *schema.item, *schema.candidate, *schema.request):
            found[feature.table].update(group[feature.name])
        for history in HISTORIES:
            for offset in group[f"{history}_offset"]:
                for feature in (*schema.item, *schema.context):
                    found[feature.table].update(group[f"{history}_{feature.name}"][offset:offset + LENGTHS[history]])
    found["time_gap"] = set(range(2, schema.tables["time_gap"]))
    return {table: sorted(ids - {0}) for table, ids in found.items()}


@pytest.mark.parametrize("rows", [grouped_rows, flat_rows])
def test_every_row_that_is_seen_counts_once(rows):
    schema = synthetic.make_schema()
    groups = groups_of(schema)
    groups[0]["category"][0] = 0  # padding in a feature of an item that a candidate has
    embedder = FeatureEmbedder(schema, LENGTHS, CONFIG, search_tables=True)
    read = rows_read(schema, groups)
    with tf.GradientTape(persistent=True) as tape:
        penalty = embedder.look_up(batch_of(schema, rows, groups)).row_penalty()
    squares = 0.0
    for tables in (embedder.tables.vectors, embedder.search_tables.vectors):
        for name, table in tables.items():
            value = table.numpy()
            squares += np.square(value[read[name]]).sum()
            gradient = np.zeros_like(value)
            gradient[read[name]] = L2 * value[read[name]]
            found = tf.convert_to_tensor(tape.gradient(penalty, table))
            np.testing.assert_allclose(found, gradient, rtol=1e-5, atol=1e-7, err_msg=name)
    assert float(penalty) == pytest.approx(L2 / 2 * squares, rel=1e-5)
    assert len(read["item"]) < schema.tables["item"] - 1, "some rows are not read"
    embedder.search_tables.trainable = False  # as pretrained ones are
    assert float(embedder.look_up(batch_of(schema, rows, groups)).row_penalty()) < float(penalty)


def test_rows_of_each_domain_count_apart():
    schema = synthetic.make_schema()
    embedder = FeatureEmbedder(schema, LENGTHS, dataclasses.replace(CONFIG, per_domain=("item",)))
    groups, size = groups_of(schema), schema.tables["item"]
    read = {}
    for domain, of_source in (("target", False), ("source", True)):  # rows that are left without the other domain's ids
        alone = [{name: [0] * len(values) if name.endswith("item_id") and ("source" in name) != of_source else values
                  for name, values in group.items()} for group in groups]
        read[domain] = rows_read(schema, alone)["item"]
    with tf.GradientTape() as tape:
        penalty = embedder.look_up(batch_of(schema, grouped_rows, groups)).row_penalty()
    gradient = tf.convert_to_tensor(tape.gradient(penalty, embedder.tables.vectors["item"])).numpy()
    assert np.flatnonzero(gradient.any(axis=1)).tolist() == [*read["target"], *(size + row for row in read["source"])]


@pytest.mark.parametrize("long_term", ["mean_pool", "dien"])  # DIEN reads negatives, too, which do not count
@pytest.mark.parametrize("microbatches", [1, 3])
def test_a_models_loss_and_gradients_gain_it(microbatches, long_term):
    schema = synthetic.make_schema()
    batch, found = batch_of(schema, grouped_rows, groups_of(schema)), []
    for l2 in (0.0, L2):
        tf.keras.utils.set_random_seed(2)
        names = ModelConfig(long_term=long_term, short_term="mean", objectives=())
        model = build_model(schema, LENGTHS, names, embeddings=dataclasses.replace(CONFIG, l2=l2))
        model.build_weights()
        model.compile(optimizer=tf.keras.optimizers.SGD(0.1), microbatches=microbatches)
        found.append(model.compute_gradients(batch))
    (plain, of_plain), (losses, of_penalised) = found
    with tf.GradientTape() as tape:
        penalty = model.embedder.look_up(batch).row_penalty()
    assert set(losses) == {*plain, "embeddings_l2"} and float(losses["embeddings_l2"]) == pytest.approx(float(penalty))
    added = tape.gradient(penalty, model.trainable_weights)
    for weight, found, *parts in zip(model.trainable_weights, of_penalised, of_plain, added, strict=True):
        expected = tf.add_n([tf.convert_to_tensor(part) for part in parts if part is not None])
        np.testing.assert_allclose(tf.convert_to_tensor(found), expected, rtol=1e-4, atol=1e-6, err_msg=weight.name)
    assert "embeddings_l2" in model.train_step(batch)


@pytest.mark.parametrize("l2", [-0.1, float("nan"), float("inf")])
def test_impossible_penalties_are_refused(l2):
    with pytest.raises(ValueError, match="embeddings.l2 must be a number of at least 0, got"):
        EmbeddingConfig(l2=l2)
