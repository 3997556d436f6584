"""A day's work on a model: measured on the day, trained on it, exported and verified."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from typing import Any

import tensorflow as tf

from data_prep import vocabulary
from data_prep.days.prepare_day import PreparedDay
from experiments import prepared_data
from experiments.daily.config import DailyConfig
from experiments.daily.series import Series, version
from experiments.flags import Experiment
from experiments.new_model import new_model
from lcn_tf import json_files
from lcn_tf.checkpoint_folder import latest_checkpoint, restore
from lcn_tf.data.pipeline import RecordFiles
from lcn_tf.data.prepared_folder import SPLITS
from lcn_tf.models import CTRModel
from lcn_tf.serving import export_model, verify_export
from lcn_tf.training import compile_model, create_strategy, evaluation_batches, predict, results, train_further
from lcn_tf.training.checkpoints import Checkpoints
from lcn_tf.training.recycled_rows import put_back, rows_of

_TRAIN = SPLITS[0]
_TRAINED = "trained.json"


def train_day(experiment: Experiment, series: Series, day: str) -> None:
    """Measures and trains: what is left of it, for a day that is prepared.

    The model of the day before is measured with its own vocabulary: values that were admitted with the day are out of
    vocabulary to it. Then the rows of these begin anew, and it is trained on the day.

    Raises:
      ValueError: flags that do not fit.
    """
    groups, prepared, before, folder = experiment.groups, series.prepared(day), series.before, series.folder(day)
    files, newcomers = prepared_data.files_of(experiment, prepared.folder), prepared.admitted()
    files.check(_TRAIN)
    model = _untrained(experiment, files)
    untrained, measured = rows_of(model, newcomers), None
    if before:
        _restore(model, series.model_dir(before.day))
        measured = _measure(experiment, folder, model, files.hiding(newcomers))
    put_back(untrained)
    started = time.monotonic()
    train_further(model, files, groups["data"], groups["train"], folder, (int(version(day)),),
                  verbose=1 if sys.stdout.isatty() else 2)
    print(f"trained in {time.monotonic() - started:.1f} s", flush=True)
    results.write_json(os.path.join(folder, _TRAINED), {"measured": measured})


def is_trained(series: Series, day: str) -> bool:
    """Whether `train_day` has ended for a day under way."""
    return os.path.exists(os.path.join(series.folder(day), _TRAINED))


def export_day(experiment: Experiment, series: Series, day: str) -> None:
    """Keeps the weights of a day that is trained, exports and verifies them: afterwards the day is done.

    In a process of its own, whose files do not depend on what of the training a kill has left to do.

    Raises:
      lcn_tf.serving.VerificationError: the export answers differently from the model.
    """
    prepared, folder = series.prepared(day), series.folder(day)
    files = prepared_data.files_of(experiment, prepared.folder)
    model = _untrained(experiment, files)
    _restore(model, os.path.join(folder, "checkpoints"))
    weights = Checkpoints(tf.train.Checkpoint(model=model), series.model_dir(day))
    weights.write("model")
    weights.keep("model")
    path = _export(model, series, prepared, files, experiment)
    report = verify_export(path)
    print(f"verified: {report.candidates} candidates of {report.requests} requests; largest difference "
          f"{report.max_difference:.1e}", flush=True)
    measured = json_files.read(os.path.join(folder, _TRAINED), {"measured": object})["measured"]
    series.finish(day, {"measured": measured, "ids": _ids(prepared), "refused": objections(experiment.run, measured)})


def _untrained(experiment: Experiment, files: RecordFiles) -> CTRModel:
    """The model with the weights that it begins a series with."""
    groups = experiment.groups
    if groups["train"].deterministic:
        tf.config.experimental.enable_op_determinism()
    tf.keras.utils.set_random_seed(groups["train"].seed)
    tf.keras.mixed_precision.set_global_policy(groups["train"].precision)
    with create_strategy(groups["strategy"]).scope():
        model = new_model(experiment, files)
        compile_model(model, groups["train"])
    return model


def _restore(model: CTRModel, folder: str) -> None:
    path = latest_checkpoint(folder)
    if path is None:
        raise FileNotFoundError(f"{folder}: no weights of a model")
    restore(tf.train.Checkpoint(model=model), path).assert_existing_objects_matched().expect_partial()
    model.after_restore()


def objections(config: DailyConfig, measured: dict[str, float] | None) -> list[str]:
    """Why a version is not to be published; [] where it is.

    Args:
      config: with the floors.
      measured: metrics of its day, before training on it; None on the first day.
    """
    if measured is None:
        return ["nothing is measured on the first day"] if config.min_auc or config.calibration else []
    found, auc, ratio = [], measured["auc"], measured["calibration_ratio"]
    if not (auc is not None and auc >= config.min_auc) and config.min_auc:
        found.append(f"AUC {_text(auc)} is below --min_auc={config.min_auc:g}")
    if config.calibration and not (ratio is not None and config.calibration[0] <= ratio <= config.calibration[1]):
        found.append(f"predicted clicks over clicks {_text(ratio)} is not within --calibration="
                     f"{config.calibration[0]:g},{config.calibration[1]:g}")
    return found


def _text(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4f}"


def _measure(experiment: Experiment, folder: str, model: CTRModel, files: RecordFiles) -> dict[str, Any]:
    """Metrics of the model on a day that it has not seen; kept, as the training that follows may be killed."""
    path, groups = os.path.join(folder, "measured.json"), experiment.groups
    if not os.path.exists(path):
        with files.naming_bad_records():
            rows = predict(model, evaluation_batches(model.distribute_strategy, files, _TRAIN, groups["data"],
                                                     groups["train"].batch_size))
        results.write_json(path, rows.metrics(groups["eval"].gauc_weights))
    return json_files.read(path, dict)


def _export(model: CTRModel, series: Series, prepared: PreparedDay, files: RecordFiles, experiment: Experiment) -> str:
    """Writes the day's version with the vocabularies as they are at its end, in place of a half of it."""
    path = os.path.join(series.export_dir(prepared.day), version(prepared.day))
    if os.path.isdir(path):
        return path
    with tempfile.TemporaryDirectory() as folder:
        for name in prepared.vocabularies:
            vocabulary.write(folder, name, prepared.ids_after(name).texts())
        return export_model(model, series.export_dir(prepared.day), files, experiment.groups["data"], _TRAIN,
                            int(version(prepared.day)), folder)


def _ids(prepared: PreparedDay) -> dict[str, dict[str, int]]:
    """Vocabulary -> how many values have an id at the end of the day, how many came, left and wait; its rows."""
    found = {}
    for name, during in ((name, prepared.ids(name)) for name in prepared.vocabularies):
        after = during.without_idle(prepared.number, prepared.config.max_idle_days)
        found[name] = {"known": len(after.known), "admitted": len(during.admitted(prepared.number)),
                       "evicted": len(during.known) - len(after.known),
                       "waiting": len(after.values) - len(after.known), "rows": during.rows}
    return found
