"""Finds the prepared data of an experiment, and prepares (or generates) it when it is missing."""

from __future__ import annotations

import dataclasses
import json
import os
from typing import Any

from data_prep import accounting, dataclass_flags
from data_prep.config import WITHOUT_EFFECT, lasting_settings
from data_prep.registry import DATASETS
from experiments.flags import Experiment
from lcn_tf.data import record_files
from lcn_tf.training import results

# Settings that a run may ask for otherwise than its records were prepared: they hold as much, or nothing else.
_MAY_DIFFER = ("short_length", "lifelong_length", "shards", *WITHOUT_EFFECT)


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


def prepared_data(experiment: Experiment) -> PreparedData:
    """Reuses or makes the prepared data set of an experiment and prints its row accounting.

    Raises:
      data_prep.errors.InputError: raw files that cannot be used; the message names file, line or field, and value.
      FileNotFoundError: `data_dir` is given without `input_dir`, but holds no prepared data.
      ValueError: `data_dir` holds another data set, or one prepared with other settings than those of the flags.
    """
    run, groups = experiment.run, experiment.groups
    generator = DATASETS[run.dataset].generator
    truth = generator.true_probability(groups[run.dataset]) if generator else ""
    lengths = {"short_length": groups["data"].short_length, "lifelong_length": groups["data"].lifelong_length}
    preparation = dataclasses.replace(groups["prep"], **lengths)
    input_dir = run.input_dir
    if run.generated:
        input_dir = _generated_logs(run.dataset, groups[f"{run.dataset}_generator"], truth)
    data_dir = run.data_dir
    if not data_dir:
        settings = {"input": _listing(input_dir), "dataset": dataclasses.asdict(groups[run.dataset]),
                    "preparation": lasting_settings(preparation)}
        data_dir = os.path.join("data", f"{run.dataset}-{results.config_hash(settings)}")
    if not os.path.exists(os.path.join(data_dir, "schema.json")):
        if not input_dir:
            raise FileNotFoundError(f"--data_dir={data_dir} holds no prepared data set (no schema.json); "
                                    "give --input_dir too to prepare it")
        print(f"Preparing {run.dataset} from {input_dir} into {data_dir}", flush=True)
        DATASETS[run.dataset].prepare(input_dir, data_dir, groups[run.dataset], preparation)
    facts = record_files.preparation_facts(data_dir)
    _check_settings(data_dir, facts, {run.dataset: groups[run.dataset], "prep": preparation})
    print(accounting.format_table(facts.get("rows", {})), *(f"warning: {text}" for text in facts.get("warnings", ())),
          sep="\n", flush=True)
    oracle = os.path.join(input_dir or "", truth)
    return PreparedData(data_dir, oracle if input_dir and os.path.isfile(oracle) else None, facts)


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
    pairs = [(prefix, name, value) for prefix, config in asked.items()
             for name, value in json.loads(json.dumps(dataclasses.asdict(config))).items() if name not in _MAY_DIFFER]
    unknown = [f"--{prefix}.{name}" for prefix, name, _ in pairs if name not in prepared]
    if unknown:
        raise ValueError(f"{data_dir} holds {facts.get('dataset')!r}, not what --dataset={next(iter(asked))} prepares "
                         f"(its preparation.json lacks {', '.join(unknown)})")
    other = [f"--{prefix}.{name}={dataclass_flags.text_of(prepared[name])}"
             for prefix, name, value in pairs if prepared[name] != value]
    if other:
        raise ValueError(f"{data_dir} was prepared with other settings: give {' '.join(other)}, or another --data_dir")


def _generated_logs(dataset: str, config: Any, last: str) -> str:
    """The folder of the logs of a generator configuration, generated if its `last` file is missing."""
    folder = os.path.join("data", f"{dataset}_generated-{results.config_hash(dataclasses.asdict(config))}")
    if not os.path.exists(os.path.join(folder, last)):
        print(f"Generating logs of {dataset} in {folder}", flush=True)
        DATASETS[dataset].generator.generate(folder, config)
    return folder
