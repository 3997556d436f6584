"""`python -m experiments.tables` as a user types it: killed and started again, and bad flags."""

import contextlib
import os
import shutil
import subprocess
import sys

import pytest

from experiments import flags
from experiments.tables.__main__ import _parser, _results_dir, main
from lcn_tf.training.results import read_json_lines

ENVIRONMENT = {**os.environ, "PYTHONPATH": os.getcwd()}
TINY = ["--preset=tiny", "--seeds=1", "--results_dir=results", "--", "--train.epochs=1", "--data.lifelong_length=30",
        "--data.short_length=5", "--lap.msa_top_k=20", "--lap.fsa_top_k=5", "--tower.units=8",
        "--embeddings.embedding_dim=8", "--crp.num_negatives=64"]


def command(*arguments):
    return [sys.executable, "-m", "experiments.tables", *arguments]


def run(folder, *arguments):
    done = subprocess.run(command(*arguments), cwd=folder, env=ENVIRONMENT, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.slow
def test_killed_and_started_again_it_runs_what_is_missing(tmp_path):
    process = subprocess.Popen(command("--figure=4", *TINY), cwd=tmp_path, env=ENVIRONMENT, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    for line in process.stdout:
        if line.startswith("[1/2]"):
            break
    process.kill()
    process.communicate()
    path = tmp_path / "results" / "results.jsonl"
    first = read_json_lines(path)
    assert len(first) == 1 and not (tmp_path / "results" / "figure_4.md").exists(), "not killed between two runs"
    again = run(tmp_path, "--figure=4", *TINY)
    assert "2 rows, 1 seeds, 2 runs to look at" in again and "[1/1]" in again
    runs = read_json_lines(path)
    assert len({(run["configuration"], run["data_fingerprint"]) for run in runs}) == len(runs) == 2
    assert runs[0] == first[0]
    shown = run(tmp_path, "--table=1", "--only_finished", *TINY)
    table = (tmp_path / "results" / "table_1.md").read_text()
    assert "6 rows, 1 seeds, 4 runs to do" in shown and table in shown and table.count("\n| ") == 7
    assert all(f"{run['metrics']['test']['model']['auc']:.4f}" in table for run in runs)
    figure = of_figure(tmp_path)
    assert b"| LCN-200-50 | " in figure["md"] and b"undefined" not in figure["md"]
    (tmp_path / "clone").mkdir()  # has the results, and no model
    shutil.copytree(tmp_path / "results", tmp_path / "clone" / "results")
    assert "0 runs to look at" in run(tmp_path / "clone", "--figure=4", *TINY)
    assert of_figure(tmp_path / "clone") == figure


def of_figure(folder):
    return {name: (folder / "results" / f"figure_4.{name}").read_bytes() for name in ("md", "csv", "png")}


@pytest.mark.parametrize(("arguments", "message"), [
    (["--table=2", "--dataset=movielens"], "error: dataset=movielens needs --input_dir"),
    (["--table=2", "--dataset=taobao", "--preset=small"], "error: --preset=small: dataset=taobao has no presets"),
    (["--table=2", "--preset=small", "--input_dir=logs"], "error: --preset is of generated logs and --input_dir of"),
    (["--table=9"], "invalid choice: '9'"),
    (["--table=2", "--", "--train.epochs=1"], "error: with flags of all runs (--train.epochs=1) rows are not what"),
    (["--table=1", "--tune"], "error: no row of table_1 has options to choose between"),
    (["--table=2", "small", "--seeds=1"], "unrecognized arguments: small"),
    (["--table=1", "--seeds=0"], "must be an integer of at least 1, got 0")])
def test_bad_flags_end_in_one_line(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.setattr(flags, "define", lambda: None)  # once in a process
    with contextlib.chdir(tmp_path), pytest.raises(SystemExit) as ended:
        main(arguments)
    assert message in f"{ended.value.code} {capsys.readouterr().err}" and ended.value.code != 0


@pytest.mark.parametrize(("arguments", "name"), [
    (["--dataset=industrial"], "industrial_small"), (["--dataset=industrial", "--preset=tiny"], "industrial_tiny"),
    (["--dataset=taobao"], "taobao_generated"), (["--dataset=taobao", "--input_dir=logs"], "taobao")])
def test_results_of_raw_files_and_of_generated_logs_have_folders_of_their_own(arguments, name):
    options = _parser().parse_args(["--table=2", *arguments])
    options.arguments = []
    assert _results_dir(options) == f"experiments/results/{name}"
