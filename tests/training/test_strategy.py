"""Replicas, processes and microbatches change neither losses nor weights, CRP's negatives included."""

import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from lcn_tf.training import StrategyConfig, cluster, task_of
from lcn_tf.training.strategy import table_partitioner
from tests import synthetic
from tests.experiments.clusters import free_addresses

SCRIPT = pathlib.Path(__file__).with_name("replicas.py")
ROOT = SCRIPT.parent.parent.parent


def trained(outputs, *arguments, tasks=(None,)):
    """What each process of a strategy saved; one process for each task."""
    processes = []
    try:
        for output, task in zip(outputs, tasks, strict=True):
            own = {cluster.VARIABLE: task.to_json()} if task else {}
            environment = {**os.environ, "PYTHONPATH": str(ROOT), **own}
            processes.append(subprocess.Popen([sys.executable, str(SCRIPT), *map(str, arguments), str(output)],
                                              stderr=subprocess.PIPE, text=True, env=environment))
        for process in processes:
            _, log = process.communicate(timeout=600)
            assert process.returncode == 0, log[-3000:]
    finally:
        for process in processes:
            process.kill()
    return [dict(np.load(output)) for output in outputs]


def check(found, expected):
    assert set(found) == set(expected)
    for name, value in found.items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-5, atol=1e-5, err_msg=name)


def test_replicas_agree_on_grouped_batches(tmp_path):
    synthetic.write_records(tmp_path, seed=3, groups={"train": 83, "validation": 5, "test": 17})
    expected, = trained([tmp_path / "0.npz"], tmp_path, "grouped", "same", "default", 1, 1)
    assert {"log_loss", "log_ctr_loss", "log_crp_pt", "log_crp_ps", "log_crp_pc", "log_auc"} <= set(expected)
    for replicas, microbatches in ((2, 3), (4, 1)):
        check(*trained([tmp_path / f"{replicas}.npz"], tmp_path, "grouped", "same", "mirrored", replicas, microbatches),
              expected)


def test_replicas_and_processes_agree_on_flat_batches(tmp_path):
    synthetic.write_records(tmp_path, seed=3, groups={"train": 83, "validation": 5, "test": 17})
    expected, = trained([tmp_path / "0.npz"], tmp_path, "flat", "row_sparse_adam", "default", 1, 1)
    check(*trained([tmp_path / "2.npz"], tmp_path, "flat", "row_sparse_adam", "mirrored", 2, 2), expected)
    tasks = cluster.tasks(free_addresses(worker=2))
    for found in trained([tmp_path / f"worker-{task.index}.npz" for task in tasks], tmp_path, "flat", "row_sparse_adam",
                         "multi_worker", 2, 1, tasks=tasks):
        check(found, expected)


def test_unknown_strategy_is_refused():
    with pytest.raises(ValueError, match="strategy.name must be one of default, .*, got 'mirror'"):
        StrategyConfig(name="mirror")


@pytest.mark.parametrize("name, jobs, message", [
    ("multi_worker", {}, "needs the variable TF_CONFIG; python -m experiments.cluster"),
    ("multi_worker", {"worker": ["a:1"], "ps": ["b:1"]}, "has no ps"),
    ("parameter_server", {"worker": ["a:1"], "ps": ["b:1"]}, "needs a chief"),
    ("parameter_server", {"worker": ["a:1"], "chief": ["b:1"]}, "needs a ps"),
])
def test_the_cluster_must_be_one_for_the_strategy(monkeypatch, name, jobs, message):
    monkeypatch.delenv(cluster.VARIABLE, raising=False)
    if jobs:
        monkeypatch.setenv(cluster.VARIABLE, cluster.Task("worker", 0, jobs).to_json())
    with pytest.raises(ValueError, match=message):
        task_of(StrategyConfig(name=name))


@pytest.mark.parametrize("rows, shards", [(3, 1), (32, 2), (10_000, 3), (1 << 27, 8)])
def test_tables_are_cut_into_shards_of_bounded_size(rows, shards):
    partitioner = table_partitioner(servers=3, min_shard_bytes=1024)
    assert list(partitioner(tf.TensorShape([rows, 16]), tf.float32)) == [shards, 1]
