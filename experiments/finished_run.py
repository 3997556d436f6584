"""The model of a finished run, as it was at its best epoch, with the records that it was trained on."""

from __future__ import annotations

import os
from typing import NamedTuple

import tensorflow as tf

from experiments import flags, prepared_data, run_data, run_files
from experiments.new_model import new_model
from lcn_tf.checkpoint_folder import latest_checkpoint, restore
from lcn_tf.data import pipeline
from lcn_tf.models import CTRModel


class FinishedRun(NamedTuple):
    """What `load` returns."""

    experiment: flags.Experiment
    files: pipeline.RecordFiles
    model: CTRModel


def read_flags(workdir: str) -> flags.Experiment:
    """The flags of the run in a work folder.

    Raises:
      ValueError: there is none.
    """
    path = os.path.join(workdir, "flags.cfg")
    if not os.path.exists(path):
        raise ValueError(f"--workdir={workdir} holds no run (no flags.cfg)")
    flags.parse(["finished_run", f"--flagfile={path}"])
    return flags.read()


def has_checkpoint(workdir: str) -> bool:
    """Whether a finished run and its best epoch are there."""
    return run_files.finished(workdir) is not None and _best(workdir) is not None


def forget(workdir: str) -> None:
    """Lets a run that is finished, but whose best epoch is no longer there, be trained again."""
    path = os.path.join(workdir, "metrics.json")
    if os.path.exists(path):
        os.remove(path)


def load(workdir: str, experiment: flags.Experiment) -> FinishedRun:
    """Builds the model and restores its weights.

    Args:
      workdir: of the run.
      experiment: what `read_flags` returned.

    Raises:
      ValueError: a run that is not finished, or of other records than those that its flags name now.
    """
    if not has_checkpoint(workdir):
        raise ValueError(f"--workdir={workdir} holds no finished run (metrics.json and checkpoints/best)")
    files = prepared_data.files_of(experiment, prepared_data.find_or_prepare(experiment).data_dir)
    run_data.check(workdir, files)
    model = new_model(experiment, files)
    model.build_weights()
    restore(tf.train.Checkpoint(model=model), _best(workdir)).assert_existing_objects_matched().expect_partial()
    return FinishedRun(experiment, files, model)


def _best(workdir: str) -> str | None:
    return latest_checkpoint(os.path.join(workdir, "checkpoints", "best"))
