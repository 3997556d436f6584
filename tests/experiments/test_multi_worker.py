"""Two workers on this machine: results of one process, also when one of them was killed and all started again."""

import json

import pytest

from lcn_tf.training import cluster, results
from tests.experiments.clusters import Processes, free_addresses, write_data

BUDGET = ["--train.epochs=2", "--train.patience=2", "--train.checkpoint_every=2"]


def outcome(folder, workdir):
    rows = results.read_history(str(folder / workdir / "history.csv"))
    metrics = json.loads((folder / workdir / "metrics.json").read_text())["metrics"]
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows], metrics


@pytest.mark.slow
def test_one_of_two_workers_killed_and_both_started_again(tmp_path):
    write_data(tmp_path)
    with Processes(tmp_path, *BUDGET, "--workdir=one", "--export=false") as alone:
        alone.wait(alone.start())
    tasks = cluster.tasks(free_addresses(worker=2))
    with Processes(tmp_path, *BUDGET, "--workdir=two", "--strategy.name=multi_worker") as both:
        survivor, killed = (both.start(task) for task in tasks)
        both.kill_after_a_checkpoint(killed, "two")
        errors = [line for line in both.wait(survivor, returncode=1).splitlines() if line.startswith("error: ")]
        assert len(errors) == 1 and "start the same command again on every machine" in errors[0], both.logs()
        assert not (tmp_path / "two" / "history.csv").exists(), "not killed in mid-epoch"
    tasks = cluster.tasks(free_addresses(worker=2))
    with Processes(tmp_path, *BUDGET, "--workdir=two", "--strategy.name=multi_worker") as both:
        chief, other = (both.start(task) for task in tasks)
        assert "verified" in both.wait(chief)
        both.wait(other)
    (history, metrics), (expected_history, expected_metrics) = outcome(tmp_path, "two"), outcome(tmp_path, "one")
    for row, expected_row in zip(history, expected_history, strict=True):
        assert row == pytest.approx(expected_row, rel=1e-5, abs=1e-5)
    for split, of_model in expected_metrics.items():
        assert metrics[split]["model"] == pytest.approx(of_model["model"], rel=1e-5, abs=1e-5), split
    assert len((tmp_path / "two" / "results.jsonl").read_text().splitlines()) == 1
    assert [path.name for path in (tmp_path / "two" / "saved_model").iterdir()] == ["1"]
