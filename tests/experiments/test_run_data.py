"""A run belongs to its records: it is neither continued nor shown with others."""

import json
import pathlib

import pytest
import tensorflow as tf

from experiments import finished_run, flags, run_data, run_files, seeds
from lcn_tf.data.pipeline import RecordFiles
from tests import synthetic
from tests.experiments.clusters import SMALL, write_data
from tests.experiments.test_run import refusal


def begun(folder, progress):
    """A run of the records in `data` as far as `progress`, in `run`."""
    flags.parse(["run", *SMALL, "--workdir=run"])
    run_files.open_workdir(str(folder / "run"), flags.read())
    run_data.note(str(folder / "run"), RecordFiles.open(str(folder / "data")))
    if progress == "metrics":
        (folder / "run" / "metrics.json").write_text(json.dumps({"metrics": {}}))
    elif progress == "checkpoint":
        tf.train.Checkpoint(step=tf.Variable(1)).save(str(folder / "run" / "checkpoints" / "ckpt"))


def change(data_dir: pathlib.Path, what):
    if what == "records":
        synthetic.write_records(data_dir, seed=4, groups={"train": 83, "validation": 11, "test": 17})
        (data_dir / "preparation.json").unlink()
    elif what == "a value":
        groups = synthetic.make_groups(synthetic.make_schema(), 17, seed=3)
        schema = synthetic.make_schema()
        before = [path.read_bytes() for path in sorted(data_dir.glob("*-test.*"))]
        synthetic.write_records(data_dir / "other", schema, {"train": 3, "validation": 3, "test": groups})
        for path, content in zip(sorted(data_dir.glob("*-test.*")), before, strict=True):
            assert (data_dir / "other" / path.name).read_bytes() != content
            path.write_bytes((data_dir / "other" / path.name).read_bytes())
    else:
        schema = json.loads((data_dir / "schema.json").read_text())
        schema["tables"]["item"] += 1
        (data_dir / "schema.json").write_text(json.dumps(schema))


@pytest.mark.parametrize("progress, what", [
    ("metrics", "records"), ("checkpoint", "records"), ("metrics", "a value"), ("checkpoint", "the schema")])
def test_other_records_in_the_same_place_are_refused(tmp_path, progress, what):
    write_data(tmp_path)
    begun(tmp_path, progress)
    before = run_data.noted(str(tmp_path / "run"))
    change(tmp_path / "data", what)
    now = RecordFiles.open(str(tmp_path / "data")).fingerprint
    line = refusal(tmp_path, *SMALL, "--workdir=run")
    assert line.startswith("error: run holds a run on other records") and "\n" not in line
    assert before["fingerprint"] in line and now in line and str(tmp_path / "data") in line
    assert run_data.noted(str(tmp_path / "run")) == before


def test_a_finished_run_is_not_looked_at_with_other_records(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_data(tmp_path)
    begun(tmp_path, "metrics")
    tf.train.Checkpoint(step=tf.Variable(1)).save("run/checkpoints/best/ckpt")
    change(tmp_path / "data", "records")
    with pytest.raises(ValueError, match="run holds a run on other records"):
        finished_run.load("run", finished_run.read_flags("run"))


def test_the_same_records_elsewhere_are_the_same(tmp_path):
    write_data(tmp_path)
    begun(tmp_path, "metrics")
    (tmp_path / "data").rename(tmp_path / "moved")
    run_data.check(str(tmp_path / "run"), RecordFiles.open(str(tmp_path / "moved")))


@pytest.mark.parametrize("text, message", [
    ("{}", "data.json: no 'data_dir' in it; it has nothing"), ("[]", "data.json: expected an object, got a list"),
    ('{"data_dir": ".", "fingerprint": 1}', "data.json: fingerprint: expected a text, got 1"),
    ("", "data.json: not JSON")])
def test_a_note_that_is_none_is_named(tmp_path, text, message):
    (tmp_path / "data.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        run_data.noted(str(tmp_path))


def test_seeds_of_other_records_are_not_taken_for_these(tmp_path):
    write_data(tmp_path)
    for seed in (1, 2):
        begun(tmp_path, "metrics")
        (tmp_path / "run").rename(tmp_path / f"seed-{seed}")
    assert seeds.run_seeds(2, str(tmp_path), []) == [{}, {}]
    change(tmp_path / "data", "records")
    with pytest.raises(ValueError, match="seed-1 holds a run on other records"):
        seeds.run_seeds(2, str(tmp_path), [])
    run_data.note(str(tmp_path / "seed-1"), RecordFiles.open(str(tmp_path / "data")))
    (tmp_path / "data" / "schema.json").unlink()
    with pytest.raises(ValueError, match="seed-2 is of records with the fingerprint .* remove the one"):
        seeds.run_seeds(2, str(tmp_path), [])
