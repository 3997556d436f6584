"""Kinds of tables on a stream of days: AUC of each day before training on it, of cold candidates too, and bytes.

    python -m experiments.benchmarks.streaming_tables [--tables=room_id] [--kinds=dense,autoassign] \
        -- [--flagfile=lcn_200_50.cfg] [--industrial_generator.preset=month --industrial.num_days=30]

What follows `--` are flags of `experiments.run`: the model, the data (prepared if missing) and options of the kinds,
such as `--autoassign.capacity=0.3`; without any, LCN-200-50 on the generated logs `hard`. The days of the training
split come one after the other: a model is measured on a day, then trained on it in one pass. The vocabulary is that of
the whole split: ids of days to come are there from the start, untrained. A candidate is cold if its id of the first
table was a candidate in fewer impressions of earlier days than `--cold_below`.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from absl import app, logging
from absl import flags as absl_flags

import lcn_tf  # noqa: F401  (chooses Keras 2 before TensorFlow is loaded)

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import tensorflow as tf

from command_line.text_table import align
from experiments import flags, prepared_data, workdir_lock
from experiments.benchmarks import flags as common
from experiments.benchmarks import measure
from experiments.flags import Experiment
from experiments.new_model import new_model
from lcn_tf.contracts import GivesRows, RowState
from lcn_tf.data import tfrecords
from lcn_tf.data.catalogue import CATALOGUE
from lcn_tf.data.pipeline import RecordFiles
from lcn_tf.data.prepared_folder import PREPARATION
from lcn_tf.data.record_chunks import read_chunks
from lcn_tf.metrics import exact_auc
from lcn_tf.models import CTRModel
from lcn_tf.optimizers.slots import slots_of
from lcn_tf.schema import FIRST_ID
from lcn_tf.training import compile_model, evaluation_batches, predict, results, train_further
from lcn_tf.training.memory import bytes_of

_WORKDIR = absl_flags.DEFINE_string("stream_dir", "runs/streaming_tables", "folder of days and models, made anew")
_TABLES = absl_flags.DEFINE_list("tables", ["room_id"], "tables to measure; candidates are cold by the first")
_KINDS = absl_flags.DEFINE_list("kinds", ["dense", "autoassign"], "kinds of these tables")
_COLD_BELOW = absl_flags.DEFINE_integer("cold_below", 20, "impressions of a candidate that is not cold", lower_bound=1)
_UTC_OFFSET = absl_flags.DEFINE_float("utc_offset_hours", 8.0, "hours that the days' clock is ahead of UTC")

_DAY = 86_400
_TRAIN = "train"


class Day(NamedTuple):
    """A day's records.

    Attributes:
      number: days since 1970.
      folder: a prepared data set of the day alone.
      impressions: its impression ids, ascending, int64 `[N]`.
      cold: whether each one's candidate is, bool `[N]`.
    """

    number: int
    folder: str
    impressions: np.ndarray
    cold: np.ndarray


def main(argv: list[str]) -> None:
    """Runs the benchmark, prints its table and writes the JSON file; bad input ends in one line."""
    logging.set_verbosity(logging.WARNING)
    asked = {flag.name: flag.value for flag in (_WORKDIR, _TABLES, _KINDS, _COLD_BELOW, _UTC_OFFSET)}
    output = common.OUTPUT.value or "streaming_tables.json"  # now: flags of runs are parsed afresh
    try:
        flags.define()
        figures = measure_kinds(asked, argv[1:])
        measure.write_figures(output, {**asked, "flags": argv[1:]}, figures)
    except (absl_flags.Error, ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    print(report(figures))


def measure_kinds(asked: Mapping[str, Any], arguments: Sequence[str]) -> list[dict[str, Any]]:
    """The figures of every kind.

    Args:
      asked: values of the benchmark's own flags.
      arguments: flags of `experiments.run`.

    Raises:
      ValueError: flags that are not known or do not fit, or fewer than two days.
      OSError: records that are not there, or a `stream_dir` that cannot be written or is in use.
    """
    _check(asked)
    of_kind = {kind: _experiment(arguments, ",".join(f"{table}:{kind}" for table in asked["tables"]))
               for kind in asked["kinds"]}
    with workdir_lock.held(asked["stream_dir"], "stream_dir"):
        data = prepared_data.find_or_prepare(next(iter(of_kind.values())))
        days = split_days(RecordFiles.open(data.data_dir), asked)
        return [{"kind": kind, **_measure(experiment, days, asked["tables"], os.path.join(asked["stream_dir"], kind))}
                for kind, experiment in of_kind.items()]


def _check(asked: Mapping[str, Any]) -> None:
    for name in ("tables", "kinds"):
        values = asked[name]
        if not values or "" in values or len(set(values)) < len(values):
            raise ValueError(f"--{name} must be one name or more, each once, got {','.join(values)!r}")
    offset = asked["utc_offset_hours"]
    if not -24 < offset < 24:  # nor nan
        raise ValueError(f"--utc_offset_hours must be between -24 and 24, got {offset}")


def _experiment(arguments: Sequence[str], tables: str) -> Experiment:
    unexpected = flags.parse(["streaming_tables", "--flagfile=lcn_200_50.cfg", "--dataset=industrial",
                              "--industrial_generator.preset=hard", *arguments, f"--model.tables={tables}"])[1:]
    if unexpected:
        raise ValueError(f"expected flags of experiments.run, like --dataset=industrial, got {unexpected[0]}")
    return flags.read()


def split_days(files: RecordFiles, asked: Mapping[str, Any]) -> list[Day]:
    """Writes the records of the training split by day; a request belongs to the day of its last candidate.

    Args:
      files: a prepared data set.
      asked: as of `measure_kinds`.

    Raises:
      ValueError: a table that no candidate has an id of, or fewer than two days.
    """
    schema, folder = files.schema, os.path.join(asked["stream_dir"], "days")
    table = asked["tables"][0]
    names = [feature.name for feature in (*schema.item, *schema.candidate) if feature.table == table]
    if not names:
        raise ValueError(f"--tables={table},...: candidates have no ids of it; they have ids of "
                         f"{', '.join(sorted({feature.table for feature in (*schema.item, *schema.candidate)}))}")
    shutil.rmtree(folder, ignore_errors=True)
    of_day: dict[int, list[tuple[bytes, np.ndarray, np.ndarray]]] = {}  # record, impressions, ids
    for path in files.paths_of(_TRAIN):
        serialized = tfrecords.in_order([path]).as_numpy_iterator()
        for chunk in read_chunks(schema, path):
            for record in range(len(chunk["timestamp"].lengths)):
                moment = chunk["timestamp"].of(record).max() + 3_600 * asked["utc_offset_hours"]
                of_day.setdefault(int(moment // _DAY), []).append(
                    (next(serialized), chunk["impression_id"].of(record), chunk[names[0]].of(record)))
    if len(of_day) < 2:
        raise ValueError(f"{files.data_dir}: {len(of_day)} day in the training split, a stream needs two")
    reads, days = np.zeros(schema.tables[table], np.int64), []
    for number, day in sorted(of_day.items()):
        path = os.path.join(folder, str(number))
        _write_day(path, files, [record for record, _, _ in day])
        impressions, ids = (np.concatenate([lists[place] for lists in day]) for place in (1, 2))
        order = np.argsort(impressions, kind="stable")
        cold = (reads[ids] < asked["cold_below"]) & (ids >= FIRST_ID)
        days.append(Day(number, path, impressions[order], cold[order]))
        np.add.at(reads, ids, 1)
    return days


def _write_day(folder: str, files: RecordFiles, records: Sequence[bytes]) -> None:
    """Some records of a data set as one of its own, with what is beside them for models to read."""
    os.makedirs(folder)
    schema = files.schema
    for name in (*schema.vectors.values(), CATALOGUE):
        if os.path.exists(os.path.join(files.data_dir, name)):
            os.makedirs(os.path.dirname(os.path.join(folder, name)), exist_ok=True)
            shutil.copyfile(os.path.join(files.data_dir, name), os.path.join(folder, name))
    with tf.io.TFRecordWriter(os.path.join(folder, f"{schema.name}-{_TRAIN}.tfrecord-00000-of-00001")) as writer:
        for record in records:
            writer.write(record)
    with open(os.path.join(folder, "schema.json"), "w", encoding="utf-8") as file:
        file.write(schema.to_json())
    results.write_json(os.path.join(folder, PREPARATION), {"dataset": schema.name, "splits": {_TRAIN: {}}})


def _measure(experiment: Experiment, days: Sequence[Day], tables: Sequence[str], workdir: str) -> dict[str, Any]:
    """A model carried through the days."""
    shutil.rmtree(workdir, ignore_errors=True)
    groups = experiment.groups
    data, train = groups["data"], dataclasses.replace(groups["train"], epochs=1)
    opened = [prepared_data.files_of(experiment, day.folder) for day in days]
    tf.keras.mixed_precision.set_global_policy(train.precision)
    tf.keras.utils.set_random_seed(train.seed)
    model = new_model(experiment, opened[0])
    compile_model(model, train)
    lines, labels, logits, cold = [], [], [], []
    for day, files in zip(days, opened, strict=True):
        own = os.path.join(workdir, str(day.number))
        os.makedirs(own)
        if day is not days[0]:
            rows = predict(model, evaluation_batches(model.distribute_strategy, files, _TRAIN, data, train.batch_size))
            if not np.array_equal(rows.impression_id, day.impressions):
                raise ValueError(f"{day.folder}: its impressions are not those that were written")
            lines.append({"day": day.number, **_auc(rows.label, rows.logit, day.cold)})
            labels.append(rows.label)
            logits.append(rows.logit)
            cold.append(day.cold)
        train_further(model, files, data, train, own, (day.number,), verbose=0)
    together = _auc(*(np.concatenate(parts) for parts in (labels, logits, cold)))
    return {**table_bytes(model, tables), **together, "days": lines}


def _auc(label: np.ndarray, logit: np.ndarray, cold: np.ndarray) -> dict[str, Any]:
    found: dict[str, Any] = {"rows": len(label), "cold_rows": int(cold.sum())}
    for name, counted in (("auc", np.ones(len(label), bool)), ("cold_auc", cold)):
        both = len(np.unique(label[counted])) == 2
        found[name] = float(exact_auc(label[counted], logit[counted])) if both else None
    return found


def table_bytes(model: CTRModel, tables: Sequence[str]) -> dict[str, int]:
    """Bytes of tables as they are served, and as they are trained: with the state of training and optimiser."""
    served = trained = 0
    for name in tables:
        table: Any = model.embedder.tables.tables[name]
        read = [*table.trainable_weights, *table.by_id] if isinstance(table, GivesRows) else table.weights
        slots = [*(table.slots if isinstance(table, RowState) else ()),
                 *(slot for weight in table.trainable_weights for slot in slots_of(model.optimizer, weight))]
        served += bytes_of(read)
        trained += bytes_of([*table.weights, *slots])
    return {"served_bytes": served, "trained_bytes": trained}


def report(figures: Sequence[Mapping[str, Any]]) -> str:
    """The figures as text."""
    lines = [("tables", "KiB served", "KiB trained", "rows", "AUC", "cold rows", "AUC")]
    lines += [(one["kind"], f"{one['served_bytes'] / 2**10:,.0f}", f"{one['trained_bytes'] / 2**10:,.0f}",
               f"{one['rows']:,}", _text(one["auc"]), f"{one['cold_rows']:,}", _text(one["cold_auc"]))
              for one in figures]
    return "\n".join(align(lines))


def _text(auc: float | None) -> str:
    return "undefined" if auc is None else f"{auc:.4f}"


if __name__ == "__main__":
    app.run(main)
