"""The benchmark of tables on a stream: days and cold candidates as counted by hand, and a whole run."""

import dataclasses
import json

import numpy as np
import pytest

from experiments import workdir_lock
from experiments.benchmarks import streaming_tables
from lcn_tf.data.record_files import RecordFiles
from tests import synthetic
from tests.experiments.benchmarks.commands import run

DAYS = 3


@pytest.fixture
def data_dir(tmp_path):
    schema = synthetic.make_schema()
    groups = synthetic.make_groups(schema, 60, seed=3)
    for place, group in enumerate(groups):
        group["timestamp"] = [synthetic.MOMENT + 86_400 * (place % DAYS)] * len(group["label"])
    synthetic.write_records(tmp_path / "data", groups={"train": groups, "validation": 3, "test": 3})
    (tmp_path / "data" / "preparation.json").unlink()  # as of records that were prepared elsewhere
    return tmp_path / "data", groups


def test_days_and_cold_candidates_are_those_counted_by_hand(data_dir, tmp_path):
    folder, groups = data_dir
    asked = {"stream_dir": str(tmp_path / "stream"), "tables": ["item"], "cold_below": 2, "utc_offset_hours": 0.0}
    days = streaming_tables.split_days(RecordFiles.open(str(folder)), asked)
    assert [day.number - days[0].number for day in days] == [0, 1, 2]
    earlier = []
    for place, day in enumerate(days):
        own = groups[place::DAYS]
        ids = {impression: item for group in own
               for impression, item in zip(group["impression_id"], group["item_id"], strict=True)}
        assert sorted(ids) == day.impressions.tolist()
        expected = [earlier.count(ids[impression]) < 2 and ids[impression] > 1 for impression in sorted(ids)]
        np.testing.assert_array_equal(day.cold, expected)
        earlier += ids.values()
    with pytest.raises(ValueError, match="--tables=age,...: candidates have no ids of it; they have .*category, item"):
        streaming_tables.split_days(RecordFiles.open(str(folder)), {**asked, "tables": ["age"]})


def test_a_day_has_what_models_read_beside_the_records(data_dir, tmp_path):
    folder, groups = data_dir
    schema = dataclasses.replace(synthetic.make_schema(), vectors={"item": "vectors/item.npy"})
    synthetic.write_records(folder, schema, {"train": groups, "validation": 3, "test": 3})
    vectors, catalogue = np.random.default_rng(5).normal(size=(61, 7)).astype(np.float32), synthetic.catalogue(schema)
    (folder / "vectors").mkdir()
    np.save(folder / "vectors" / "item.npy", vectors)
    catalogue.write(str(folder))
    asked = {"stream_dir": str(tmp_path / "stream"), "tables": ["item"], "cold_below": 2, "utc_offset_hours": 0.0}
    days = streaming_tables.split_days(RecordFiles.open(str(folder)), asked)
    for files in (RecordFiles.open(day.folder) for day in days):
        np.testing.assert_array_equal(files.vectors()["item"], vectors)
        np.testing.assert_array_equal(files.catalogue().count, catalogue.count)


@pytest.mark.parametrize("flag, message", [
    ("tables=", "--tables must be one name or more, each once, got ''"),
    ("kinds=", "--kinds must be one name or more, each once, got ''"),
    ("kinds=dense,dense", "--kinds must be one name or more, each once, got 'dense,dense'"),
    ("kinds=dense,denze", "denze"),
    ("utc_offset_hours=nan", "--utc_offset_hours must be between -24 and 24, got nan")])
def test_flags_that_make_no_stream_are_refused_before_anything_is_written(tmp_path, monkeypatch, flag, message):
    monkeypatch.setattr(streaming_tables.flags, "define", lambda: None)  # once in a process
    stream = tmp_path / "stream"
    with pytest.raises(SystemExit, match=message):
        run(streaming_tables, f"--stream_dir={stream}", f"--{flag}", "--", f"--data_dir={tmp_path}")
    assert not stream.exists()


def test_a_folder_is_one_process_s(tmp_path, monkeypatch):
    monkeypatch.setattr(streaming_tables.flags, "define", lambda: None)
    with workdir_lock.held(str(tmp_path)), pytest.raises(SystemExit, match="--stream_dir=.* is in use by process"):
        run(streaming_tables, f"--stream_dir={tmp_path}", "--", f"--data_dir={tmp_path}")


@pytest.mark.slow
def test_kinds_are_measured_day_by_day(data_dir, tmp_path, monkeypatch):
    monkeypatch.setattr(streaming_tables.flags, "define", lambda: None)  # once in a process
    printed = run(streaming_tables, "--kinds=dense,autoassign,alpt", "--tables=item", "--cold_below=3",
                  f"--stream_dir={tmp_path / 'stream'}",
                  f"--output={tmp_path / 'figures.json'}", "--", "--flagfile=short_only.cfg",
                  f"--data_dir={data_dir[0]}", "--data.short_length=3", "--data.lifelong_length=5",
                  "--embeddings.embedding_dim=4", "--embeddings.exclude=", "--tower.units=5", "--train.batch_size=16",
                  "--sim_hard.key=category", "--autoassign.capacity=0.2", "--autoassign.codes=3",
                  "--autoassign.shared_rows=2")
    dense, shared, codes = json.loads((tmp_path / "figures.json").read_text())["figures"]
    assert (dense["kind"], shared["kind"], codes["kind"]) == ("dense", "autoassign", "alpt")
    assert dense["served_bytes"] == 61 * 4 * 4 and dense["trained_bytes"] == 3 * dense["served_bytes"]
    assert shared["served_bytes"] == 4 * (4 * (13 + 2) + 2 * (2 * 4 + 9) + 2 * 61)
    assert codes["served_bytes"] == 61 * (4 + 4)  # a byte a number, and a step size for each row
    assert codes["trained_bytes"] > codes["served_bytes"] + 2 * dense["served_bytes"]  # Adam's moments are float32
    assert [len(one["days"]) for one in (dense, shared, codes)] == [DAYS - 1] * 3
    for one in (dense, shared, codes):
        assert sum(day["cold_rows"] for day in one["days"]) == one["cold_rows"] > 5
        assert 0 < one["auc"] < 1 and 0 < one["cold_auc"] < 1
    assert [line.split()[0] for line in printed.splitlines()[-4:]] == ["tables", "dense", "autoassign", "alpt"]
