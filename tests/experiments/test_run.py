"""The main job as a user types it, on few generated users: outputs, resuming after SIGKILL, bad input."""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from experiments import run as job

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SMALL = ["--flagfile=lcn_200_50.cfg", "--taobao_generator.num_users=300", "--data.lifelong_length=60",
         "--lap.msa_top_k=20", "--lap.fsa_top_k=5", "--embeddings.embedding_dim=8", "--crp.num_negatives=64",
         "--train.batch_size=64", "--train.epochs=2", "--train.patience=2", "--train.deterministic=true",
         "--train.checkpoint_every=5", "--eval.consistency_rows=200"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


def command(*arguments):
    return [sys.executable, "-m", "experiments.run", *arguments]


def refusal(folder, *arguments):
    """The line in which bad input ends, without the start of a process."""
    with contextlib.chdir(folder), pytest.raises(SystemExit) as error:
        job.main(job._parse(["run", *arguments]))
    return error.value.code


def run(folder, *arguments):
    return subprocess.run(command(*arguments), cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("project")


@pytest.fixture(scope="module")
def whole(folder):
    done = run(folder, *SMALL, "--workdir=whole")
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_ends_with_metrics_export_and_verification(folder, whole):
    for text in ("lap-20-5_crp", "item popularity", "base rate", "oracle", "share of the attainable AUC",
                 "rows read", "Consistency of the best 5: validation 0.", "events of history",
                 "SavedModel: whole/saved_model/1", "verified"):
        assert text in whole
    for name in ("flags.cfg", "metrics.json", "history.csv", "results.jsonl", "checkpoints", "tensorboard",
                 "saved_model/1/saved_model.pb", "saved_model/1/assets.extra/tf_serving_warmup_requests"):
        assert (folder / "whole" / name).exists(), name
    row = json.loads((folder / "whole" / "results.jsonl").read_text())
    assert {"configuration", "parts", "config", "seed", "commit", "data_fingerprint", "versions", "hardware",
            "metrics"} <= set(row)
    for consistency in row["consistency"].values():
        assert consistency["top_k"] == 5 and consistency["rows"] + consistency["excluded_rows"] == 200
    oracle = row["metrics"]["test"]["oracle"]["auc"]
    assert row["metrics"]["test"]["base rate"]["auc"] == 0.5 < oracle < 0.9
    for slices in row["slices"]["test"].values():
        assert sum(part["impressions"] for part in slices) == row["metrics"]["test"]["model"]["impressions"]


def test_killed_and_continued_it_ends_with_the_same_metrics(folder, whole):
    arguments = [*SMALL, "--workdir=killed", "--export=false"]
    process = subprocess.Popen(command(*arguments), cwd=folder, env=ENVIRONMENT, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    checkpoint = folder / "killed" / "checkpoints" / "checkpoint"
    deadline = time.monotonic() + 300
    while not checkpoint.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert checkpoint.exists() and not (folder / "killed" / "history.csv").exists(), "not killed in mid-epoch"
    done = run(folder, *arguments)
    assert done.returncode == 0, done.stderr[-3000:]
    first, second = (json.loads((folder / name / "metrics.json").read_text()) for name in ("whole", "killed"))
    assert first["metrics"] == second["metrics"] and first["consistency"] == second["consistency"]


def test_a_finished_run_is_shown_and_verified_again(folder, whole):
    done = run(folder, *SMALL, "--workdir=whole")
    assert done.returncode == 0, done.stderr[-3000:]
    table = whole[whole.index("split "):]
    assert table.splitlines()[:8] == done.stdout.splitlines()[:8] and "verified" in done.stdout
    assert not (folder / "whole" / "saved_model" / "2").exists()
    assert len((folder / "whole" / "results.jsonl").read_text().splitlines()) == 1


def test_another_configuration_in_the_same_folder_is_refused(folder, whole):
    done = run(folder, *SMALL, "--workdir=whole", "--train.epochs=3")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and "whole holds a run with other flags (--train.epochs: 2 before, 3 now)" in errors[0]


@pytest.mark.parametrize("arguments, message", [
    (["--lap.msa_top_k=4", "--lap.fsa_top_k=5"], "msa_top_k=4 and fsa_top_k=5"),
    (["--dataset=movielens", "--input_dir=nowhere"], "nowhere"),
    (["--lap.csa_pool=median"], "sum, mean, softmax, abs_norm"),
    (["--workdir=file/below"], "--workdir=file/below cannot be written: Not a directory"),
    (["--flagfile=lcn.cfg"], "lcn_200_50.cfg"),
    (["--data_dir=empty"], "empty holds no prepared data set"),
])
def test_bad_input_ends_in_one_line(tmp_path, arguments, message):
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    line = refusal(tmp_path, *arguments)
    assert line.startswith("error: ") and message in line and "\n" not in line
