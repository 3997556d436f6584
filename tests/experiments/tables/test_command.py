"""`python -m experiments.tables` as a user types it: killed and started again, and bad flags."""

import os
import subprocess
import sys

import pytest

from experiments.tables.store import read_runs

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
    first = read_runs(path)
    assert len(first) == 1 and not (tmp_path / "results" / "table_4.md").exists(), "not killed between two runs"
    again = subprocess.run(command("--table=4", *TINY), cwd=tmp_path, env=ENVIRONMENT, text=True, capture_output=True,
                           check=False)
    assert again.returncode == 0, again.stderr[-3000:]
    assert "3 rows, 1 seeds, 2 runs to do" in again.stdout and "[2/2]" in again.stdout
    runs = read_runs(path)
    assert len({run["config_hash"] for run in runs}) == len(runs) == 3 and runs[0] == first[0]
    table = (tmp_path / "results" / "table_4.md").read_text()
    assert table.count("\n| ") == 4 and table in again.stdout
    assert all(f"{run['metrics']['test']['model']['auc']:.4f}" in table for run in runs)


@pytest.mark.parametrize(("arguments", "message"), [
    (["--table=2", "--dataset=movielens"], "error: dataset=movielens needs --input_dir"),
    (["--table=2", "--dataset=taobao", "--preset=small"], "taobao_generator.preset"),
    (["--table=2", "--preset=small", "--input_dir=logs"], "error: --preset is of generated logs and --input_dir of"),
    (["--table=9"], "invalid choice: '9'"),
    (["--table=1", "--seeds=0"], "must be at least 1, got 0")])
def test_bad_flags_end_in_one_line(tmp_path, arguments, message):
    done = subprocess.run(command(*arguments), cwd=tmp_path, text=True, env=ENVIRONMENT, capture_output=True,
                          check=False)
    assert done.returncode and message in done.stderr and "Traceback" not in done.stderr
