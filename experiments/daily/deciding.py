"""What decides the records of all days of a series: the first day's is noted, and that of a later command compared."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from command_line import dataclass_flags
from data_prep.config import WITHOUT_EFFECT
from data_prep.days.config import LastingIdsConfig
from data_prep.own_logs.mapping import Mapping
from experiments.flags import Experiment

_LENGTHS = ("short_length", "lifelong_length")  # of histories: the preparation's are those of the batches
_MAY_MOVE = ("files", "splits", "vectors")  # paths, and what a series does not read


def of_flags(experiment: Experiment, ids: LastingIdsConfig) -> list[str]:
    """Lines of a flag file: the flags that the records depend on."""
    prep, data = experiment.groups["prep"], experiment.groups["data"]
    return [*dataclass_flags.assignments("prep", prep, (*_LENGTHS, *WITHOUT_EFFECT)),
            *(f"--data.{name}={getattr(data, name)}" for name in _LENGTHS), *dataclass_flags.assignments("ids", ids)]


def of_mapping(mapping: Mapping) -> dict[str, Any]:
    """Key -> value of all that a mapping says otherwise than by default, as JSON gives it back.

    Where files are does not count, nor how impressions would be split.
    """
    return json.loads(json.dumps({**_flat("", mapping), "vectors": sorted(mapping.vectors)}))


def _flat(name: str, value: Any) -> dict[str, Any]:
    """Values by their keys, joined with dots."""
    if dataclasses.is_dataclass(value):
        given = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)
                 if field.name not in _MAY_MOVE and getattr(value, field.name) != field.default}
    elif isinstance(value, tuple) and value and dataclasses.is_dataclass(value[0]):
        given = {str(place): part for place, part in enumerate(value)}
    elif isinstance(value, dict):
        given = value
    else:
        return {name: value}
    return {key: found for part, inner in given.items()
            for key, found in _flat(f"{name}.{part}" if name else part, inner).items()}


def check_mapping(path: str, before: dict[str, Any], now: dict[str, Any]) -> None:
    """Compares what `of_mapping` said of two mappings.

    Raises:
      ValueError: they make other records; the message names the file, the keys and their values.
    """
    keys = sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
    if keys:
        changes = (f"{key}: {_text(before, key)} before, {_text(now, key)} now" for key in keys)
        raise ValueError(f"{path}: {'; '.join(changes)}: the mapping has changed; give it back, or start another "
                         "series")


def _text(values: dict[str, Any], key: str) -> str:
    return json.dumps(values[key]) if key in values else "the default"
