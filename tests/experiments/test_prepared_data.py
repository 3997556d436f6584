"""Prepared data is used only for what the flags ask for."""

import contextlib
import dataclasses
import json
import os
import pathlib
import shlex

import pytest

from data_prep.errors import OutputError
from data_prep.taobao.generator import GeneratorConfig
from data_prep.writing import output_folder
from experiments import flags, prepared_data
from lcn_tf.schema import TARGET, UNCLICKED, HistorySpec
from tests import synthetic


@pytest.fixture
def data_dir(tmp_path):
    """What `prepared_data` looks at in records prepared from Taobao logs, a day a group."""
    flags.parse(["run", "--prep.snapshot=day"])
    groups = flags.read().groups
    settings = {**vars(groups["taobao"]), **vars(groups["prep"])}
    (tmp_path / "schema.json").write_text("{}")
    (tmp_path / "preparation.json").write_text(json.dumps({"dataset": "taobao_ad", "settings": settings, "rows": {}}))
    return tmp_path


def prepared(data_dir, arguments):
    flags.parse(["run", f"--data_dir={data_dir}", *shlex.split(arguments)])
    return prepared_data.find_or_prepare(flags.read())


def test_records_prepared_as_asked_are_used(data_dir):
    found = prepared(data_dir, "--prep.snapshot=day --data.lifelong_length=7 --prep.memory_limit=1GB")
    assert found.data_dir == str(data_dir) and found.facts["dataset"] == "taobao_ad"


def test_records_prepared_otherwise_are_refused(data_dir):
    with pytest.raises(ValueError, match="other settings: give --prep.snapshot=day, or another --data_dir"):
        prepared(data_dir, "")
    with pytest.raises(ValueError, match="holds 'taobao_ad', not the 'movielens_cross_domain' that --dataset"):
        prepared(data_dir, "--dataset=movielens --prep.snapshot=day")


def test_records_may_hold_more_than_a_model_reads(data_dir):
    facts = json.loads((data_dir / "preparation.json").read_text())
    facts["settings"]["unclicked_length"] = 24
    (data_dir / "preparation.json").write_text(json.dumps(facts))
    assert prepared(data_dir, "--prep.snapshot=day").facts["dataset"] == "taobao_ad"
    assert prepared(data_dir, "--prep.snapshot=day --prep.unclicked_length=24").facts["dataset"] == "taobao_ad"
    with pytest.raises(ValueError, match="other settings: give --prep.unclicked_length=24, or another --data_dir"):
        prepared(data_dir, "--prep.snapshot=day --prep.unclicked_length=25")


def test_records_are_opened_as_the_model_reads_them(tmp_path):
    schema = synthetic.make_schema()
    extra = dataclasses.replace(schema, histories={**schema.histories, UNCLICKED: HistorySpec(
        TARGET, 11, "extra", context=())})
    synthetic.write_records(tmp_path / "without", schema)
    synthetic.write_records(tmp_path / "with", extra)

    def opened(folder, arguments):
        flags.parse(["run", *shlex.split(arguments)])
        return prepared_data.files_of(flags.read(), str(tmp_path / folder)).schema

    assert opened("with", "") == schema and opened("with", "--model.short_term=tem4ctr") == extra
    assert opened("with", "--data.item_fields=item_id") == schema.reading(["item_id"])
    with pytest.raises(ValueError, match="unclicked_target, which the records of 'synthetic' do not have"):
        opened("without", "--model.short_term=tem4ctr")


def test_records_older_than_a_setting_are_as_its_default_says(data_dir):
    facts = json.loads((data_dir / "preparation.json").read_text())
    del facts["settings"]["max_candidates"]
    (data_dir / "preparation.json").write_text(json.dumps(facts))
    assert prepared(data_dir, "--prep.snapshot=day").facts["dataset"] == "taobao_ad"
    with pytest.raises(ValueError, match="other settings: give --prep.max_candidates=16, or another --data_dir"):
        prepared(data_dir, "--prep.snapshot=day --prep.max_candidates=7")


def test_records_of_unknown_origin_are_used(data_dir):
    (data_dir / "preparation.json").unlink()
    assert prepared(data_dir, "").facts == {}


def test_missing_logs_are_generated_and_prepared_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    flags.parse(["run", "--dataset=industrial", "--industrial_generator.preset=tiny", "--data.lifelong_length=60"])
    first = prepared_data.find_or_prepare(flags.read())
    assert first.facts["dataset"] == "industrial"
    shown = first.facts["rows"]["impressions.csv"]["used"]
    assert len(pathlib.Path(first.true_probability).read_text().splitlines()) == 1 + shown
    made = {path: os.stat(path).st_mtime_ns for path in tmp_path.rglob("*")}
    assert prepared_data.find_or_prepare(flags.read()) == first
    assert {path: os.stat(path).st_mtime_ns for path in tmp_path.rglob("*")} == made


def test_logs_are_generated_by_one_process_at_a_time(tmp_path, monkeypatch):
    folder, last = tmp_path / "logs", "true_probability.csv"
    missing = ("taobao", str(folder), GeneratorConfig(num_users=50), last)
    with output_folder.locked(str(folder)), pytest.raises(OutputError, match="logs is being made by another process"):
        prepared_data._generate_missing_logs(*missing)

    @contextlib.contextmanager
    def locked_once_another_has_finished(output_dir):
        folder.mkdir()
        (folder / last).write_text("another's")
        yield

    monkeypatch.setattr(output_folder, "locked", locked_once_another_has_finished)
    prepared_data._generate_missing_logs(*missing)
    assert [path.read_text() for path in tmp_path.rglob("*.csv")] == ["another's"]


def test_a_single_domain_has_its_own_true_probabilities(tmp_path, monkeypatch):
    """Logs that were generated before there were videos shown are generated again."""
    monkeypatch.chdir(tmp_path)
    command = ["run", "--dataset=industrial", "--industrial_generator.preset=tiny", "--data.lifelong_length=60"]
    flags.parse(command)
    older = pathlib.Path(prepared_data.find_or_prepare(flags.read()).true_probability)
    for name in ("video_impressions.csv", "true_probability_videos.csv"):
        (older.parent / name).unlink()
    flags.parse([*command, "--industrial.row_set=source"])
    found = prepared_data.find_or_prepare(flags.read())
    assert found.true_probability == str(older.parent / "true_probability_videos.csv")
    shown = found.facts["rows"]["video_impressions.csv"]["used"]
    assert len(pathlib.Path(found.true_probability).read_text().splitlines()) == 1 + shown


def test_no_true_probabilities_but_those_of_the_impressions(tmp_path, monkeypatch):
    flags.parse(["run", "--dataset=industrial", "--industrial.row_set=source"])
    groups = flags.read().groups
    (tmp_path / "schema.json").write_text("{}")
    (tmp_path / "preparation.json").write_text(json.dumps({
        "dataset": "industrial", "settings": {**vars(groups["industrial"]), **vars(groups["prep"])}, "rows": {}}))
    (tmp_path / "true_probability.csv").write_text("impression_id,probability\n0,0.5\n")
    command = ["run", "--dataset=industrial", "--prep.exclude_recent", f"--input_dir={tmp_path}",
               f"--data_dir={tmp_path}", "--industrial.row_set=source"]
    flags.parse(command)
    assert prepared_data.find_or_prepare(flags.read()).true_probability is None
