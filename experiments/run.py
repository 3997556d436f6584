"""The main job: logs -> records -> trained, measured and exported model.

    python -m experiments.run --flagfile=lcn_200_50.cfg [--dataset=... --input_dir=...] [--workdir=...]

    --flagfile   a file of flags: a path, or a name in experiments/configs
    --dataset    taobao (default), industrial, movielens ...
    --input_dir  its raw files; without it, logs are generated (taobao, industrial)
    --data_dir   prepared records, made from --input_dir if missing (default: a folder in data/)
    --workdir    outputs (default: a folder in runs/); the same command continues a killed run

Everything else has a default, too: --train.epochs, --lap.msa_top_k, --crp.weight ... --helpfull lists every flag.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sys
from typing import Any

from absl import app, logging
from absl import flags as absl_flags

import lcn_tf  # noqa: F401  (chooses Keras 2 before TensorFlow is loaded)

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import tensorflow as tf

from experiments import (
    flags,
    prepared_data,
    printed_metrics,
    provenance,
    reference_points,
    run_data,
    run_files,
    workdir_lock,
)
from experiments.new_model import new_model
from lcn_tf import json_files
from lcn_tf.checkpoint_folder import restore
from lcn_tf.data import pipeline
from lcn_tf.data.prepared_folder import MEASURED_SPLITS
from lcn_tf.models import CTRModel
from lcn_tf.serving import VerificationError, export_model, verify_export
from lcn_tf.training import (
    cluster,
    compile_model,
    create_strategy,
    evaluation_batches,
    measure_split,
    planned_steps,
    predict,
    task_of,
    train,
    wait_for_all,
)
from lcn_tf.training.memory import table_bytes

_EXPECTED_ERRORS = (ValueError, OSError, FloatingPointError, VerificationError)
# Of a finished run.
_SHOWN = {"best_epoch": int, "epochs": int, "training_seconds": float, "saved_model": object}
# What TensorFlow raises in a process whose peer is gone or has started anew.
_LOST_PEER = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError,
              tf.errors.DeadlineExceededError, tf.errors.FailedPreconditionError)


def run(experiment: flags.Experiment) -> None:
    """Trains, measures, exports and verifies; a run that is finished already is shown and verified again.

    Of several processes, the chief does what one does alone, the others only take part in its training.
    """
    config = experiment.groups["strategy"]
    task = task_of(config)
    chief = task is None or task.is_chief
    if task and config.name == "parameter_server" and not chief:
        print(f"{task.job} {task.index} of {len(task.cluster[task.job])} serves until it is ended", flush=True)
        cluster.serve(task)
    workdir = run_files.workdir_of(experiment)
    metrics = run_files.finished(workdir)
    if metrics and chief:
        run_files.open_workdir(workdir, experiment)
        _check_data(experiment, workdir)
        json_files.check(os.path.join(workdir, "metrics.json"), metrics, _SHOWN)
    elif metrics is None:
        strategy = create_strategy(config)  # first, so that others notice if this process fails
        with workdir_lock.held(workdir) if chief else contextlib.nullcontext():
            if chief:
                run_files.open_workdir(workdir, experiment)
            metrics = _train_and_export(experiment, workdir, strategy, chief)
    if not (chief and metrics):
        return
    print(printed_metrics.format_table(run_files.name_of(experiment), metrics["metrics"]), flush=True)
    if experiment.groups["eval"].consistency_rows:
        print(printed_metrics.format_consistency(metrics.get("consistency")))
    if "slices" in metrics:  # runs of earlier versions have none
        print(f"\n{printed_metrics.format_slices(metrics['slices'])}\n", flush=True)
    print(f"Best epoch {metrics['best_epoch']} of {metrics['epochs']}; training {metrics['training_seconds']:.0f} s. "
          f"Outputs: {workdir}", flush=True)
    if not metrics["saved_model"]:
        return
    print(f"SavedModel: {metrics['saved_model']}", flush=True)
    report = verify_export(metrics["saved_model"])
    print(f"verified: {report.candidates} candidates of {report.requests} requests scored in a clean process without "
          f"lcn_tf; largest difference {report.max_difference:.1e}")


def _check_data(experiment: flags.Experiment, workdir: str) -> None:
    """Refuses to show a finished run as one on other records than those that it was measured on.

    Where its records are no longer there, and neither are files to make others of, there is nothing to compare.
    """
    note, data_dir = run_data.noted(workdir), prepared_data.data_dir_of(experiment)
    if note is None or (experiment.run.generated and not run_data.is_prepared(data_dir)):
        return
    if not run_data.is_prepared(data_dir):
        if os.path.abspath(data_dir) == note["data_dir"]:
            return
        # Its files were written anew, perhaps as they were.
        data_dir = prepared_data.find_or_prepare(experiment).data_dir
    run_data.check(workdir, pipeline.RecordFiles.open(data_dir))


def _train_and_export(experiment: flags.Experiment, workdir: str, strategy: tf.distribute.Strategy,
                      chief: bool) -> dict[str, Any] | None:
    """The job itself; the chief returns what it writes to `metrics.json`."""
    groups, origin = experiment.groups, provenance.describe()  # now: files may change while it trains
    if groups["train"].deterministic:
        tf.config.experimental.enable_op_determinism()
    tf.keras.utils.set_random_seed(groups["train"].seed)
    tf.keras.mixed_precision.set_global_policy(groups["train"].precision)
    if not chief:
        wait_for_all(strategy)  # until the chief has prepared data that is missing
    data = prepared_data.find_or_prepare(experiment)
    if chief:
        wait_for_all(strategy)
    files = prepared_data.files_of(experiment, data.data_dir)
    if chief:
        if run_files.has_progress(workdir):
            run_data.check(workdir, files)
        run_data.note(workdir, files)
    for split in MEASURED_SPLITS:  # now: training may take hours, and these are small
        files.check(split)
    total_steps = planned_steps(files, groups["data"], groups["train"])
    with strategy.scope():
        model = new_model(experiment, files)
        compile_model(model, groups["train"], total_steps)
    bytes_of_tables = dataclasses.asdict(table_bytes(model))
    gauc_weights, consistency_rows = groups["eval"].gauc_weights, groups["eval"].consistency_rows
    verbose = (1 if sys.stdout.isatty() else 2) if chief else 0
    trained = train(model, files, groups["data"], groups["train"], workdir, gauc_weights, verbose,
                    consistency_rows)
    if isinstance(strategy, tf.distribute.ParameterServerStrategy):  # from here on without the servers and their shards
        model = new_model(experiment, files)
        model.build_weights()
        restore(tf.train.Checkpoint(model=model), trained.best_checkpoint).assert_existing_objects_matched(
            ).expect_partial()
    rows = {}
    for split in MEASURED_SPLITS:
        with files.naming_bad_records():
            rows[split] = predict(model, evaluation_batches(strategy, files, split, groups["data"],
                                                            groups["train"].batch_size))
    if not chief:
        return None
    table = {split: reference_points.measure(files, split, predictions, data.true_probability, gauc_weights)
             for split, predictions in rows.items()}
    metrics = {"metrics": table, "slices": {"test": rows["test"].slices(gauc_weights)},
               "best_epoch": trained.best_epoch, "epochs": len(trained.history),
               "parameters": model.count_params(), "table_bytes": bytes_of_tables,
               "training_seconds": sum(row["seconds"] for row in trained.history), "history": trained.history,
               "consistency": _consistency(model, files, groups["data"], consistency_rows),
               "saved_model": None}
    run_files.write_predictions(workdir, rows["test"])
    if experiment.run.export:
        metrics["saved_model"] = export_model(model, os.path.join(workdir, run_files.EXPORTS), files, groups["data"],
                                              version=run_files.version_to_export(workdir))
    run_files.write(workdir, experiment, files.fingerprint, origin, metrics)
    return metrics


def _consistency(model: CTRModel, files: pipeline.RecordFiles, data: pipeline.DataConfig, rows: int
                 ) -> dict[str, dict[str, Any]] | None:
    """Split -> consistency of retrieval on its first `rows` impressions; None if 0, or nothing is retrieved."""
    found = {split: measure_split(model, files, split, data, rows) for split in MEASURED_SPLITS if rows}
    return {split: dataclasses.asdict(value) for split, value in found.items() if value} or None


def main(argv: list[str]) -> None:
    """Runs the experiment of the flags; bad input ends in one line that says what is wrong."""
    logging.set_verbosity(logging.WARNING)
    if len(argv) > 1:
        sys.exit(f"error: unexpected arguments {argv[1:]}")
    try:
        run(flags.read())
    except _EXPECTED_ERRORS as error:
        sys.exit(f"error: {error}")
    except _LOST_PEER as error:
        if not os.environ.get(cluster.VARIABLE):
            raise
        print("error: a process of the cluster is gone or failed before this one; start the same command again on "
              f"every machine to continue from the last checkpoint ({_reason(error)})", file=sys.stderr, flush=True)
        sys.stdout.flush()
        os._exit(1)  # an ordinary exit would wait for the lost peer


def _reason(error: tf.errors.OpError) -> str:
    """The part of TensorFlow's message that tells the cause, on one line."""
    text = " ".join(error.message.split())
    return text.partition("Collective ops is aborted by: ")[2][:200] or text[:200]


def _parse(argv: list[str]) -> list[str]:
    try:
        return flags.parse(argv)
    except (absl_flags.Error, FileNotFoundError, ValueError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    flags.define()
    app.run(main, flags_parser=_parse)
