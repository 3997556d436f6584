"""The finished runs of one data set, in a folder of four files.

| file | what |
|---|---|
| `results.jsonl` | one line per run, in the order in which they were finished |
| `configurations.json` | id -> versions of the parts, and the settings that are not as before (`settings.py`) |
| `shared.json` | data fingerprint -> what its runs repeat: reference points, sizes of splits and slices, machine |
| `resamples.npz` | metrics of each run on the same resamples of the users |
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments.settings import Configuration
from experiments.tables import folder_lock, resamples, shared_values
from lcn_tf.training import results
from lcn_tf.whole_files import write_text

_SHAPES = {"configurations.json": {"parts": dict, "settings": dict}, "shared.json": dict}
_FIELDS = {"configuration", "data_fingerprint", "seed", "row", "metrics", "slices"}


@dataclasses.dataclass(frozen=True)
class Key:
    """What a run's result depends on beside its seed.

    Attributes:
      configuration: id of a `Configuration`.
      data_fingerprint: of the records.
    """

    configuration: str
    data_fingerprint: str

    def matches(self, run: Mapping[str, Any]) -> bool:
        """Whether a run has this key."""
        return (run["configuration"], run["data_fingerprint"]) == (self.configuration, self.data_fingerprint)


class Store:
    """Runs of a folder; each is as `experiments.run` described it, with `resamples` `[2, R]` (`resamples.METRICS`).

    Raises:
      ValueError: a file that is damaged or of another layout; the message names file and line.
    """

    def __init__(self, folder: str):
        self.folder = folder
        self._path = os.path.join(folder, "results.jsonl")
        self._runs: list[dict[str, Any]] = []
        self._configurations: dict[str, Any] = self._json("configurations.json")
        shared, codes = self._json("shared.json"), resamples.read(self._file("resamples.npz"))
        for number, line in enumerate(results.read_json_lines(self._path), 1):
            lacking = _FIELDS - line.keys()
            if not lacking:
                lacking = {name for name, known in (("resamples", _name(line) in codes), (
                    "configuration", line["configuration"] in self._configurations)) if not known}
            if lacking:
                raise ValueError(f"{self._path}, line {number}: not a run of a table, it lacks "
                                 f"{', '.join(sorted(lacking))}; remove the line")
            run = shared_values.merged(line, shared.get(line["data_fingerprint"], {}))
            self._runs.append({**run, "resamples": resamples.unpack(codes[_name(line)])})

    def find(self, key: Key, seed: int) -> dict[str, Any] | None:
        """The newest run of a key and a seed."""
        return next((run for run in reversed(self._runs) if run["seed"] == seed and key.matches(run)), None)

    def find_older(self, cfg: str, flags: Sequence[str], data_fingerprint: str, seeds: Sequence[int]
                   ) -> tuple[Configuration, dict[int, dict[str, Any]]] | None:
        """The newest configuration under which a row was run on this data, and its runs by seed.

        Versions of its parts or defaults were others than today's; the row is known by its cfg and flags.
        """
        for newest in reversed(self._runs):
            if newest["row"] == [cfg, *flags] and newest["data_fingerprint"] == data_fingerprint:
                key = Key(newest["configuration"], data_fingerprint)
                found = {seed: run for seed in seeds if (run := self.find(key, seed))}
                if found:
                    return Configuration(**self._configurations[newest["configuration"]]), found
        return None

    def add(self, run: Mapping[str, Any], codes: np.ndarray, configuration: Configuration) -> None:
        """Adds a finished run; its line comes last, so that a run is there with all that belongs to it or not at all.

        Args:
          run: with the fields of `Key`, `seed`, `row` (cfg and flags), `metrics`, `slices` and what else a table reads.
          codes: its resamples, packed, `[2, R]`.
          configuration: of the run.
        """
        os.makedirs(self.folder, exist_ok=True)
        run = json.loads(json.dumps(run))
        with folder_lock.held(self.folder):
            stored = resamples.read(self._file("resamples.npz"))
            resamples.write(self._file("resamples.npz"), {**stored, _name(run): codes})
            entry = {"parts": dict(configuration.parts), "settings": dict(configuration.settings)}
            self._configurations = {configuration.id: entry, **self._json("configurations.json")}
            self._write("configurations.json", self._configurations)
            shared = self._json("shared.json")
            if run["data_fingerprint"] not in shared:
                shared[run["data_fingerprint"]] = shared_values.template(run)
                self._write("shared.json", shared)
            results.append_json_line(self._path, shared_values.without(run, shared[run["data_fingerprint"]]))
        self._runs.append({**run, "resamples": resamples.unpack(codes)})

    def _file(self, name: str) -> str:
        return os.path.join(self.folder, name)

    def _json(self, name: str) -> dict[str, Any]:
        return results.read_json(self._file(name), {str: _SHAPES[name]}) or {}

    def _write(self, name: str, entries: Mapping[str, Any]) -> None:
        """An object as JSON, a line for each of its entries."""
        lines = [f"{json.dumps(key)}: {results.json_line(entries[key]).rstrip()}" for key in sorted(entries)]
        write_text(self._file(name), "{\n" + ",\n".join(lines) + "\n}\n")


def _name(run: Mapping[str, Any]) -> str:
    """Of a run's resamples."""
    return f"{run['configuration']} {run['data_fingerprint'][:16]} {run['seed']}"
