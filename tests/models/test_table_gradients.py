"""A step costs what its batch costs: the gradient of a table names ids of the batch, never all rows of the table."""

import dataclasses

import pytest
import tensorflow as tf

from lcn_tf.data import records
from lcn_tf.data.pipeline import flat_rows, grouped_rows
from lcn_tf.embeddings import EmbeddingConfig
from lcn_tf.models import ModelConfig, build_model
from lcn_tf.models.registry import components
from lcn_tf.schema import TIME_GAP
from tests import synthetic

LENGTHS = {"short_target": 3, "short_source": 5, "lifelong_source": 13}


def make_batch(schema, rows, moments):
    groups = synthetic.make_groups(schema, 3, seed=6)
    for group in groups if moments else ():
        group["timestamp"] = [stamp - 5_000 * place for place, stamp in enumerate(group["timestamp"])]
    return rows(schema, tf.constant([records.encode(schema, group) for group in groups]), LENGTHS)


@pytest.mark.parametrize("rows, moments", [(grouped_rows, False), (grouped_rows, True), (flat_rows, False)],
                         ids=["one moment", "moments", "flat"])
@pytest.mark.parametrize("long_term", components("long_term"))
def test_table_gradients_name_ids_of_the_batch(long_term, rows, moments):
    schema = synthetic.make_schema()
    batch = make_batch(schema, rows, moments)
    larger = {name: size if name == TIME_GAP else size + 7 for name, size in schema.tables.items()}
    model = build_model(dataclasses.replace(schema, tables=larger), LENGTHS,
                        ModelConfig(long_term=long_term, objectives=()), None, EmbeddingConfig(embedding_dim=4))
    model.build_weights()

    @tf.function  # outside a function, tf.cond runs one branch only
    def indices_of_gradients():
        with tf.GradientTape() as tape:
            loss = model.compute_loss(batch)
        tables = model.embedder.tables.tables
        gradients = tape.gradient(loss, tables)
        assert all(isinstance(gradient, tf.IndexedSlices) for gradient in gradients.values() if gradient is not None)
        return {name: gradient.indices for name, gradient in gradients.items() if gradient is not None}

    found = indices_of_gradients()
    assert {feature.table for feature in schema.item} <= set(found)
    for table, indices in found.items():
        assert int(tf.reduce_max(indices)) < schema.tables[table], table
