"""Training chooses the epoch on validation, resumes exactly, and stops at a loss that is no number."""

import concurrent.futures
import dataclasses
import json
import os

import numpy as np
import pytest
import tensorflow as tf

from lcn_tf.data import records
from lcn_tf.data.pipeline import DataConfig, RecordFiles, read
from lcn_tf.embeddings import EmbeddingConfig
from lcn_tf.models import ModelConfig, build_model
from lcn_tf.models.registry import component
from lcn_tf.training import TrainConfig, compile_model, predict, results, train
from tests import synthetic
from tests.training.event_files import scalars_of

DATA = DataConfig(layout="grouped", short_length=3, lifelong_length=11, shuffle_buffer=50)
TRAIN = TrainConfig(batch_size=29, epochs=3, patience=3, learning_rate=0.02, checkpoint_every=2)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    data_dir = tmp_path_factory.mktemp("data")
    synthetic.write_records(data_dir, seed=3)
    return RecordFiles.open(str(data_dir))


def new_model(files, config=TRAIN):
    tf.keras.utils.set_random_seed(config.seed)
    lap = dataclasses.replace(component("long_term", "lap").Config(), msa_top_k=7, fsa_top_k=3, attention_dim=4)
    crp = dataclasses.replace(component("objectives", "crp").Config(), num_negatives=31)
    configs = {("long_term", "lap"): lap, ("objectives", "crp"): crp}
    model = build_model(files.schema, DATA.lengths, ModelConfig(), configs, EmbeddingConfig(embedding_dim=4),
                        seed=config.seed)
    compile_model(model, config)
    return model


def run(files, workdir, config=TRAIN, model=None, **options):
    model = model or new_model(files, config)
    result = train(model, files, DATA, config, str(workdir), verbose=0, **options)
    return result, predict(model, read(files, "test", DATA, 29))


def test_leaves_the_files_it_promises(files, tmp_path):
    result, _ = run(files, tmp_path)
    assert [row["epoch"] for row in result.history] == [1, 2, 3]
    assert results.read_history(str(tmp_path / "history.csv")) == result.history
    assert list((tmp_path / "tensorboard").rglob("events*"))
    assert tf.train.latest_checkpoint(str(tmp_path / "checkpoints"))
    best = f"epoch-{result.best_epoch}"
    assert tf.train.latest_checkpoint(str(tmp_path / "checkpoints" / "best")) == str(
        tmp_path / "checkpoints" / "best" / best) == result.best_checkpoint
    assert {path.stem for path in (tmp_path / "checkpoints" / "best").iterdir()} == {"checkpoint", best}
    assert {path.stem for path in (tmp_path / "checkpoints").iterdir()} == {"checkpoint", "best", "epoch-3-step-0"}
    for row in result.history:
        assert {"train_loss", "train_ctr_loss", "train_crp_pc", "train_auc", "validation_auc", "validation_logloss"
                } <= set(row)


@pytest.mark.parametrize("monitor", ["auc", "logloss"])
def test_returns_the_weights_of_the_best_validation_epoch(files, tmp_path, monitor):
    config = dataclasses.replace(TRAIN, monitor=monitor, epochs=4, learning_rate=0.05)
    model = new_model(files, config)
    result, _ = run(files, tmp_path, config, model)
    values = [row[f"validation_{monitor}"] for row in result.history]
    assert result.best_epoch == 1 + (np.argmax(values) if monitor == "auc" else np.argmin(values))
    metrics = predict(model, read(files, "validation", DATA, 29)).metrics()
    assert metrics[monitor] == pytest.approx(values[result.best_epoch - 1], rel=1e-6)


def test_stops_when_validation_stalls(files, tmp_path):
    config = dataclasses.replace(TRAIN, epochs=40, patience=1, learning_rate=0.05)
    result, _ = run(files, tmp_path, config)
    assert len(result.history) == result.best_epoch + 1 < 40


class KilledError(Exception):
    """Stands for the end of the process."""


@pytest.mark.parametrize("killed_at, change", [
    (1, {"checkpoint_every": 1}), (3, {"optimizer": "row_sparse_adam"}), (7, {}),
    (8, {"table_optimizer": "adagrad", "table_learning_rate": 0.05})])
def test_resumes_with_the_same_result(files, tmp_path, killed_at, change, monkeypatch):
    config = dataclasses.replace(TRAIN, **change)
    expected, predictions = run(files, tmp_path / "whole", config)
    steps = 0
    model = new_model(files, config)

    class Kill(tf.keras.callbacks.TensorBoard):
        def on_train_batch_end(self, batch, logs=None):
            nonlocal steps
            steps += 1
            if steps == killed_at:
                raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(tf.keras.callbacks, "TensorBoard", Kill)
        with pytest.raises(KilledError):
            run(files, tmp_path / "killed", config, model)
    result, again = run(files, tmp_path / "killed", config)
    np.testing.assert_allclose(again.logit, predictions.logit, rtol=1e-5, atol=1e-6)
    assert result.best_epoch == expected.best_epoch
    for row, other in zip(result.history, expected.history, strict=True):
        assert row["validation_auc"] == pytest.approx(other["validation_auc"], abs=1e-9)
        assert {**row, "seconds": 0} == pytest.approx({**other, "seconds": 0}, rel=1e-4)  # means over the whole epoch


def test_a_kill_that_undid_the_best_epoch_leaves_the_best_one_before_it(files, tmp_path, monkeypatch):
    def kill(path, rows):  # the weights are written as the best; no checkpoint says that the epoch is done
        raise KilledError

    class NoBetter(tf.keras.callbacks.TensorBoard):
        """Trained again, the epoch is no better: where workers do not wait for each other, it may be another one."""

        def on_train_begin(self, logs=None):
            self.model.optimizer.learning_rate.assign(0.0)

    config = dataclasses.replace(TRAIN, epochs=2, checkpoint_every=100)
    run(files, tmp_path, dataclasses.replace(config, epochs=1))
    with monkeypatch.context() as patch:
        patch.setattr(results, "write_history", kill)
        with pytest.raises(KilledError):
            run(files, tmp_path, config)
    undone = tmp_path / "checkpoints" / "best" / "epoch-2.index"
    assert undone.exists()
    model = new_model(files, config)
    monkeypatch.setattr(tf.keras.callbacks, "TensorBoard", NoBetter)
    result, _ = run(files, tmp_path, config, model)
    assert result.best_epoch == 1 and result.best_checkpoint.endswith("epoch-1") and not undone.exists()
    metrics = predict(model, read(files, "validation", DATA, 29)).metrics()
    assert metrics["auc"] == pytest.approx(result.history[0]["validation_auc"], rel=1e-6)
    assert metrics["logloss"] == pytest.approx(result.history[0]["validation_logloss"], rel=1e-6)


@pytest.mark.parametrize("name, matched", [("lr[0.1]*", "lr0"), ("a\\b?", "abc")])
def test_a_folder_of_any_name_is_continued_and_leaves_others_alone(files, tmp_path, name, matched):
    for ending in ("index", "data-00000-of-00001"):  # what the name is a pattern of
        path = tmp_path / matched / "checkpoints" / f"epoch-1-step-0.{ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    run(files, tmp_path / name, dataclasses.replace(TRAIN, epochs=1))
    model = new_model(files)
    result, _ = run(files, tmp_path / name, dataclasses.replace(TRAIN, epochs=2), model)
    assert [row["epoch"] for row in result.history] == [1, 2]
    checkpoints = {path.name for path in (tmp_path / name / "checkpoints").glob("epoch*")}
    assert checkpoints == {"epoch-2-step-0.index", "epoch-2-step-0.data-00000-of-00001"}
    assert len(list((tmp_path / matched / "checkpoints").iterdir())) == 2
    metrics = predict(model, read(files, "validation", DATA, 29)).metrics()
    assert metrics["auc"] == pytest.approx(result.history[result.best_epoch - 1]["validation_auc"], rel=1e-6)


def test_a_run_whose_history_is_gone_is_not_continued(files, tmp_path):
    run(files, tmp_path, dataclasses.replace(TRAIN, epochs=1))
    (tmp_path / "history.csv").unlink()
    with pytest.raises(ValueError, match=r"history.csv: expected a row for each of the 1 epochs .*, got 0"):
        run(files, tmp_path)


def test_every_epoch_has_one_consistency_also_after_a_kill(files, tmp_path, monkeypatch):
    expected, _ = run(files, tmp_path / "whole", consistency_rows=31)
    write_history = results.write_history

    def kill(path, rows):
        write_history(path, rows)
        if len(rows) == 2:  # known to the files, not yet to a checkpoint
            raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(results, "write_history", kill)
        with pytest.raises(KilledError):
            run(files, tmp_path / "killed", consistency_rows=31)
    result, _ = run(files, tmp_path / "killed", consistency_rows=31)
    scalars = scalars_of(tmp_path / "killed" / "tensorboard" / "validation")
    assert {"epoch_auc", "epoch_logloss"} <= set(scalars)
    for name in ("consistency", "consistency_corrected"):
        values = [row[f"validation_{name}"] for row in result.history]
        expected_values = [row[f"validation_{name}"] for row in expected.history]
        assert len(set(values)) > 1 and values == pytest.approx(expected_values, abs=0.05)
        assert scalars[f"epoch_{name}"] == [(step, pytest.approx(value)) for step, value in enumerate(values)]


def test_a_finished_run_is_not_trained_again(files, tmp_path):
    first, predictions = run(files, tmp_path)
    again, same = run(files, tmp_path)
    assert again == first
    np.testing.assert_array_equal(predictions.logit, same.logit)


def test_seed_decides_everything(files, tmp_path):
    (_, first), (_, same) = (run(files, tmp_path / name) for name in ("first", "same"))
    _, other = run(files, tmp_path / "other", dataclasses.replace(TRAIN, seed=2))
    np.testing.assert_allclose(first.logit, same.logit, rtol=1e-5, atol=1e-6)
    assert not np.allclose(first.logit, other.logit, rtol=1e-2)


@pytest.mark.parametrize("optimizer", ["adam", "row_sparse_adam"])
def test_learns_what_is_planted(tmp_path, optimizer):
    synthetic.write_records(tmp_path / "data", groups={"train": 400, "validation": 50, "test": 100}, seed=5)
    files = RecordFiles.open(str(tmp_path / "data"))
    _, rows = run(files, tmp_path / "work", dataclasses.replace(TRAIN, batch_size=64, epochs=6, optimizer=optimizer))
    assert rows.metrics()["auc"] > 0.7  # 0.8 is attainable


def test_stops_at_a_loss_that_is_no_number(files, tmp_path):
    model = new_model(files)
    table = model.embedder.tables.tables["category"]
    table.assign(tf.fill(table.shape, float("nan")))
    with pytest.raises(FloatingPointError, match="training step 1: .*loss"):
        run(files, tmp_path, model=model)
    assert not tf.train.latest_checkpoint(str(tmp_path / "checkpoints"))


def test_a_damaged_file_is_named(tmp_path):
    synthetic.write_records(tmp_path / "data", seed=3)
    files = RecordFiles.open(str(tmp_path / "data"))
    path = tmp_path / "data" / "synthetic-validation.tfrecord-00001-of-00002"
    content = bytearray(path.read_bytes())
    content[-9] ^= 255
    path.write_bytes(content)
    with pytest.raises(records.RecordError, match=f"{path.name}: damaged after record"):
        run(files, tmp_path / "work")


@pytest.mark.parametrize("change, message", [
    ({"batch_size": 0}, "train.batch_size"), ({"epochs": 0}, "train.epochs"), ({"learning_rate": 0}, "learning_rate"),
    ({"table_learning_rate": -0.1}, "train.table_learning_rate"), ({"learning_rate": float("nan")}, "learning_rate"),
    ({"table_learning_rate": float("inf")}, "train.table_learning_rate")])
def test_impossible_settings_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(TRAIN, **change)


def test_files_of_a_run_appear_whole(tmp_path):
    path = str(tmp_path / "metrics.json")
    results.write_json(path, {"b": 1, "a": [2]})
    results.append_json_line(str(tmp_path / "results.jsonl"), {"x": 1})
    results.append_json_line(str(tmp_path / "results.jsonl"), {"x": 2})
    assert json.loads((tmp_path / "metrics.json").read_text()) == {"a": [2], "b": 1}
    assert [json.loads(line)["x"] for line in (tmp_path / "results.jsonl").read_text().splitlines()] == [1, 2]
    assert not os.path.exists(f"{path}.partial")


def test_half_a_line_does_not_swallow_the_next_one(tmp_path):
    path = tmp_path / "results.jsonl"
    for before, expected in (('{"x": 1}\n{"x": 2', [1, 3]), ('{"x": 1}', [1, 3]), ("", [3]), ('{"x"', [3])):
        path.write_text(before)
        assert results.read_json_lines(str(path)) == [{"x": value} for value in expected[:-1]]
        results.append_json_line(str(path), {"x": 3})
        assert [json.loads(line)["x"] for line in path.read_text().splitlines()] == expected
        assert results.read_json_lines(str(path)) == [{"x": value} for value in expected]
    path.write_text('{"x": 1}\n{"x": \n{"x": 3}\n')
    with pytest.raises(ValueError, match="results.jsonl, line 2: not JSON"):
        results.read_json_lines(str(path))
    assert results.read_json_lines(str(tmp_path / "nowhere.jsonl")) == []


def test_lines_of_several_writers_stay_whole(tmp_path):
    path = str(tmp_path / "results.jsonl")
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: results.append_json_line(path, {"x": number, "text": "y" * 5000}), range(64)))
    assert sorted(line["x"] for line in results.read_json_lines(path)) == list(range(64))


def test_config_hash_depends_on_values_not_on_order():
    assert results.config_hash({"a": 1, "b": 2}) == results.config_hash({"b": 2, "a": 1})
    assert results.config_hash({"a": 1, "b": 2}) != results.config_hash({"a": 1, "b": 3})


def test_what_is_not_a_number_becomes_null(tmp_path):
    path = str(tmp_path / "metrics.json")
    results.write_json(path, {"test": {"auc": float("nan"), "logloss": 0.5}, "slices": [{"auc": float("nan")}]})
    assert json.loads((tmp_path / "metrics.json").read_text()) == {
        "test": {"auc": None, "logloss": 0.5}, "slices": [{"auc": None}]}


def groups_of_one_label(label, count, seed=2):
    groups = synthetic.make_groups(synthetic.make_schema(), count, seed=seed)
    return [{**group, "label": [label] * len(group["label"])} for group in groups]


def test_a_first_batch_without_clicks_is_no_reason_to_stop(tmp_path):
    schema = synthetic.make_schema()
    groups = {"train": groups_of_one_label(0, 20), "validation": synthetic.make_groups(schema, 9), "test": 5}
    synthetic.write_records(tmp_path / "data", schema, groups)
    files = RecordFiles.open(str(tmp_path / "data"))
    result, _ = run(files, tmp_path / "work", dataclasses.replace(TRAIN, epochs=1))
    assert result.best_epoch == 1


def test_validation_without_clicks_is_refused_unless_the_logloss_decides(tmp_path):
    synthetic.write_records(tmp_path / "data", groups={"train": 9, "validation": groups_of_one_label(0, 5), "test": 5})
    files = RecordFiles.open(str(tmp_path / "data"))
    with pytest.raises(ValueError, match="validation auc is undefined"):
        run(files, tmp_path / "auc", dataclasses.replace(TRAIN, epochs=1))
    result, _ = run(files, tmp_path / "logloss", dataclasses.replace(TRAIN, epochs=1, monitor="logloss"))
    assert result.best_epoch == 1
