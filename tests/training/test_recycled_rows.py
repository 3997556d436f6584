"""Rows of tables that begin anew: as before training, with empty slots, and no other row is touched."""

import dataclasses

import numpy as np
import pytest

from lcn_tf.data.pipeline import RecordFiles, read
from lcn_tf.embeddings import EmbeddingConfig
from lcn_tf.models import build_model
from lcn_tf.optimizers.slots import slots_of
from lcn_tf.training import TrainConfig, compile_model
from lcn_tf.training.recycled_rows import put_back, rows_of
from tests import synthetic
from tests.training.test_trainer import DATA, SIMPLE


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    data_dir = tmp_path_factory.mktemp("data")
    synthetic.write_records(data_dir, seed=3)
    return RecordFiles.open(str(data_dir))


def new_model(files, parts=SIMPLE, per_domain=(), **options):
    model = build_model(files.schema, DATA.lengths_of(files.schema), parts, {},
                        EmbeddingConfig(embedding_dim=4, per_domain=per_domain), seed=1)
    compile_model(model, TrainConfig(batch_size=29, learning_rate=0.02, **options))
    return model


def variables(model, table):
    weight = model.embedder.tables.tables[table].vectors
    return [weight, *slots_of(model.optimizer, weight)]


@pytest.mark.parametrize("options, slots", [
    ({"optimizer": "adam"}, 2), ({"optimizer": "row_sparse_adam"}, 2), ({"optimizer": "adagrad"}, 1),
    ({"optimizer": "adam", "table_optimizer": "adagrad"}, 1), ({"optimizer": "adam", "weight_decay": 0.1}, 2)])
def test_rows_begin_anew_whatever_trains_them(files, options, slots):
    model, table = new_model(files, **options), files.schema.item[0].table
    untrained = [value.numpy() for value in variables(model, table)]
    assert len(untrained) == 1 + slots and all(value.shape == untrained[0].shape for value in untrained)
    ids = np.array([2, 5], np.int64)
    kept = rows_of(model, {table: ids, "not a table of the model": ids})
    model.fit(read(files, "train", DATA, 29, (1, 1)).take(4), verbose=0)
    trained = [value.numpy() for value in variables(model, table)]
    put_back(kept)
    others = np.setdiff1d(np.arange(len(untrained[0])), ids)
    for before, after, value in zip(untrained, trained, variables(model, table), strict=True):
        assert (after[ids] != before[ids]).any()
        np.testing.assert_array_equal(value.numpy()[ids], before[ids])
        np.testing.assert_array_equal(value.numpy()[others], after[others])


def test_rows_of_each_domain_begin_anew(files):
    table = files.schema.item[0].table
    model, rows = new_model(files, per_domain=(table,)), files.schema.tables[table]
    found = rows_of(model, {table: np.array([3], np.int64)})
    assert found[0].places.tolist() == [3, 3 + rows] and found[0].variable.shape[0] == 2 * rows


def test_other_kinds_of_tables_are_refused(files):
    table = files.schema.item[0].table
    parts = dataclasses.replace(SIMPLE, tables=(f"{table}:pretrained",))
    vectors = {table: np.ones((files.schema.tables[table], 3), np.float32)}
    model = build_model(files.schema, DATA.lengths_of(files.schema), parts, {}, EmbeddingConfig(embedding_dim=4),
                        seed=1, vectors=vectors)
    compile_model(model, TrainConfig())
    with pytest.raises(ValueError, match=f"table '{table}': rows of a PretrainedTable cannot begin anew"):
        rows_of(model, {table: np.array([2], np.int64)})
