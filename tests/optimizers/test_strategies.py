"""Row-sparse Adam gives the same weights under every strategy, continued from a checkpoint in the middle."""

import json
import os
import pathlib
import socket
import subprocess
import sys

import numpy as np
import pytest

from tests.optimizers import replicas

SCRIPT = pathlib.Path(replicas.__file__)
ROOT = SCRIPT.parent.parent.parent


def free_ports(count):
    sockets = [socket.create_server(("localhost", 0)) for _ in range(count)]
    ports = [listening.getsockname()[1] for listening in sockets]
    for listening in sockets:
        listening.close()
    return ports


def trained(strategy, outputs, arguments=(), environments=({},)):
    """Weights of each process's file; one process for each of the environments."""
    processes = [
        subprocess.Popen([sys.executable, str(SCRIPT), strategy, str(output), *map(str, arguments)],
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                         env={**os.environ, "PYTHONPATH": str(ROOT), **environment})
        for output, environment in zip(outputs, environments, strict=True)]
    try:
        for process in processes:
            log, _ = process.communicate(timeout=300)
            assert process.returncode == 0, log[-3000:]
    finally:
        for process in processes:
            process.kill()
    return [dict(np.load(output)) for output in outputs]


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    output = str(tmp_path_factory.mktemp("default") / "weights.npz")
    replicas.main("default", output)
    return dict(np.load(output))


def check(found, expected, count):
    assert (expected["replicas"], found["replicas"]) == (1, count)
    for name in ("table", "kernel"):
        np.testing.assert_allclose(found[name], expected[name], rtol=0, atol=1e-6, err_msg=name)


def test_mirrored(expected, tmp_path):
    check(*trained("mirrored", [tmp_path / "weights.npz"]), expected, 2)


def test_two_workers(expected, tmp_path):
    workers = [f"localhost:{port}" for port in free_ports(2)]
    environments = [
        {"TF_CONFIG": json.dumps({"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}})}
        for index in range(2)]
    for found in trained("multi_worker", [tmp_path / f"{index}.npz" for index in range(2)], (), environments):
        check(found, expected, 2)


def test_tables_sharded_over_parameter_servers(expected, tmp_path):
    check(*trained("parameter_server", [tmp_path / "weights.npz"], free_ports(3)), expected, 1)
