"""The files a run leaves in its work folder, and the row it adds to `results.jsonl`."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import typing
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from experiments.flags import Experiment
from experiments.settings import Configuration
from lcn_tf import canonical_json, json_files
from lcn_tf.checkpoint_folder import latest_checkpoint
from lcn_tf.long_term import lap
from lcn_tf.models.registry import EVERY_OTHER, ModelConfig
from lcn_tf.serving.export import next_version
from lcn_tf.training import Predictions, results
from lcn_tf.whole_files import replacing, write_text

PREDICTIONS = "test_predictions.npz"
EXPORTS = "saved_model"
_UNFINISHED = "unfinished_export.json"  # from before the export until just before `metrics.json`
_MAY_CHANGE = {"workdir"}  # a continued run may be named differently, nothing else


def name_of(experiment: Experiment) -> str:
    """What a run is called in tables and default folders: its components, like "lap-200-50_crp" or "sim-inner".

    Other parts than the default's come last, like "lap-200-50_crp_mmoe_conditional_author-pretrained". LAP has its
    sizes, and each component what it was told to be other than by default, as far as that is a word.
    """
    model, components, usual = experiment.groups["model"], experiment.components, ModelConfig()
    active = [name for name in model.objectives if components[("objectives", name)].weight]
    parts = [("long_term", model.long_term), *(("objectives", name) for name in active)]
    parts += [part for part in (("short_term", model.short_term), ("towers", model.tower), ("heads", model.head))
              if part not in usual.parts]
    named = ["-".join([name, *_traits(components[(kind, name)])]) for kind, name in parts]
    named += ["-".join(["all" if table == EVERY_OTHER else table, kind, *_traits(components[("tables", kind)])])
              for table, kind in model.table_kinds.items() if kind != "dense"]
    return "_".join(named)


def _traits(config: Any) -> list[str]:
    """LAP's sizes, the words chosen from a list that are not the default, and what is switched on."""
    found = [str(config.msa_top_k).lower(), str(config.fsa_top_k).lower()] if isinstance(config, lap.Config) else []
    annotations = typing.get_type_hints(type(config))
    for field in dataclasses.fields(config):
        value, annotation = getattr(config, field.name), annotations[field.name]
        if value != field.default and typing.get_origin(annotation) is typing.Literal:
            found.append(value)
        elif value != field.default and annotation == tuple[str, ...]:
            found.extend(value)
        elif value and not field.default and annotation is bool:
            found.append(field.name.replace("_", "-"))
    return found


def workdir_of(experiment: Experiment) -> str:
    """`--workdir`, or a folder in `runs/` named after the model, the data set, the seed, the data and the settings."""
    if experiment.run.workdir:
        return experiment.run.workdir
    given = {"data": experiment.run.data_dir, "consistency": experiment.groups["eval"].consistency_rows}
    given = {name: value for name, value in given.items() if value}
    digest = canonical_json.digest({**experiment.settings(), "input": str(experiment.run.input_dir), **given})[:8]
    seed = experiment.groups["train"].seed
    return os.path.join("runs", f"{name_of(experiment)}-{experiment.run.dataset}-seed{seed}-{digest}")


def open_workdir(workdir: str, experiment: Experiment) -> None:
    """Creates the folder and its `flags.cfg`, or checks that the run found there is the same one.

    A run that ended before its first checkpoint (its input was refused, say) left nothing to continue: it is replaced.

    Raises:
      PermissionError: the folder cannot be written.
      ValueError: it holds a run with other flags; the message lists them.
    """
    path = os.path.join(workdir, "flags.cfg")
    lines = experiment.assignments()
    if os.path.exists(path) and has_progress(workdir):
        changed = changed_flags(path, lines, _MAY_CHANGE)
        if changed:
            raise ValueError(f"{workdir} holds a run with other flags ({'; '.join(changed)}); "
                             "choose another --workdir or remove this one")
        return
    try:
        os.makedirs(workdir, exist_ok=True)
        write_text(path, "\n".join(["# python -m experiments.run --flagfile=<this file>", *lines, ""]))
    except OSError as error:
        raise PermissionError(f"--workdir={workdir} cannot be written: {error.strerror}") from error


def changed_flags(path: str, lines: Sequence[str], may_change: Collection[str]) -> list[str]:
    """How flags differ from those of a `flags.cfg`, in words, but for some."""
    with open(path, encoding="utf-8", errors="replace") as file:
        return differences(file.read().split("\n"), lines, may_change)


def differences(lines_before: Sequence[str], lines: Sequence[str], may_change: Collection[str] = ()) -> list[str]:
    """How the flags of two flag files differ, in words, but for some."""
    before, now = _values(lines_before), _values(lines)
    names = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
    return [f"--{name}: {before.get(name)} before, {now.get(name)} now" for name in names if name not in may_change]


def _values(lines: Sequence[str]) -> dict[str, str]:
    """Flag -> value."""
    return {name: value for name, _, value in (line[2:].partition("=") for line in lines if line.startswith("--"))}


def finished(workdir: str) -> dict[str, Any] | None:
    """What `metrics.json` of a finished run says, None before that.

    Raises:
      ValueError: it is none; the message names the file.
    """
    return results.read_json(os.path.join(workdir, "metrics.json"), {"metrics": {str: {str: dict}}})


def version_to_export(workdir: str) -> int:
    """Number of the version that an unfinished run exports; one that it began before it was killed is deleted.

    Other versions stay, whoever made them.
    """
    path, exports = os.path.join(workdir, _UNFINISHED), os.path.join(workdir, EXPORTS)
    begun = results.read_json(path, {"version": int})
    if begun is not None:
        shutil.rmtree(os.path.join(exports, str(begun["version"])), ignore_errors=True)
        return begun["version"]
    version = next_version(exports) if os.path.isdir(exports) else 1
    results.write_json(path, {"version": version})
    return version


def exported_version(workdir: str) -> str | None:
    """Path of the version that a finished run has exported, wherever its folder was then; None before it is finished.

    Raises:
      ValueError: it exported none, or its `metrics.json` is none; the message names the file.
    """
    metrics = finished(workdir)
    if metrics is None:
        return None
    path = os.path.join(workdir, "metrics.json")
    json_files.check(path, metrics, {"saved_model": object})
    if not isinstance(metrics["saved_model"], str):
        raise ValueError(f"{path}: saved_model must be the path of a version, got {metrics['saved_model']!r}: "
                         "the run exported none (--export=false)")
    return os.path.join(workdir, EXPORTS, os.path.basename(metrics["saved_model"]))


def write_predictions(workdir: str, rows: Predictions) -> None:
    """Writes `test_predictions.npz`: the arrays of `Predictions`, to compare models row by row."""
    with replacing(os.path.join(workdir, PREDICTIONS), "wb") as file:
        np.savez_compressed(file, **rows.arrays())


def has_progress(workdir: str) -> bool:
    """Whether a run in the folder is finished, or has a checkpoint to continue from."""
    return finished(workdir) is not None or latest_checkpoint(os.path.join(workdir, "checkpoints")) is not None


def write(workdir: str, experiment: Experiment, data_fingerprint: str, origin: dict[str, Any],
          metrics: dict[str, Any]) -> None:
    """Writes `results.jsonl` and `metrics.json`, whose presence means that the run is finished.

    A process that was killed in between has left the line of this run: it is replaced, as are halves of lines.

    `data_fingerprint` is that of the records, `origin` is `provenance.describe()` of the code that ran.
    """
    configuration = Configuration.of(experiment)
    row = {
        "name": name_of(experiment),
        "configuration": configuration.id,
        "config": experiment.settings(),
        "parts": dict(configuration.parts),
        "seed": experiment.groups["train"].seed,
        "data_fingerprint": data_fingerprint,
        **origin,
        **metrics,
    }
    path, same = os.path.join(workdir, "results.jsonl"), ("configuration", "seed", "data_fingerprint")
    others = [line for line in results.read_json_lines(path) if any(line.get(name) != row[name] for name in same)]
    write_text(path, "".join(map(results.json_line, [*others, row])))
    with contextlib.suppress(FileNotFoundError):
        os.remove(os.path.join(workdir, _UNFINISHED))  # first: a finished run's version is never deleted
    results.write_json(os.path.join(workdir, "metrics.json"), metrics)
