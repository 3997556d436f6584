"""Models that are trained on the logs of the days before the test, by the command of the main job."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

from command_line.dataclass_flags import text_of
from experiments import run_files
from experiments.orphaned_runs import wait_for_orphan
from lcn_tf.long_term import sim
from lcn_tf.towers import mlp

# As `experiments/configs/data/industrial_generated.cfg` has it, whose logs are of this size, not as the preset of logs
# that are given, which has the paper's sizes.
FITTING = ("--flagfile=data/industrial_generated.cfg", f"--tower.units={text_of(mlp.Config().units)}",
           f"--sim.aux_units={text_of(sim.Config().aux_units)}", "--train.deterministic=true")


class TrainingFailedError(ValueError):
    """A command that trains has failed; the message says where its words are."""


def train(cfg: str, logs: str, data_dir: str, workdir: str, pre_days: int, seed: int, flags: Sequence[str]) -> str:
    """Trains and exports a model, or goes on with that; returns the path of the version.

    Args:
      cfg: flag file of the model.
      logs: of the days before the test, of which the last is test, the one before it validation.
      data_dir: of the records, prepared by whoever comes first.
      workdir: of the run.
      pre_days: days of the logs.
      seed: of the training.
      flags: of all runs, after those of the cfg.

    Raises:
      TrainingFailedError: the run failed.
      ValueError: it exported nothing.
    """
    run([sys.executable, "-m", "experiments.run", "--dataset=industrial", f"--input_dir={logs}",
         f"--data_dir={data_dir}", f"--industrial.num_days={pre_days}", *FITTING, f"--flagfile={cfg}",
         f"--train.seed={seed}", *flags, f"--workdir={workdir}"], workdir)
    version = run_files.exported_version(workdir)
    if version is None:
        raise TrainingFailedError(f"training in {workdir} left no metrics.json; its log: "
                                  f"{os.path.join(workdir, 'log.txt')}")
    return version


def run(command: Sequence[str], workdir: str) -> None:
    """Runs a command with a work folder, into whose `log.txt` it prints.

    Raises:
      TrainingFailedError: it failed.
    """
    wait_for_orphan(workdir)
    os.makedirs(workdir, exist_ok=True)
    path = os.path.join(workdir, "log.txt")
    with open(path, "a", encoding="utf-8") as log:
        process = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, check=False)
    if process.returncode:
        with open(path, encoding="utf-8") as log:
            said = [line for line in log.read().splitlines() if line.strip()][-1:]
        raise TrainingFailedError(f"training in {workdir} failed: {' '.join(said)} (more in {path})")
