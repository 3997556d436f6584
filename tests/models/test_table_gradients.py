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


def indices_of_gradients(model, batch, tables=None):
    """Rows that the gradient of each table names; of the model's tables, or others."""
    found = {variable.ref(): gradient for variable, gradient in
             zip(model.trainable_variables, model.compute_gradients(batch)[1], strict=True)}
    gradients = {name: found[table.ref()] for name, table in (tables or model.embedder.tables).vectors.items()}
    assert all(isinstance(gradient, tf.IndexedSlices) for gradient in gradients.values() if gradient is not None)
    return {name: gradient.indices for name, gradient in gradients.items() if gradient is not None}


@pytest.mark.parametrize("rows, moments", [(grouped_rows, False), (grouped_rows, True), (flat_rows, False)],
                         ids=["one moment", "moments", "flat"])
@pytest.mark.parametrize("long_term", components("long_term"))
def test_table_gradients_name_ids_of_the_batch(long_term, rows, moments):
    schema = synthetic.make_schema()
    found = indices_of_gradients(make_model(schema, long_term), make_batch(schema, rows, moments))
    assert {feature.table for feature in schema.item} <= set(found)
    for table, indices in found.items():
        assert int(tf.reduce_max(indices)) < schema.tables[table], table
        assert len(set(indices.numpy())) == len(indices), f"{table}: RowSparseAdam(unique_ids=True) relies on it"


@pytest.mark.parametrize("long_term, options, objectives", [
    ("sim", {"tables": "separate"}, {}), ("lap", {}, {"tables": "separate", "num_negatives": 9001})],
    ids=["sim", "crp"])
def test_search_tables_are_looked_up_once_too(long_term, options, objectives):
    schema = synthetic.make_schema()
    configs = {("long_term", long_term): component("long_term", long_term).Config(**options),
               ("objectives", "crp"): component("objectives", "crp").Config(**objectives)}
    model = make_model(schema, long_term, ("crp",) if objectives else (), configs)
    found = indices_of_gradients(model, make_batch(schema, grouped_rows, moments=False), model.embedder.search_tables)
    assert set(found) == {feature.table for feature in schema.item}
    for table, indices in found.items():
        assert int(tf.reduce_max(indices)) < schema.tables[table], table
        assert len(set(indices.numpy())) == len(indices), table


@pytest.mark.parametrize("num_negatives", [64, 9001])
def test_crp_names_ids_of_the_batch_once_each(num_negatives):
    schema = synthetic.make_schema()
    batch = make_batch(schema, grouped_rows, moments=False)
    crp = dataclasses.replace(component("objectives", "crp").Config(), num_negatives=num_negatives)
    found = indices_of_gradients(make_model(schema, "none", ("crp",), {("objectives", "crp"): crp}), batch)
    for table, indices in found.items():
        assert int(tf.reduce_max(indices)) < schema.tables[table], table
        assert len(set(indices.numpy())) == len(indices), table
