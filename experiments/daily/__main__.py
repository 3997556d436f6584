"""Carries a model on, day by day: own logs -> records of the day -> measured, trained, exported, verified, published.

    python -m experiments.daily --flagfile=lcn_200_50.cfg --mapping=logs.toml --workdir=live \
      --first_day=2026-01-01 --last_day=2026-01-30

does every day until the last that is not done, and the same command with a later `--last_day` goes on; killed, it
continues where it was. Versions for a server are in `live/published`; `live/progress.csv` has every day's AUC, GAUC,
log loss and calibration, measured before the model was trained on the day. docs/own_logs.md tells the rest.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from absl import app, logging
from absl import flags as absl_flags

import lcn_tf  # noqa: F401  (chooses Keras 2 before TensorFlow is loaded)

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from command_line import dataclass_flags
from data_prep.days.config import LastingIdsConfig
from data_prep.days.prepare_day import prepare_day
from data_prep.own_logs.config import OwnLogsConfig
from data_prep.own_logs.mapping import read_mapping
from data_prep.own_logs.splitting import OneDay
from data_prep.reading import accounting
from experiments import flags, own_logs, prepared_data, run_files, workdir_lock
from experiments.daily import deciding, one_day, progress
from experiments.daily.config import DailyConfig
from experiments.daily.series import Series
from experiments.run_data import is_prepared
from lcn_tf.data.prepared_folder import preparation_facts
from lcn_tf.schema import FeatureSchema
from lcn_tf.serving import VerificationError
from lcn_tf.whole_files import write_text

_EXPECTED_ERRORS = (ValueError, OSError, FloatingPointError, VerificationError)
_MAY_CHANGE = ("workdir", "input_dir", "first_day", "first_days", "last_day", "keep", "min_auc", "calibration")
_STRATEGIES = ("default", "mirrored")  # of one process
# So that a day that was killed gives the bytes of one that was not, and its cost does not depend on the tables' sizes.
_PRESET = ("--train.deterministic=true", "--train.optimizer=row_sparse_adam")


def step(experiment: flags.Experiment, series: Series) -> bool:
    """Prepares and trains the next day, or exports it where that is done; returns whether anything was left to do."""
    config: DailyConfig = experiment.run
    if experiment.groups["strategy"].name not in _STRATEGIES:
        raise ValueError(f"strategy.name must be one of {', '.join(_STRATEGIES)} here, got "
                         f"{experiment.groups['strategy'].name}")
    with workdir_lock.held(series.workdir):
        series.tidy(config.keep)
        next_day, settled = series.next_day(config), series.settled
        if settled is not None:
            _check_flags(experiment, series, settled)
        if next_day is None:
            progress.write(series)
            return False
        day, prepared = next_day.day, series.prepared(next_day.day)
        mapping = deciding.of_mapping(read_mapping(config.mapping))
        if settled is None:
            asked = {"first_day": config.first_day, "first_days": config.first_days, "mapping": mapping,
                     "flags": deciding.of_flags(experiment, series.ids)}
            series.begin(day, asked)
            if not is_prepared(prepared.folder):
                _prepare(experiment, series, next_day)
            _settle(series, next_day, asked)
            return True  # its preset holds from now on
        deciding.check_mapping(config.mapping, settled.get("mapping", mapping), mapping)
        if not is_prepared(prepared.folder):
            _prepare(experiment, series, next_day)
        _check_schema(series, prepared.folder)
        if one_day.is_trained(series, day):
            one_day.export_day(experiment, series, day)
            series.tidy(config.keep)
            progress.write(series)
        else:
            print(f"{day}: training", flush=True)
            one_day.train_day(experiment, series, day)
        return True


def _settle(series: Series, first: OneDay, asked: dict[str, Any]) -> None:
    """Keeps what a series' first day, which was prepared as it was asked for, decides for all others."""
    prepared = series.prepared(first.day)
    fitting = own_logs.of_records(prepared.folder, first.days)
    series.settle({**asked, "preset": [f"--{name}={value}" for name, value in fitting.items()],
                   **prepared.settled()})


def _prepare(experiment: flags.Experiment, series: Series, next_day: OneDay) -> None:
    config: DailyConfig = experiment.run
    print(f"{next_day.day}: preparing", flush=True)
    target = series.prepared(next_day.day).folder
    os.makedirs(os.path.dirname(target), exist_ok=True)
    prepare_day(OwnLogsConfig(config.mapping), config.input_dir or "", target, next_day, series.before, series.ids,
                prepared_data.preparation_of(experiment))
    print(accounting.format_table(preparation_facts(target)["rows"]), flush=True)


def _check_schema(series: Series, folder: str) -> None:
    """Refuses records that the model cannot take, and removes them: once the mapping is mended, they are made anew."""
    if series.before is None:
        return
    before, now = (FeatureSchema.load(path) for path in (series.before.folder, folder))
    if before != now:
        series.remove(folder)
        raise ValueError(f"the records have another schema ({now.fingerprint}) than those of {series.before.day} "
                         f"({before.fingerprint}): the mapping has changed; give it back, or start another series")


def _check_flags(experiment: flags.Experiment, series: Series, settled: dict[str, Any]) -> None:
    """Refuses other flags than those of the series.

    Those that records depend on are settled; the others hold once something is trained: until then, a mistake among
    them can be put right.
    """
    path, now = os.path.join(series.workdir, "flags.cfg"), deciding.of_flags(experiment, series.ids)
    lines = [*experiment.assignments(), *dataclass_flags.assignments("ids", series.ids)]
    changed = run_files.differences(settled.get("flags", now), now)
    if os.path.exists(path) and (series.has_progress or "flags" not in settled):  # earlier versions settled none
        changed = changed or run_files.changed_flags(path, lines, _MAY_CHANGE)
    elif not changed:
        write_text(path, "\n".join(["# python -m experiments.daily --flagfile=<this file>", *lines, ""]))
    if changed:
        raise ValueError(f"{series.workdir} holds a series with other flags ({'; '.join(changed)}); choose another "
                         "--workdir")


def main(argv: list[str]) -> None:
    """One step, then a fresh process for the next one; bad input ends in one line that says what is wrong.

    A process has nothing of the days before it in its memory, so that each day's files are the same whether the days
    before were done in one go or not.
    """
    logging.set_verbosity(logging.WARNING)
    if len(argv) > 1:
        sys.exit(f"error: unexpected arguments {argv[1:]}")
    try:
        experiment = flags.read(DailyConfig)
        series = Series(experiment.run.workdir, dataclass_flags.read("ids", LastingIdsConfig))
        if step(experiment, series):
            sys.stdout.flush()
            os.execv(sys.executable, sys.orig_argv)
    except _EXPECTED_ERRORS as error:
        sys.exit(f"error: {error}")
    print(progress.table(series))
    last = series.done[-1]
    if refused := series.outcome(last)["refused"]:
        sys.exit(f"error: the version of {last} is not published: {'; '.join(refused)}")


def _parse(argv: list[str]) -> list[str]:
    try:
        flags.parse_behind(argv, list(_PRESET))
        workdir = absl_flags.FLAGS["workdir"].value
        settled = Series(workdir, LastingIdsConfig()).settled if workdir else None
        return flags.parse_behind(argv, [*_PRESET, *(settled or {}).get("preset", [])])
    except (absl_flags.Error, FileNotFoundError, ValueError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    flags.define(DailyConfig)
    dataclass_flags.define("ids", LastingIdsConfig)
    app.run(main, flags_parser=_parse)
