"""The benchmark of objectives' steps runs on prepared records, and refuses what it does not know."""

import json

import pytest

from experiments.benchmarks import objective_step
from lcn_tf.models import registry
from tests import synthetic
from tests.experiments.benchmarks.commands import run


@pytest.fixture
def arguments(tmp_path):
    synthetic.write_records(tmp_path / "data")
    (tmp_path / "data" / "preparation.json").unlink()  # as of records that were prepared elsewhere
    synthetic.catalogue(synthetic.make_schema()).write(str(tmp_path / "data"))
    return [f"--data_dir={tmp_path / 'data'}", "--data.short_length=3", "--data.lifelong_length=11",
            "--embeddings.embedding_dim=4", "--tower.units=5", "--sim_hard.key=category", "--crp.num_negatives=16",
            "--embeddings.exclude=", "--train.batch_size=16"]


def test_objectives_are_measured_beside_none_and_crp(arguments, tmp_path, monkeypatch):
    monkeypatch.setattr(objective_step.flags, "define", lambda: None)  # once in a process
    monkeypatch.chdir(tmp_path)
    printed = run(objective_step, "--objectives=ssl", "--steps=2", f"--output={tmp_path / 'figures.json'}", "--",
                  *arguments)
    none, crp, ssl = json.loads((tmp_path / "figures.json").read_text())["figures"]
    assert [one["objective"] for one in (none, crp, ssl)] == ["none", "crp", "ssl"]
    assert none["over_none"] == crp["over_crp"] == 1.0 and none["trained"] == crp["trained"] < ssl["trained"]
    assert all(one["seconds"] > 0 and one["steps"] == 2 for one in (none, crp, ssl))
    lines = printed.splitlines()[-4:]
    assert [line.split()[0] for line in lines] == ["objective", "none", "crp", "ssl"]


def test_unknown_objectives_are_named():
    known = ", ".join(registry.components("objectives"))
    with pytest.raises(ValueError, match=f"--objectives names 'crp2'; known: {known}"):
        objective_step.measure_objectives(["crp2"], 1, [])
