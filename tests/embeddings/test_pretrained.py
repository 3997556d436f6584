"""Frozen vectors and their projection; beside them, a trained vector of each id that is a table's to optimisers."""

import numpy as np
import pytest
import tensorflow as tf

from lcn_tf.contracts import TableSpec
from lcn_tf.data import records
from lcn_tf.data.pipeline import grouped_rows
from lcn_tf.embeddings import EmbeddingConfig
from lcn_tf.embeddings.tables import dense, pretrained
from lcn_tf.models import ModelConfig, build_model
from lcn_tf.training import TrainConfig, compile_model
from tests import synthetic

ROWS, FROZEN, WIDTH = 61, 7, 5
LENGTHS = {"short_target": 3, "short_source": 5, "lifelong_source": 13}
VECTORS = np.random.default_rng(1).normal(size=(ROWS, FROZEN)).astype(np.float32)


def table_of(**options):
    tf.keras.utils.set_random_seed(2)
    initializer = tf.keras.initializers.RandomUniform(-1, 1)
    return pretrained.build(pretrained.Config(**options), TableSpec("item", ROWS, WIDTH, initializer, VECTORS))


def projected(table, ids):
    scaled = 0.1 * VECTORS.astype(float) / np.linalg.norm(VECTORS, axis=1).mean()
    return scaled[ids] @ table.projection.layers[-1].kernel.numpy()


def test_alone_it_is_the_projection_and_draws_nothing_else():
    table, ids = table_of(), np.array([[0, 5], [60, 5]])
    np.testing.assert_allclose(table.rows(ids), projected(table, ids), rtol=2e-5, atol=1e-7)
    assert [weight.shape.as_list() for weight in table.weights] == [[FROZEN, WIDTH], [ROWS, FROZEN]]
    assert table.row_weights == [] and len(table.trainable_weights) == 1


@pytest.mark.parametrize("units", [0, 3])
def test_beside_it_is_a_trained_vector(units):
    table, alone, ids = table_of(beside=True, projection_units=units), table_of(projection_units=units), np.arange(ROWS)
    trained, = table.row_weights
    assert trained.shape == [ROWS, WIDTH] and np.ptp(trained) > 1.5
    np.testing.assert_allclose(table.rows(ids), alone.rows(ids) + trained, rtol=2e-5, atol=1e-6)
    own, dense_names = [weight.name for weight in table.row_weights], dense.build(dense.Config(), TableSpec(
        "item", ROWS, WIDTH, tf.keras.initializers.Zeros())).row_weights
    assert own == [weight.name for weight in dense_names] == ["item_table:0"]
    np.testing.assert_array_equal(table.projection.layers[0].kernel, alone.projection.layers[0].kernel)


def model_of(beside, **training):
    tf.keras.utils.set_random_seed(3)
    model = build_model(
        synthetic.make_schema(), LENGTHS, ModelConfig("mean_pool", "mean", (), tables=("item:pretrained",)),
        {("tables", "pretrained"): pretrained.Config(beside=beside)}, EmbeddingConfig(embedding_dim=WIDTH),
        vectors={"item": VECTORS})
    compile_model(model, TrainConfig(learning_rate=0.01, **training))
    return model


def batch_of():
    schema = synthetic.make_schema()
    groups = synthetic.make_groups(schema, 3, seed=6)
    return grouped_rows(schema, tf.constant([records.encode(schema, group) for group in groups]), LENGTHS)


def test_a_step_moves_the_rows_that_it_read_and_no_frozen_number():
    model, batch = model_of(True, optimizer="row_sparse_adam"), batch_of()
    table = model.embedder.tables.tables["item"]
    trained, = table.row_weights
    gradients = dict(zip([weight.ref() for weight in model.trainable_variables], model.compute_gradients(batch)[1],
                         strict=True))
    gradient = gradients[trained.ref()]
    assert isinstance(gradient, tf.IndexedSlices)
    read = {int(value) for name, ids in batch.items() if name.endswith("item_id") for value in ids.numpy().ravel()}
    assert len(set(gradient.indices.numpy())) == len(gradient.indices) and set(gradient.indices.numpy()) == read
    before, frozen = trained.numpy(), table.frozen.numpy()
    model.train_step(batch)
    moved = np.flatnonzero((trained.numpy() != before).any(1))
    assert set(moved.tolist()) == read - {0} and len(read) < ROWS
    np.testing.assert_array_equal(table.frozen, frozen)


def test_optimisers_of_tables_take_the_trained_vectors_and_not_the_projection():
    for beside in (False, True):
        model = model_of(beside, table_optimizer="adagrad", weight_decay=0.1)
        table = model.embedder.tables.tables["item"]
        taken = {weight.ref() for weight in model.embedder.table_weights}
        assert {weight.ref() for weight in table.row_weights} <= taken and len(table.row_weights) == beside
        assert not taken & {weight.ref() for weight in table.projection.weights}
        others = [weight.shape for weight in model.embedder.tables.vectors.values()]
        assert len(taken) == len(others) + beside


@pytest.mark.parametrize("options, message", [
    ({"projection_units": -1}, "pretrained.projection_units must not be negative, got -1"),
    ({"scale": 0.0}, "pretrained.scale must be a positive number, got 0.0")])
def test_impossible_options(options, message):
    with pytest.raises(ValueError, match=message):
        pretrained.Config(**options)


def test_a_table_without_vectors_says_which_commands_add_them():
    spec = TableSpec("item", ROWS, WIDTH, tf.keras.initializers.Zeros())
    with pytest.raises(ValueError, match="item:pretrained needs vectors .*data_prep.content_vectors .*graph_vectors"):
        pretrained.build(pretrained.Config(), spec)
