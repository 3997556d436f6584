"""Versions of `schema.json`: a schema is written in the earliest one that can say it, and read in every one.

So what was prepared by an earlier version of the package, and all that is known by its digest, keeps its bytes. Version
1, which carries no number, has `lengths` where later ones have `histories`, in their order, and one label. Version 2
has no `means`.
"""

from __future__ import annotations

from typing import Any

from lcn_tf import json_files

VERSION = 3

_HISTORIES_OF_1 = {
    "short_target": {"domain": "target", "kind": "short", "context": None},
    "short_source": {"domain": "source", "kind": "short", "context": None},
    "lifelong_source": {"domain": "source", "kind": "lifelong", "context": None}}
_OTHERS_OF_1: dict[str, Any] = {
    "labels": [{"name": "click", "key": "label", "given": None}], "scenario": None, "vectors": {}}
_SHAPES = {
    **{role: [{"name": str, "table": str}] for role in ("user", "item", "candidate", "request", "context")},
    "name": str, "tables": dict, "lengths": dict, "histories": [{"name": str}], "time_gap_boundaries": [int],
    "labels": [{"name": str, "key": str}], "scenario": object, "vectors": {str: str}, "means": {str: [str]}}


def to_earliest(values: dict[str, Any]) -> dict[str, Any]:
    """The fields of a schema, as plain values -> what its file says."""
    version = VERSION
    if not values["means"]:
        values, version = {name: value for name, value in values.items() if name != "means"}, 2
    histories = values["histories"]
    others = {name: list(values[name]) if name == "labels" else values[name] for name in _OTHERS_OF_1}
    plain = {name: {field: value for field, value in history.items() if field != "length"}
             for name, history in histories.items()}
    if version == VERSION or others != _OTHERS_OF_1 or list(plain.items()) != list(_HISTORIES_OF_1.items()):
        listed = [{"name": name, **history} for name, history in histories.items()]  # keys are sorted in the file
        return {**values, "histories": listed, "version": version}
    kept = {name: value for name, value in values.items() if name not in (*_OTHERS_OF_1, "histories")}
    return {**kept, "lengths": {name: history["length"] for name, history in histories.items()}}


def to_newest(values: Any, fields: set[str]) -> dict[str, Any]:
    """What a file says -> the fields of a schema, as plain values.

    Args:
      values: of any version.
      fields: that the newest has.

    Raises:
      ValueError: a version that is not known, a field that is missing, unknown or of another shape, or no object at
        all.
    """
    if not isinstance(values, dict):
        raise ValueError(f"not a FeatureSchema: expected a JSON object, got {type(values).__name__}")
    values = dict(values)
    version = values.pop("version", 1)
    if version not in range(1, VERSION + 1):
        raise ValueError(f"a FeatureSchema of version {version!r}; this package reads those up to {VERSION}")
    expected = fields if version == VERSION else fields - {"means"}
    if version == 1:
        expected = expected - {*_OTHERS_OF_1, "histories"} | {"lengths"}
    if set(values) != expected:
        raise ValueError(f"not a FeatureSchema: expected the keys {sorted(expected)}, got {sorted(values)}")
    json_files.check("not a FeatureSchema", values, {name: _SHAPES[name] for name in expected})
    values.setdefault("means", {})
    if version > 1:
        histories = {entry.pop("name"): entry for entry in map(dict, values["histories"])}
        return {**values, "histories": histories}
    lengths = values.pop("lengths")
    if set(lengths) != set(_HISTORIES_OF_1):
        raise ValueError(f"schema.lengths has {sorted(lengths)}, expected {sorted(_HISTORIES_OF_1)}")
    histories = {name: {**history, "length": lengths[name]} for name, history in _HISTORIES_OF_1.items()}
    return {**values, **_OTHERS_OF_1, "histories": histories}
