"""What is missing is run, one seed of every row after the other, and is not missing afterwards."""

import dataclasses
import json
import os
import subprocess
import types

import numpy as np
import pytest

from experiments.tables.rows import Row
from experiments.tables.runs import Missing, missing, run_missing
from experiments.tables.store import Store
from lcn_tf.metrics import metrics_of_resamples

from .finished_runs import add, finished, planned


def test_seeds_come_in_turn_and_the_same_run_once(tmp_path):
    store = Store(str(tmp_path))
    add(store, "a.cfg", 1, 0.6)
    rows = [planned(row) for row in (Row("a", "a.cfg"), Row("b", "b.cfg"), Row("b again", "b.cfg"))]
    assert [(run.planned.row.cfg, run.seed) for run in missing(rows, (1, 2), store)] == [
        ("b.cfg", 1), ("a.cfg", 2), ("b.cfg", 2)]
    assert len({run.folder for run in missing(rows, (1, 2), store)}) == 3


def test_a_run_that_another_version_has_begun_is_not_continued():
    folders = {Missing(planned(Row("a", "a.cfg"), version=version), 1).folder for version in (1, 1, 2)}
    assert len(folders) == 2


def leaving(values, auc):
    """In the place of `subprocess.run`: a run that leaves these predictions."""
    rows = np.zeros(len(values["label"]), np.int64)
    values = {**dict.fromkeys(("impression_id", "target_length", "source_length"), rows), **values}

    def run(command, **_):
        folder = command[-1].removeprefix("--workdir=")
        np.savez(os.path.join(folder, "test_predictions.npz"), **values)
        metrics = {split: {"model": {"auc": auc, "long_stay_auc": auc}} for split in ("validation", "test")}
        with open(os.path.join(folder, "results.jsonl"), "w") as file:
            json.dump({**finished("a.cfg", 1, 0.6), "config": {"eval.gauc_weights": "clicks"}, "metrics": metrics},
                      file)
        return subprocess.CompletedProcess(command, 0)
    return run


def test_gauc_is_resampled_with_the_weights_of_the_run(tmp_path, monkeypatch):
    rng = np.random.default_rng(3)
    values = {"label": rng.integers(0, 2, 97), "logit": rng.normal(size=97), "user_key": rng.integers(0, 11, 97)}
    monkeypatch.setattr(subprocess, "run", leaving(values, 0.6))
    store, row = Store(str(tmp_path)), planned(Row("a", "a.cfg"))
    assert not run_missing(missing([row], [1], store), store, str(tmp_path / "runs"))
    expected = metrics_of_resamples(values["label"], values["logit"], values["user_key"], seed=0, gauc_weights="clicks")
    assert store.find(row.key, 1)["resamples"][1] == pytest.approx(expected["gauc"], abs=1e-5)


def test_resamples_are_of_the_label_that_chooses_the_epoch(tmp_path, monkeypatch):
    rng = np.random.default_rng(3)
    users, counted = rng.integers(0, 11, 97), rng.random(97) < 0.6
    other = {"label": rng.integers(0, 2, 97), "logit": rng.normal(size=97), "counted": counted}
    values = {"label": counted, "logit": np.zeros(97), "user_key": users,
              **{f"long_stay_{name}": array for name, array in other.items()}}
    monkeypatch.setattr(subprocess, "run", leaving(values, 0.6))
    store, row = Store(str(tmp_path)), planned(Row("a", "a.cfg"))
    monitored = types.SimpleNamespace(parts={}, settings={"train.monitor": "long_stay_auc"}, id=row.configuration.id)
    row = dataclasses.replace(row, configuration=monitored)
    assert not run_missing(missing([row], [1], store), store, str(tmp_path / "runs"))
    expected = metrics_of_resamples(other["label"][counted], other["logit"][counted], users[counted], seed=0,
                                    gauc_weights="clicks")
    assert store.find(row.key, 1)["resamples"] == pytest.approx(np.stack(list(expected.values())), abs=1e-5)


def test_a_day_without_clicks_does_not_end_the_others(tmp_path, monkeypatch, capsys):
    values = {"label": np.zeros(7, int), "logit": np.zeros(7), "user_key": np.arange(7)}
    monkeypatch.setattr(subprocess, "run", leaving(values, None))
    store = Store(str(tmp_path))
    assert not run_missing(missing([planned(Row("a", "a.cfg"))], [1], store), store, str(tmp_path / "runs"))
    assert "a, seed 1: validation AUC undefined" in capsys.readouterr().out


def test_a_result_of_code_that_changed_meanwhile_does_not_count(tmp_path, monkeypatch, capsys):
    values = {"label": np.arange(6) % 2, "logit": np.arange(6.0), "user_key": np.arange(6)}
    monkeypatch.setattr(subprocess, "run", leaving(values, 0.6))
    store, row = Store(str(tmp_path)), planned(Row("a", "a.cfg"), version=2)
    assert run_missing(missing([row], [1], store), store, str(tmp_path / "runs"))
    assert "a, seed 1: failed, parts, flags or data changed after" in capsys.readouterr().out
    assert not (tmp_path / "results.jsonl").exists()


def test_a_row_is_run_once_and_the_failed_one_is_told(tmp_path, monkeypatch, capsys):
    values = {"label": np.arange(60) % 2, "logit": np.arange(60.0), "user_key": np.arange(60)}
    succeed = leaving(values, 0.6)
    monkeypatch.setattr(subprocess, "run", lambda command, **options: subprocess.CompletedProcess(command, 1)
                        if "--flagfile=b.cfg" in command else succeed(command, **options))
    store, rows = Store(str(tmp_path / "results")), [planned(Row("good", "a.cfg")), planned(Row("broken", "b.cfg"))]
    failed = run_missing(missing(rows, [1], store), store, str(tmp_path / "runs"), jobs=2)
    printed = capsys.readouterr().out
    assert [run.planned.row.name for run in failed] == ["broken"] and "broken, seed 1: failed, see " in printed
    assert "good, seed 1: validation AUC 0.6000" in printed
    drawn = Store(str(tmp_path / "results")).find(rows[0].key, 1)["resamples"][0]
    assert len(drawn) == 1000 and np.mean(drawn) == pytest.approx(31 / 60, abs=0.03)  # pairs in order among all
    assert missing(rows, [1], Store(str(tmp_path / "results"))) == failed
