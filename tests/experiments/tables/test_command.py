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


@pytest.mark.slow
def test_killed_and_started_again_it_runs_what_is_missing(tmp_path):
    process = subprocess.Popen(command("--table=4", *TINY), cwd=tmp_path, env=ENVIRONMENT, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    for line in process.stdout:
        if line.startswith("[1/3]"):
            break
    process.kill()
    process.communicate()
    path = tmp_path / "results" / "results.jsonl"
    first = read_json_lines(path)
    assert len(first) == 1 and not (tmp_path / "results" / "table_4.md").exists(), "not killed between two runs"
    again = subprocess.run(command("--table=4", *TINY), cwd=tmp_path, env=ENVIRONMENT, text=True, capture_output=True,
                           check=False)
    assert again.returncode == 0, again.stderr[-3000:]
    assert "3 rows, 1 seeds, 2 runs to do" in again.stdout and "[2/2]" in again.stdout
    runs = read_json_lines(path)
    assert len({(run["configuration"], run["data_fingerprint"]) for run in runs}) == len(runs) == 3
    assert runs[0] == first[0]
    table = (tmp_path / "results" / "table_4.md").read_text()
    assert table.count("\n| ") == 4 and table in again.stdout
    assert all(f"{run['metrics']['test']['model']['auc']:.4f}" in table for run in runs)
    look_at_their_items(tmp_path)


def look_at_their_items(folder):
    """Figure 4 is of the same runs; in a clone, which has their results alone, it is the same."""
    (folder / "clone").mkdir()
    texts = []
    for place in (folder, folder / "clone"):
        done = subprocess.run(command("--figure=4", *TINY), cwd=place, env=ENVIRONMENT, text=True, capture_output=True,
                              check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        texts.append(done.stdout)
        found = {name: (place / "results" / f"figure_4.{name}").read_bytes() for name in ("md", "csv", "png")}
        if place == folder:
            assert "2 runs to look at" in done.stdout and "runs to do" not in done.stdout
            shutil.copytree(folder / "results", folder / "clone" / "results")
            first = found
    assert "0 runs to look at" in texts[1] and found == first
    assert b"| LCN-200-50 | " in found["md"] and b"undefined" not in found["md"]


@pytest.mark.parametrize(("arguments", "message"), [
    (["--table=2", "--dataset=movielens"], "error: dataset=movielens needs --input_dir"),
    (["--table=2", "--dataset=taobao", "--preset=small"], "error: --preset=small: dataset=taobao has no presets"),
    (["--table=2", "--preset=small", "--input_dir=logs"], "error: --preset is of generated logs and --input_dir of"),
    (["--table=9"], "invalid choice: '9'"),
    (["--table=2", "--", "--train.epochs=1"], "error: with flags of all runs (--train.epochs=1) rows are not what"),
    (["--table=1", "--tune"], "error: --tune: no row of table_1 has options to choose between"),
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
