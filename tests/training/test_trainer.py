"""Training chooses the epoch on validation, resumes exactly, and stops at a loss that is no number."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from lcn_tf.data import record_bytes
from lcn_tf.data.pipeline import DataConfig, RecordFiles, read
from lcn_tf.embeddings import EmbeddingConfig
from lcn_tf.models import ModelConfig, build_model
from lcn_tf.models.registry import component
from lcn_tf.towers import mlp
from lcn_tf.training import Predictions, TrainConfig, compile_model, planned_steps, predict, results, train
from tests import synthetic
from tests.training.event_files import scalars_of

DATA = DataConfig(layout="grouped", short_length=3, lifelong_length=11, shuffle_buffer=50)
TRAIN = TrainConfig(batch_size=29, epochs=3, patience=3, learning_rate=0.02, checkpoint_every=2)
TOWER = mlp.Config()
WHOLE = ModelConfig()
QUEUE = ModelConfig(long_term="mean_pool", short_term="mean", objectives=("clrec", "sqn"))  # state, and a lot by step
SIMPLE = ModelConfig(long_term="mean_pool", short_term="mean", objectives=())  # for tests of the loop


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    data_dir = tmp_path_factory.mktemp("data")
    synthetic.write_records(data_dir, seed=3)
    return RecordFiles.open(str(data_dir))


def new_model(files, config=TRAIN, tower=TOWER, parts=SIMPLE):
    tf.keras.utils.set_random_seed(config.seed)
    lap = dataclasses.replace(component("long_term", "lap").Config(), msa_top_k=7, fsa_top_k=3, attention_dim=4)
    crp = dataclasses.replace(component("objectives", "crp").Config(), num_negatives=31)
    recent = dataclasses.replace(component("long_term", "recent_k").Config(), top_k=3, attention_dim=4)
    configs = {("long_term", "lap"): lap, ("long_term", "recent_k"): recent, ("objectives", "crp"): crp,
               ("towers", "mlp"): tower}
    configs = {part: configs[part] for part in parts.parts if part in configs}
    l2 = 0.01 if config.weight_decay else 0.0
    model = build_model(files.schema, DATA.lengths_of(files.schema), parts, configs,
                        EmbeddingConfig(embedding_dim=4, l2=l2), seed=config.seed)
    compile_model(model, config, planned_steps(files, DATA, config))
    return model


def run(files, workdir, config=TRAIN, model=None, **options):
    model = model or new_model(files, config)
    result = train(model, files, DATA, config, str(workdir), verbose=0, **options)
    return result, predict(model, read(files, "test", DATA, 29))


def test_leaves_the_files_it_promises(files, tmp_path):
    result, _ = run(files, tmp_path, model=new_model(files, parts=WHOLE))
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


def test_a_metric_that_the_model_does_not_have_is_refused_before_training(files, tmp_path):
    with pytest.raises(ValueError, match="must be one of auc, gauc, logloss for this model, got 'long_stay_auc'"):
        run(files, tmp_path / "work", dataclasses.replace(TRAIN, monitor="long_stay_auc"))
    assert not (tmp_path / "work").exists()
    with pytest.raises(ValueError, match="train.monitor must be one of auc, gauc, logloss, or one of another label"):
        dataclasses.replace(TRAIN, monitor="accuracy")


def test_stops_when_validation_stalls(files, tmp_path):
    config = dataclasses.replace(TRAIN, epochs=40, patience=1, learning_rate=0.05)
    result, _ = run(files, tmp_path, config)
    assert len(result.history) == result.best_epoch + 1 < 40


class KilledError(Exception):
    """Stands for the end of the process."""


@pytest.mark.parametrize("killed_at, change", [
    (3, {"optimizer": "row_sparse_adam", "checkpoint_every": 1}), (7, {}),
    (8, {"table_optimizer": "adagrad", "table_learning_rate": 0.05, "warmup_steps": 3, "decay": "cosine",
         "weight_decay": 0.5})])
def test_resumes_with_the_same_result(files, tmp_path, killed_at, change, monkeypatch):
    config = dataclasses.replace(TRAIN, **change)
    of_model = {3: (mlp.Config(dropout=0.3, input_dropout=0.3), WHOLE), 7: (TOWER, QUEUE)}.get(
        killed_at, (TOWER, SIMPLE))
    expected, predictions = run(files, tmp_path / "whole", config, new_model(files, config, *of_model))
    steps = 0
    model = new_model(files, config, *of_model)

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
    result, again = run(files, tmp_path / "killed", config, new_model(files, config, *of_model))
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
    measured = Predictions.metrics
    with monkeypatch.context() as patch:
        patch.setattr(Predictions, "metrics", lambda *args: {**measured(*args), "auc": 1.0})
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
    def selecting():
        return new_model(files, parts=dataclasses.replace(SIMPLE, long_term="recent_k"))

    expected, _ = run(files, tmp_path / "whole", model=selecting(), consistency_rows=31)
    write_history = results.write_history

    def kill(path, rows):
        write_history(path, rows)
        if len(rows) == 2:  # known to the files, not yet to a checkpoint
            raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(results, "write_history", kill)
        with pytest.raises(KilledError):
            run(files, tmp_path / "killed", model=selecting(), consistency_rows=31)
    result, _ = run(files, tmp_path / "killed", model=selecting(), consistency_rows=31)
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
    config = dataclasses.replace(TRAIN, epochs=1)
    (_, first), (_, same) = (run(files, tmp_path / name, config) for name in ("first", "same"))
    _, other = run(files, tmp_path / "other", dataclasses.replace(config, seed=2))
    np.testing.assert_allclose(first.logit, same.logit, rtol=1e-5, atol=1e-6)
    assert not np.allclose(first.logit, other.logit, rtol=1e-2)


def test_learns_what_is_planted(tmp_path):
    synthetic.write_records(tmp_path / "data", groups={"train": 400, "validation": 50, "test": 100}, seed=5)
    files = RecordFiles.open(str(tmp_path / "data"))
    config = dataclasses.replace(TRAIN, batch_size=64, epochs=6, optimizer="row_sparse_adam")
    _, rows = run(files, tmp_path / "work", config, new_model(files, config, parts=WHOLE))
    assert rows.metrics()["auc"] > 0.7  # 0.8 is attainable


def test_stops_at_a_loss_that_is_no_number(files, tmp_path):
    model = new_model(files)
    table = model.embedder.tables.vectors["category"]
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
    with pytest.raises(record_bytes.RecordError, match=f"{path.name}: damaged after record"):
        run(files, tmp_path / "work")


def test_a_wrong_record_that_training_meets_is_named(tmp_path):
    schema = synthetic.make_schema()
    groups = synthetic.make_groups(schema, 61)
    groups[47] = groups[45] | {"item_id": [99] * len(groups[45]["item_id"])}
    synthetic.write_records(tmp_path / "data", schema, {"train": groups, "validation": 5, "test": 5})
    files = RecordFiles.open(str(tmp_path / "data"))
    with pytest.raises(record_bytes.RecordError, match="train.tfrecord-00001-of-00002, record 23: feature 'item_id'"):
        run(files, tmp_path / "run")


@pytest.mark.parametrize("layout", ["flat", "grouped"])
def test_rows_keep_their_places_where_impression_ids_repeat(files, tmp_path, layout):
    """Three files, each with ids of its own from 0 on, as systems write that number the rows of a file."""
    groups = [dict(group) for group in synthetic.make_groups(files.schema, 40)]
    for shard in range(3):
        first = 0
        for group in groups[shard::3]:
            group["impression_id"] = list(range(first, first + len(group["label"])))
            first += len(group["label"])
    synthetic.write_records(tmp_path, files.schema, {"train": 3, "validation": 3, "test": groups}, shards=3)
    repeated, data = RecordFiles.open(str(tmp_path)), dataclasses.replace(DATA, layout=layout)
    model = new_model(files)
    found = [predict(model, read(repeated, "test", data, size)) for size in (7, 1000)]
    rows = list(zip(found[0].impression_id.tolist(), found[0].user_key.tolist(), strict=True))
    assert rows == sorted(rows, key=lambda row: row[0]) and len(set(found[0].impression_id.tolist())) < len(rows)
    expected = [(impression, group["user_key"][0]) for place in range(14) for group in groups[3 * place:3 * place + 3]
                for impression in group["impression_id"]]  # the files give a record each in turn
    assert rows == sorted(expected, key=lambda row: row[0])
    for name in ("user_key", "label", "logit"):
        np.testing.assert_allclose(getattr(found[0], name), getattr(found[1], name), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("change, message", [
    ({"batch_size": 0}, "train.batch_size"), ({"epochs": 0}, "train.epochs"), ({"learning_rate": 0}, "learning_rate"),
    ({"table_learning_rate": -0.1}, "train.table_learning_rate"), ({"learning_rate": float("nan")}, "learning_rate"),
    ({"table_learning_rate": float("inf")}, "train.table_learning_rate"),
    ({"warmup_steps": -1}, "train.warmup_steps must not be negative, got -1"),
    ({"decay": "sqrt"}, "train.decay must be one of none, linear, cosine, got 'sqrt'"),
    ({"decay": "linear", "decay_final_fraction": 1.1}, "train.decay_final_fraction must be from 0 to 1, got 1.1"),
    ({"decay_final_fraction": 0.1}, "train.decay_final_fraction=0.1 needs train.decay=linear or cosine"),
    ({"weight_decay": -0.1}, "train.weight_decay must be a number of at least 0, got -0.1"),
    ({"weight_decay": float("nan")}, "train.weight_decay must be")])
def test_impossible_settings_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(TRAIN, **change)


def test_the_learning_rate_falls_over_the_steps_of_all_epochs(files, tmp_path):
    config = dataclasses.replace(TRAIN, decay="linear", warmup_steps=2, epochs=2, table_learning_rate=0.1)
    assert planned_steps(files, DATA, TRAIN) is None
    steps = planned_steps(files, DATA, config)
    assert steps == 2 * sum(1 for _ in read(files, "train", DATA, config.batch_size, seed=(1, 1)))
    model = new_model(files, config)
    run(files, tmp_path, config, model)
    assert int(model.optimizer.iterations) <= steps
    for optimizer, peak in zip(model.optimizer.optimizers, (0.02, 0.1), strict=True):
        schedule = optimizer.get_config()["learning_rate"]["config"]
        assert schedule == {"peak": peak, "warmup_steps": 2, "decay": "linear", "total_steps": steps,
                            "final_fraction": 0.0}


def test_steps_of_records_that_do_not_say_how_many_they_hold_are_counted(files):
    config = dataclasses.replace(TRAIN, decay="cosine")
    silent = dataclasses.replace(files, impressions={}, largest_group={})
    assert silent.steps("train", DATA.layout, config.batch_size) is None
    assert planned_steps(silent, DATA, config) == planned_steps(files, DATA, config) > 3


def test_a_warm_up_as_long_as_the_plan_is_refused(files):
    config = dataclasses.replace(TRAIN, decay="cosine", warmup_steps=99_999)
    with pytest.raises(ValueError, match="train.decay=cosine needs more planned steps than train.warmup_steps=99999"):
        new_model(files, config)
    with pytest.raises(ValueError, match="got None"):
        compile_model(new_model(files), dataclasses.replace(TRAIN, decay="linear"))


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
