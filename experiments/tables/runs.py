"""Runs what a table lacks: one process a run, in any number at a time, continued after a kill."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments import run_files
from experiments.orphaned_runs import wait_for_orphan
from experiments.tables import resamples
from experiments.tables.comparison import Spread, compared
from experiments.tables.plan import Planned
from experiments.tables.report import spread_text
from experiments.tables.store import Store
from lcn_tf.metrics import metrics_of_resamples
from lcn_tf.training import results
from lcn_tf.training.evaluation import Predictions

_BOOTSTRAP_SEED = 0  # one for all runs, so that their resamples of the users are the same
# What a table keeps of a run; the rest stays in the run's folder.
_KEPT = ("configuration", "data_fingerprint", "seed", "commit", "versions", "hardware", "parameters", "best_epoch",
         "epochs", "training_seconds", "metrics", "slices", "consistency")
_HISTORY = ("epoch", "validation_auc", "validation_consistency")


class RunFailedError(Exception):
    """A run left no result that counts; the message says why."""


@dataclasses.dataclass(frozen=True)
class Missing:
    """A run to do."""

    planned: Planned
    seed: int

    @property
    def folder(self) -> str:
        """Its work folder in that of the tables; another configuration or data set has another one."""
        key = self.planned.key
        name = os.path.splitext(os.path.basename(self.planned.row.cfg))[0]
        return os.path.join(f"{name}-{key.configuration[:8]}-{key.data_fingerprint[:8]}", f"seed-{self.seed}")

    def workdir(self, folder: str) -> str:
        """Its work folder, in that of the tables."""
        return os.path.join(folder, self.folder)


def missing(planned: Sequence[Planned], seeds: Sequence[int], store: Store) -> list[Missing]:
    """What the store lacks, a seed of every row before the next seed."""
    runs = [Missing(row, seed) for seed in seeds for row in planned if store.find(row.key, seed) is None]
    return list({(run.planned.key, run.seed): run for run in runs}.values())


def run_missing(runs: Sequence[Missing], store: Store, workdir: str, jobs: int = 1) -> list[Missing]:
    """Does runs, adds each to the store, shows how far it is; returns those that failed.

    Args:
      runs: what to do.
      store: gets one line per finished run.
      workdir: gets a folder per run, with `log.txt` beside what a run leaves.
      jobs: runs at a time; several share the processors, which shows in their times.
    """
    failed, started = [], time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        futures = {pool.submit(_run, run, run.workdir(workdir)): run for run in runs}
        try:
            for done, future in enumerate(concurrent.futures.as_completed(futures), 1):
                run = futures[future]
                name = f"{run.planned.row.name}, seed {run.seed}"
                left = (time.monotonic() - started) / done * (len(runs) - done)
                try:
                    result, codes = future.result()
                    if store.find(run.planned.key, run.seed) is None:  # else only its model was missing
                        store.add(result, codes, run.planned.configuration)
                    label = compared(run.planned)
                    auc = result["metrics"]["validation"]["model"][f"{label}auc"]  # nobody is to choose by the test day
                    outcome = f"validation {label}AUC {spread_text(Spread.of([auc]))}"
                except RunFailedError as error:
                    failed.append(run)
                    outcome = f"failed, {error}"
                print(f"[{done}/{len(runs)}] {name}: {outcome}; about {_duration(left)} left", flush=True)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return failed


def _run(run: Missing, folder: str) -> tuple[dict[str, Any], np.ndarray]:
    """One run in its folder; what a table keeps of it, and its packed resamples `[2, R]`."""
    wait_for_orphan(folder)
    command = [sys.executable, "-m", "experiments.run", *run.planned.arguments, f"--train.seed={run.seed}",
               f"--workdir={folder}"]
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, "log.txt")
    with open(path, "a", encoding="utf-8") as log:
        if subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, check=False).returncode:
            raise RunFailedError(f"see {path}")
    result = results.read_json_lines(os.path.join(folder, "results.jsonl"))[-1]
    if not run.planned.key.matches(result):
        raise RunFailedError(f"parts, flags or data changed after the command was started; {folder} is of others")
    predictions = Predictions.from_arrays(np.load(os.path.join(folder, run_files.PREDICTIONS)))
    rows = predictions.by_prefix()[compared(run.planned)]
    drawn = metrics_of_resamples(*rows, seed=_BOOTSTRAP_SEED, gauc_weights=result["config"]["eval.gauc_weights"])
    history = [{name: row[name] for name in _HISTORY if name in row} for row in result["history"]]
    row = [run.planned.row.cfg, *run.planned.row.flags]
    return ({**{name: result[name] for name in _KEPT}, "row": row, "history": history},
            np.stack([resamples.pack(drawn[name]) for name in resamples.METRICS]))


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"
