"""What runs on the same data have in common, kept once: reference points, sizes of splits and slices, the machine.

`without` leaves out of a run what a template says too, `merged` puts it back.
"""

from __future__ import annotations

from typing import Any

_ABSENT = "(absent)"  # of a key that the template has and the values have not
_OF_THE_MODEL = {"auc", "gauc", "logloss", "calibration_ratio", "normalized_entropy", "value", "chance_corrected",
                 "per_head"}
_SHARED = ("slices", "consistency", "versions", "hardware")


def template(run: dict[str, Any]) -> dict[str, Any]:
    """The part of a run that other runs on its data repeat: everything but what the model made."""
    found = {name: _facts(run[name]) for name in _SHARED if run.get(name)}
    found["metrics"] = {split: {row: _facts(values) if row == "model" else values for row, values in rows.items()}
                        for split, rows in run["metrics"].items()}
    return found


def _facts(values: Any) -> Any:
    """Values without what the model made of them."""
    if isinstance(values, dict):
        return {name: _facts(value) for name, value in values.items() if name not in _OF_THE_MODEL}
    return [_facts(value) for value in values] if isinstance(values, list) else values


def without(values: Any, shared: Any) -> Any:
    """What `values` say that `shared` does not; None where that is nothing."""
    if values == shared:
        return None
    if isinstance(values, dict) and isinstance(shared, dict):
        own = {name: without(value, shared[name]) if name in shared else value for name, value in values.items()}
        own = {name: value for name, value in own.items() if name not in shared or values[name] != shared[name]}
        return {**own, **{name: _ABSENT for name in shared if name not in values}}
    if isinstance(values, list) and isinstance(shared, list) and len(values) == len(shared):
        return [without(value, other) for value, other in zip(values, shared, strict=True)]
    return values


def merged(own: Any, shared: Any) -> Any:
    """The inverse of `without`."""
    if isinstance(own, dict) and isinstance(shared, dict):
        names = [*own, *(name for name in shared if name not in own)]
        return {name: merged(own[name], shared[name]) if name in own and name in shared
                else own[name] if name in own else shared[name] for name in names if own.get(name) != _ABSENT}
    if isinstance(own, list) and isinstance(shared, list) and len(own) == len(shared):
        return [other if value is None else merged(value, other) for value, other in zip(own, shared, strict=True)]
    return own
