"""Replicas, processes and microbatches change no loss (CRP's, SIM's, DIEN's, the rows' penalty), mask or weight."""

import dataclasses
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
from tests.training.replicas import IMPRESSIONS

SCRIPT = pathlib.Path(__file__).with_name("replicas.py")
ROOT = SCRIPT.parent.parent.parent


def run_processes(folder, processes):
    """Runs the script in a folder, all processes at once, each under a strategy and as a task of its cluster."""
    started = []
    try:
        for output, (name, task) in processes.items():
            own = {cluster.VARIABLE: task.to_json()} if task else {}
            environment = {**os.environ, "PYTHONPATH": str(ROOT), **own}
            started.append(subprocess.Popen([sys.executable, str(SCRIPT), name, "data", output], cwd=folder,
                                            stderr=subprocess.PIPE, text=True, env=environment))
        for process in started:
            _, log = process.communicate(timeout=600)
            assert process.returncode == 0, log[-3000:]
    finally:
        for process in started:
            process.kill()
            process.wait()


@pytest.mark.slow
def test_replicas_and_processes_agree(tmp_path):
    schema = dataclasses.replace(synthetic.make_schema(), scenario="slot")
    train = synthetic.make_groups(schema, 60, seed=3)
    single = IMPRESSIONS - sum(len(group["label"]) for group in train)
    train += synthetic.make_groups(schema, single, seed=4, max_candidates=1, first_impression=IMPRESSIONS - single)
    test = synthetic.make_groups(schema, 17, seed=5)
    for group in test:
        group["impression_id"] = [0] * len(group["label"])  # rows are told apart by their places in the files
    synthetic.write_records(tmp_path / "data", schema, seed=3, groups={"train": train, "validation": 5, "test": test})
    tasks = cluster.tasks(free_addresses(worker=2))
    workers = {f"worker-{task.index}": ("multi_worker", task) for task in tasks}
    run_processes(tmp_path, {"mirrored": ("mirrored", None), **workers})
    terms = {"lap": set(), "mean_pool": set(), "dien": {"log_dien_next_event"}, "sim": {"log_sim_gsu"}}
    for name in terms:
        outputs = ["mirrored", *(workers if name == "sim" else ())]
        expected = dict(np.load(tmp_path / f"one-{name}.npz"))
        assert {"log_loss", "log_ctr_loss", "log_embeddings_l2", "log_crp_pt", "log_crp_ps", "log_crp_pc", "log_auc"
                } | terms[name] <= set(expected)
        for output in outputs:
            found = dict(np.load(tmp_path / f"{output}-{name}.npz"))
            assert set(found) == set(expected)
            for key, value in expected.items():
                # Moments tell the size of a gradient, which Adam's weights do not; all are small.
                atol = 1e-4 * np.abs(value).max() + 1e-9 if key.startswith("slot") else 1e-5
                np.testing.assert_allclose(found[key], value, rtol=1e-5, atol=atol, err_msg=f"{output}, {name}: {key}")


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
