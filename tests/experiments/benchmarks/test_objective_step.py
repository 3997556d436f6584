"""The benchmark of objectives' steps runs on prepared records, and refuses what it does not know."""

import json

import pytest
from absl.testing.flagsaver import flagsaver

from experiments.benchmarks import objective_step
from lcn_tf.models import registry
from tests import synthetic


@pytest.fixture
def arguments(tmp_path):
    synthetic.write_records(tmp_path / "data")
    (tmp_path / "data" / "preparation.json").unlink()  # as of records that were prepared elsewhere
    synthetic.catalogue(synthetic.make_schema()).write(str(tmp_path / "data"))
    return [f"--data_dir={tmp_path / 'data'}", "--data.short_length=3", "--data.lifelong_length=11",
            "--embeddings.embedding_dim=4", "--tower.units=5", "--sim_hard.key=category", "--crp.num_negatives=16",
            "--embeddings.exclude=", "--train.batch_size=16"]


def test_objectives_are_measured_beside_none_and_crp(arguments, monkeypatch):
    monkeypatch.setattr(objective_step.flags, "define", lambda: None)  # once in a process
    figures = objective_step.measure_objectives(["ssl"], 2, arguments)
    assert [one["objective"] for one in figures] == ["none", "crp", "ssl"]
    none, crp, ssl = figures
    assert none["over_none"] == crp["over_crp"] == 1.0 and none["trained"] == crp["trained"] < ssl["trained"]
    assert all(one["seconds"] > 0 and one["steps"] == 2 for one in figures)
    lines = objective_step.report(figures).splitlines()
    assert [line.split()[0] for line in lines] == ["objective", "none", "crp", "ssl"]


def test_figures_are_written_where_they_are_asked_for(arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(objective_step.flags, "define", lambda: None)
    monkeypatch.chdir(tmp_path)
    with flagsaver(objectives=["crp"], steps=1, output=str(tmp_path / "figures.json")):
        objective_step.main(["objective_step", *arguments])
    figures = json.loads((tmp_path / "figures.json").read_text())["figures"]
    assert [one["objective"] for one in figures] == ["none", "crp"] and "over crp" in capsys.readouterr().out


def test_unknown_objectives_are_named():
    known = ", ".join(registry.components("objectives"))
    with pytest.raises(ValueError, match=f"--objectives names 'crp2'; known: {known}"):
        objective_step.measure_objectives(["crp2"], 1, [])
