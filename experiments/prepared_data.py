"""Finds the prepared data of an experiment, and prepares (or generates) it when it is missing."""

from __future__ import annotations

import dataclasses
import json
import os
from typing import Any

from command_line import dataclass_flags
from data_prep.config import WITHOUT_EFFECT, PreparationConfig, lasting_settings, written_settings
from data_prep.reading import accounting
from data_prep.registry import DATASETS
from data_prep.writing import output_folder
from experiments import own_logs, run_data
from experiments.flags import Experiment
from lcn_tf import canonical_json
from lcn_tf.data import pipeline
from lcn_tf.data.prepared_folder import preparation_facts
from lcn_tf.models import registry

# Settings that a run may ask for otherwise than its records were prepared: they hold as much, or nothing else.
_MAY_DIFFER = ("short_length", "lifelong_length", "shards", *WITHOUT_EFFECT)
_MAY_BE_MORE = ("unclicked_length",)  # what a model does not read costs it nothing


@dataclasses.dataclass(frozen=True)
class PreparedData:
    """Where an experiment's data is.

    Attributes:
      data_dir: the prepared data set.
      true_probability: file with the click probability that generated the labels, or None for real data.
      facts: what `preparation.json` says, {} for records that were not prepared here.
    """

    data_dir: str
    true_probability: str | None
    facts: dict[str, Any]


def find_or_prepare(experiment: Experiment) -> PreparedData:
    """Reuses or makes the prepared data set of an experiment and prints its row accounting.

    Raises:
      data_prep.errors.InputError: raw files that cannot be used; the message names file, line or field, and value.
      FileNotFoundError: `data_dir` is given without `input_dir`, but holds no prepared data.
      ValueError: `data_dir` holds another data set, or one prepared with other settings than those of the flags.
    """
    run, groups = experiment.run, experiment.groups
    if run.dataset == own_logs.NAME:
        return _own_logs(run.data_dir)
    generator = DATASETS[run.dataset].generator
    truth = generator.true_probability(groups[run.dataset]) if generator else ""
    input_dir, preparation = _input_dir(experiment), preparation_of(experiment)
    if run.generated:
        _generate_missing_logs(run.dataset, input_dir, groups[f"{run.dataset}_generator"], truth)
    data_dir = data_dir_of(experiment)  # now, as it depends on the input's files
    if not run_data.is_prepared(data_dir):
        if not input_dir:
            raise FileNotFoundError(f"--data_dir={data_dir} holds no prepared data set (no schema.json); "
                                    "give --input_dir too to prepare it")
        print(f"Preparing {run.dataset} from {input_dir} into {data_dir}", flush=True)
        DATASETS[run.dataset].prepare(input_dir, data_dir, groups[run.dataset], preparation)
    facts = preparation_facts(data_dir)
    _check_settings(data_dir, facts, {run.dataset: groups[run.dataset], "prep": preparation})
    _print_account(facts)
    oracle = os.path.join(input_dir or "", truth)
    return PreparedData(data_dir, oracle if input_dir and os.path.isfile(oracle) else None, facts)


def files_of(experiment: Experiment, data_dir: str) -> pipeline.RecordFiles:
    """The records in a folder, as the model of an experiment reads them.

    Raises:
      ValueError: they lack a feature of events or an extra history that it reads; or what `RecordFiles.open` raises.
    """
    files, data = pipeline.RecordFiles.open(data_dir), experiment.groups["data"]
    extra = registry.extra_histories(files.schema, experiment.groups["model"], experiment.components)
    return files.reading(data.item_fields, data.context_fields, extra, data.scenario)


def _own_logs(data_dir: str) -> PreparedData:
    """The records that a mapping file made."""
    if not run_data.is_prepared(data_dir):
        raise FileNotFoundError(f"--data_dir={data_dir} holds no prepared data set (no schema.json); make it: "
                                f"python -m data_prep.own_logs --mapping=logs.toml --output_dir={data_dir}")
    facts = preparation_facts(data_dir)
    _print_account(facts)
    if facts:
        print(own_logs.described(data_dir), flush=True)
    return PreparedData(data_dir, None, facts)


def data_dir_of(experiment: Experiment) -> str:
    """The folder of an experiment's records, whether they are there or are still to be prepared from the input."""
    run, groups = experiment.run, experiment.groups
    if run.data_dir:
        return run.data_dir
    settings = {"input": _listing(_input_dir(experiment)), "dataset": written_settings(groups[run.dataset]),
                "preparation": lasting_settings(preparation_of(experiment))}
    return os.path.join("data", f"{run.dataset}-{canonical_json.digest(settings)}")


def _print_account(facts: dict[str, Any]) -> None:
    """What became of the rows of the logs."""
    print(accounting.format_table(facts.get("rows", {})), *(f"warning: {text}" for text in facts.get("warnings", ())),
          sep="\n", flush=True)


def preparation_of(experiment: Experiment) -> PreparationConfig:
    """How an experiment's records are prepared: as long as its batches are."""
    groups = experiment.groups
    lengths = {"short_length": groups["data"].short_length, "lifelong_length": groups["data"].lifelong_length}
    return dataclasses.replace(groups["prep"], **lengths)


def _input_dir(experiment: Experiment) -> str | None:
    """The folder of the raw files, generated ones included."""
    run = experiment.run
    if not run.generated:
        return run.input_dir
    config = dataclasses.asdict(experiment.groups[f"{run.dataset}_generator"])
    return os.path.join("data", f"{run.dataset}_generated-{canonical_json.digest(config)}")


def _listing(folder: str) -> list[Any]:
    """What tells whether a folder's files have changed: its path, and each file's name, size and modification time."""
    entries = sorted(os.scandir(folder), key=lambda entry: entry.name) if os.path.isdir(folder) else []
    return [os.path.abspath(folder), *([entry.name, entry.stat().st_size, entry.stat().st_mtime_ns]
                                       for entry in entries if entry.is_file())]


def _check_settings(data_dir: str, facts: dict[str, Any], asked: dict[str, Any]) -> None:
    """Compares the flags (prefix -> configuration) with what prepared records say they were made with."""
    prepared = facts.get("settings")
    if prepared is None:
        return
    expected = DATASETS[next(iter(asked))].records
    if facts.get("dataset") != expected:
        raise ValueError(f"{data_dir} holds {facts.get('dataset')!r}, not the {expected!r} that --dataset="
                         f"{next(iter(asked))} prepares; --dataset={own_logs.NAME} takes what a mapping file made")
    other = []
    for prefix, config in asked.items():
        made = {**_as_json(type(config)()), **prepared}  # records may be older than a setting
        other += [f"--{prefix}.{name}={dataclass_flags.text_of(made[name])}"
                  for name, value in _as_json(config).items() if name not in _MAY_DIFFER and made[name] != value
                  and not (name in _MAY_BE_MORE and made[name] > value)]
    if other:
        raise ValueError(f"{data_dir} was prepared with other settings: give {' '.join(other)}, or another --data_dir")


def _as_json(config: Any) -> dict[str, Any]:
    """The settings of a dataclass as JSON gives them back."""
    return json.loads(json.dumps(dataclasses.asdict(config)))


def _generate_missing_logs(dataset: str, folder: str, config: Any, last: str) -> None:
    """Generates the logs of a configuration if the `last` file of the folder is missing."""
    path = os.path.join(folder, last)
    if os.path.exists(path):
        return
    with output_folder.locked(folder):
        if os.path.exists(path):  # since the first look
            return
        print(f"Generating logs of {dataset} in {folder}", flush=True)
        DATASETS[dataset].generator.generate(folder, config)
