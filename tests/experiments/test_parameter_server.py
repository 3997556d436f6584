"""A coordinator, two workers and two parameter servers on this machine; a worker dies and comes back."""

import json

import pytest

from lcn_tf.training import cluster, results
from tests.experiments.clusters import Processes, free_addresses, write_data


@pytest.mark.slow
def test_training_ends_although_a_worker_was_killed(tmp_path):
    write_data(tmp_path)
    tasks = cluster.tasks(free_addresses(chief=1, worker=2, ps=2))
    with Processes(tmp_path, "--workdir=run", "--strategy.name=parameter_server", "--strategy.min_shard_bytes=64",
                   "--train.epochs=4", "--train.patience=4", "--train.checkpoint_every=2",
                   "--train.optimizer=row_sparse_adam", "--train.learning_rate=0.02", "--train.decay=cosine",
                   "--train.weight_decay=0.01", "--embeddings.l2=0.0001", "--tower.dropout=0.1") as processes:
        chief, _, killed, *_ = (processes.start(task) for task in tasks)
        processes.kill_after_a_checkpoint(killed, "run")
        back = processes.start(tasks[2])
        log = processes.wait(chief)
        assert back.poll() is None, processes.logs()
    assert "verified" in log
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["epochs"] == 4 and metrics["metrics"]["test"]["model"]["impressions"] == 42
    losses = [row["validation_logloss"] for row in results.read_history(str(tmp_path / "run" / "history.csv"))]
    assert min(losses) < losses[0]  # it learns
