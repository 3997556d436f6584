"""The finished runs of one data set: `results.jsonl`, one line per run."""

from __future__ import annotations

import dataclasses
import json
import os
from typing import Any

from lcn_tf.training import results

_FIELDS = {"config_hash", "data_fingerprint", "code", "seed", "metrics", "slices", "bootstrap"}


@dataclasses.dataclass(frozen=True)
class Key:
    """What a run's result depends on beside its seed.

    Attributes:
      config_hash: of every flag but paths and the seed.
      data_fingerprint: of the prepared records.
      code: `environment.code_digest()`; None matches any.
    """

    config_hash: str
    data_fingerprint: str | None
    code: str | None

    def matches(self, run: dict[str, Any]) -> bool:
        """Whether a line of `results.jsonl` has this key."""
        return (run["config_hash"], run["data_fingerprint"]) == (self.config_hash, self.data_fingerprint) and (
            self.code in (None, run["code"]))


class Store:
    """Runs in `<folder>/results.jsonl`, in the order in which they were finished.

    Raises:
      ValueError: a line that is not JSON or no run of a table; the message names file and line.
    """

    def __init__(self, folder: str):
        self.path = os.path.join(folder, "results.jsonl")
        self._runs = read_runs(self.path) if os.path.exists(self.path) else []
        for number, run in enumerate(self._runs, 1):
            if lacking := _FIELDS - run.keys():
                raise ValueError(f"{self.path}, line {number}: not a run of a table, it lacks "
                                 f"{', '.join(sorted(lacking))}; remove the line")

    def find(self, key: Key, seed: int) -> dict[str, Any] | None:
        """The newest run of a key and a seed."""
        for run in reversed(self._runs):
            if run["seed"] == seed and key.matches(run):
                return run
        return None

    def add(self, run: dict[str, Any]) -> None:
        """Appends a finished run."""
        os.makedirs(os.path.dirname(self.path), exist_ok=True)
        results.append_json_line(self.path, run)
        self._runs.append(json.loads(json.dumps(run)))


def read_runs(path: str) -> list[dict[str, Any]]:
    """The lines of a `results.jsonl`.

    Raises:
      ValueError: a line that is not JSON; the message names file and line.
    """
    runs = []
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            try:
                runs.append(json.loads(line))
            except json.JSONDecodeError as error:
                raise ValueError(f"{path}, line {number}: not JSON ({error}); remove the line to run it again, "
                                 f"got {line[:60]!r}") from error
    return runs
