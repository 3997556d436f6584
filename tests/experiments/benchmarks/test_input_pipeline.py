"""The benchmark of the input pipeline runs, and measures the model that the paper's configuration names."""

import json
import subprocess
import sys

import pytest

from experiments.flags import find_config
from lcn_tf.models import ModelConfig, registry
from tests import synthetic


def run(*arguments):
    return subprocess.run([sys.executable, "-m", "experiments.benchmarks.input_pipeline", *arguments],
                          capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_both_layouts_are_measured(tmp_path):
    synthetic.write_records(tmp_path / "data", offsets=True)
    output = tmp_path / "figures.json"
    done = run(f"--data_dir={tmp_path / 'data'}", f"--output={output}", "--batch_size=29", "--short_length=3",
               "--lifelong_length=11", "--steps=4")
    assert done.returncode == 0, done.stderr
    header, *lines = done.stdout.splitlines()
    assert "fed/taken" in header and [line.split()[0] for line in lines] == ["flat", "grouped"]
    written = json.loads(output.read_text())
    assert written["settings"] == {"num_users": 4000, "batch_size": 29, "short_length": 3, "lifelong_length": 11,
                                   "steps": 4}
    for figures in written["figures"]:
        assert figures["steps"] == 4 and figures["batches"] > 4
        assert all(figures[name] > 0 for name in figures if name != "layout")


def test_bad_input_ends_in_one_line(tmp_path):
    done = run(f"--data_dir={tmp_path}", f"--output={tmp_path / 'figures.json'}")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        f"error: {tmp_path}/schema.json does not exist: {tmp_path} is not a prepared data set")
    assert not (tmp_path / "figures.json").exists()


def test_the_defaults_are_those_of_the_papers_configuration():
    with open(find_config("lcn_200_50.cfg"), encoding="utf-8") as file:
        given = dict(line[2:].rstrip("\n").split("=") for line in file if line.startswith("--"))
    lap = registry.component("long_term", "lap").Config()
    assert given == {"model.long_term": ModelConfig().long_term, "model.objectives": ",".join(ModelConfig().objectives),
                     "lap.msa_top_k": str(lap.msa_top_k), "lap.fsa_top_k": str(lap.fsa_top_k)}
