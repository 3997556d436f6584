"""A step costs what its batch costs: the gradient of a table names ids of the batch, never all rows of the table."""

import dataclasses

import pytest
import tensorflow as tf

from lcn_tf.data import records
from lcn_tf.data.pipeline import flat_rows, grouped_rows
from lcn_tf.embeddings import EmbeddingConfig
from lcn_tf.models import ModelConfig, build_model
from lcn_tf.models.registry import component, components
from lcn_tf.schema import TIME_GAP
from tests import synthetic

LENGTHS = {"short_target": 3, "short_source": 5, "lifelong_source": 13}


def make_batch(schema, rows, moments):
    groups = synthetic.make_groups(schema, 3, seed=6)
    for group in groups if moments else ():
        group["timestamp"] = [stamp - 5_000 * place for place, stamp in enumerate(group["timestamp"])]
    return rows(schema, tf.constant([records.encode(schema, group) for group in groups]), LENGTHS)


def make_model(schema, long_term, objectives=(), configs=None):
    """A model whose tables have more rows than the batches have ids."""
    larger = {name: size if name == TIME_GAP else size + 7 for name, size in schema.tables.items()}
    model = build_model(dataclasses.replace(schema, tables=larger), LENGTHS,
                        ModelConfig(long_term=long_term, objectives=objectives), configs,
                        EmbeddingConfig(embedding_dim=4))
    model.build_weights()
    model.compile(optimizer=tf.keras.optimizers.Adam())
    return model


def indices_of_gradients(model, batch):
    """Rows that the gradient of each table names."""
    @tf.function  # outside a function, tf.cond runs one branch only
    def indices():
        with tf.GradientTape() as tape:
            loss = model.compute_loss(batch)
        gradients = tape.gradient(loss, model.embedder.tables.tables)
        assert all(isinstance(gradient, tf.IndexedSlices) for gradient in gradients.values() if gradient is not None)
        return {name: gradient.indices for name, gradient in gradients.items() if gradient is not None}

    return indices()


@pytest.mark.parametrize("rows, moments", [(grouped_rows, False), (grouped_rows, True), (flat_rows, False)],
                         ids=["one moment", "moments", "flat"])
@pytest.mark.parametrize("long_term", components("long_term"))
def test_table_gradients_name_ids_of_the_batch(long_term, rows, moments):
    schema = synthetic.make_schema()
    found = indices_of_gradients(make_model(schema, long_term), make_batch(schema, rows, moments))
    assert {feature.table for feature in schema.item} <= set(found)
    for table, indices in found.items():
        assert int(tf.reduce_max(indices)) < schema.tables[table], table


@pytest.mark.parametrize("num_negatives", [64, 9001])
def test_crp_names_ids_of_the_batch_and_with_many_negatives_each_item_once(num_negatives):
    schema = synthetic.make_schema()
    batch = make_batch(schema, grouped_rows, moments=False)
    crp = dataclasses.replace(component("objectives", "crp").Config(), num_negatives=num_negatives)
    found = indices_of_gradients(make_model(schema, "none", ("crp",), {("objectives", "crp"): crp}), batch)
    without = indices_of_gradients(make_model(schema, "none"), batch)
    for table in {feature.table for feature in schema.item}:
        assert int(tf.reduce_max(found[table])) < schema.tables[table], table
        ids = sum(tf.size(batch[f"{history}_{feature.name}"]) for history in ("short_target", "short_source")
                  for feature in schema.item if feature.table == table)
        added = len(found[table]) - len(without[table])
        assert added <= ids if num_negatives > 8192 else added > ids, table
