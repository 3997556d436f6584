"""Starts `experiments.run` in the processes of a cluster on this machine, on tiny records, and cleans up after them."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

from lcn_tf.training import cluster
from tests import synthetic

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SMALL = ["--flagfile=lcn_200_50.cfg", "--data_dir=data", "--data.short_length=3", "--data.lifelong_length=11",
         "--data.shuffle_buffer=50", "--model.long_term=mean_pool", "--model.short_term=mean",
         "--embeddings.embedding_dim=4", "--crp.num_negatives=31", "--tower.units=7", "--train.batch_size=41",
         "--train.deterministic=true"]
TIMEOUT = 600  # seconds, for machines with much else to do


def write_data(folder: pathlib.Path) -> None:
    """Records that no data set of `data_prep` claims."""
    synthetic.write_records(folder / "data", seed=3, groups={"train": 83, "validation": 11, "test": 17})
    path = folder / "data" / "preparation.json"
    facts = json.loads(path.read_text())
    del facts["settings"]
    path.write_text(json.dumps(facts))


def free_addresses(**sizes: int) -> dict[str, list[str]]:
    """Job -> addresses on this machine that nobody listens on."""
    sockets = {job: [socket.create_server(("localhost", 0)) for _ in range(size)] for job, size in sizes.items()}
    addresses = {job: [f"localhost:{one.getsockname()[1]}" for one in opened] for job, opened in sockets.items()}
    for opened in sockets.values():
        for one in opened:
            one.close()
    return addresses


class Processes:
    """Processes of `experiments.run` in a folder, each with its log; leaving the context ends them all."""

    def __init__(self, folder: pathlib.Path, *arguments: str):
        self.folder = folder
        self.command = [sys.executable, "-m", "experiments.run", *SMALL, *arguments]
        self.started: list[tuple[subprocess.Popen, pathlib.Path]] = []

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *exception) -> None:
        for process, _ in self.started:
            process.kill()
            process.wait()

    def start(self, task: cluster.Task | None = None) -> subprocess.Popen:
        """Starts the process of a task."""
        path = self.folder / f"{len(self.started)}.log"
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        if task:
            environment[cluster.VARIABLE] = task.to_json()
        with open(path, "w", encoding="utf-8") as log:
            process = subprocess.Popen(self.command, cwd=self.folder, env=environment, stdout=log,
                                       stderr=subprocess.STDOUT)
        self.started.append((process, path))
        return process

    def wait(self, process: subprocess.Popen, returncode: int = 0) -> str:
        """Waits for the end of a process; its log."""
        try:
            process.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"not ended after {TIMEOUT} s\n{self.logs()}") from None
        assert process.returncode == returncode, self.logs()
        return next(path for one, path in self.started if one is process).read_text(encoding="utf-8")

    def kill_after_a_checkpoint(self, process: subprocess.Popen, workdir: str) -> None:
        """Ends a process by SIGKILL as soon as the run has a checkpoint of its first epoch."""
        checkpoint = self.folder / workdir / "checkpoints" / "checkpoint"
        deadline = time.monotonic() + TIMEOUT
        while not checkpoint.exists():
            running = all(one.poll() is None for one, _ in self.started)
            assert time.monotonic() < deadline and running, self.logs()
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not (self.folder / workdir / "metrics.json").exists(), "killed too late"

    def logs(self) -> str:
        """The ends of all logs."""
        return "\n".join(f"--- {path.name}\n{path.read_text(encoding='utf-8')[-3000:]}" for _, path in self.started)
