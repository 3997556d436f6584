"""Which process of a cluster this one is, and the `TF_CONFIG` variables that say so (TensorFlow's own convention)."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from typing import NoReturn

import tensorflow as tf

VARIABLE = "TF_CONFIG"
JOBS = ("chief", "worker", "ps")

# A worker that is lost must be noticed when it is next called, not when it is back.
_SERVER_ENVIRONMENT = {"GRPC_FAIL_FAST": "use_caller"}


@dataclasses.dataclass(frozen=True)
class Task:
    """One process of a cluster.

    Attributes:
      job: chief, worker or ps.
      index: place in the job's list of addresses.
      cluster: job -> addresses `host:port`.
    """

    job: str
    index: int
    cluster: Mapping[str, Sequence[str]]

    def __post_init__(self):
        unknown = sorted({self.job, *self.cluster} - set(JOBS))
        if unknown:
            raise ValueError(f"{VARIABLE} has a job {unknown[0]!r}; known: {', '.join(JOBS)}")
        addresses = self.cluster.get(self.job, ())
        if not 0 <= self.index < len(addresses):
            raise ValueError(f"{VARIABLE}: task {self.index} of job {self.job!r}, which has {len(addresses)} addresses")

    @property
    def is_chief(self) -> bool:
        """Whether this process writes the files of a run: the chief, or worker 0 of a cluster without one."""
        return self.job == "chief" or ("chief" not in self.cluster and self.job == "worker" and self.index == 0)

    def to_json(self) -> str:
        """The value of `TF_CONFIG`."""
        return json.dumps({"cluster": {job: list(self.cluster[job]) for job in JOBS if job in self.cluster},
                           "task": {"type": self.job, "index": self.index}})


def current_task() -> Task | None:
    """The task that `TF_CONFIG` says this process is; None where it is not set.

    Raises:
      ValueError: it is damaged; the message says how.
    """
    text = os.environ.get(VARIABLE)
    if not text:
        return None
    try:
        config = json.loads(text)
        job, index, cluster = config["task"]["type"], int(config["task"]["index"]), config["cluster"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{VARIABLE} must be JSON with cluster, task.type and task.index, got {text!r}") from error
    return Task(job, index, cluster)


def tasks(cluster: Mapping[str, Sequence[str]]) -> list[Task]:
    """Every task of a cluster."""
    return [Task(job, index, cluster) for job in JOBS for index in range(len(cluster.get(job, ())))]


def serve(task: Task) -> NoReturn:
    """Runs what the coordinator of parameter servers sends here, until the process is ended."""
    os.environ.update(_SERVER_ENVIRONMENT)
    server = tf.distribute.Server(tf.train.ClusterSpec(dict(task.cluster)), job_name=task.job, task_index=task.index,
                                  protocol="grpc", start=True)
    server.join()
    raise RuntimeError(f"the server of {task.job} {task.index} ended by itself")
