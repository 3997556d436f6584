"""TOML tables as frozen dataclasses; what does not fit is refused with its key, its value and what would fit.

Annotations that fields may have: `str`, `int`, `float`, `bool`, `Literal[...]` of texts, `tuple[X, ...]` (a single X
will do), `dict[str, X]`, dataclasses, and unions of these with None. Integers have 64 bits, numbers are finite. A
dataclass with an attribute `MAIN_KEY` can be written as the value of that key alone.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from typing import Any, TypeVar

from data_prep.errors import InputError

Fields = TypeVar("Fields")

_NAMES = {str: "a text", int: "an integer", float: "a number", bool: "true or false"}


def read(cls: type[Fields], values: Any, where: str) -> Fields:
    """A dataclass of a TOML table.

    Args:
      cls: a dataclass; fields without default are required.
      values: what the TOML reader gave.
      where: the key of the table, for messages.

    Raises:
      InputError: an unknown or missing key, a value of another type, or whatever the dataclass refuses.
    """
    if isinstance(values, (str, list)) and hasattr(cls, "MAIN_KEY"):
        values = {cls.MAIN_KEY: values}
    if not isinstance(values, dict):
        raise InputError(f"{where}: expected a table, got {values!r}")
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    hints = typing.get_type_hints(cls)
    for key in values:
        if key not in fields:
            raise InputError(f"{_key(where, key)}: unknown key, known: {', '.join(fields)}")
    for name, field in fields.items():
        if name not in values and field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise InputError(f"{_key(where, name)} is missing")
    found = {key: _value(hints[key], value, _key(where, key)) for key, value in values.items()}
    try:
        return cls(**found)
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"{where}: {error}" if where else str(error)) from error


def _value(annotation: Any, value: Any, where: str) -> Any:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        return _one_of([part for part in arguments if part is not types.NoneType], value, where)
    if origin is tuple:
        return tuple(_value(arguments[0], part, where) for part in (value if isinstance(value, list) else [value]))
    if origin is dict:
        if not isinstance(value, dict):
            raise InputError(f"{where}: expected a table, got {value!r}")
        return {key: _value(arguments[1], part, _key(where, key)) for key, part in value.items()}
    if origin is typing.Literal:
        if value not in arguments:
            raise InputError(f"{where} must be one of {', '.join(map(str, arguments))}, got {value!r}")
        return value
    if dataclasses.is_dataclass(annotation):
        return read(annotation, value, where)
    if annotation is float and type(value) is int:
        if abs(value) >= 2**1023:
            raise InputError(f"{where}: expected a finite number, got {value}")
        value = float(value)
    if annotation is str and hasattr(value, "isoformat"):  # TOML has dates of its own
        return value.isoformat()
    if type(value) is not annotation:
        raise InputError(f"{where}: expected {_NAMES[annotation]}, got {value!r}")
    if annotation is int and not -2**63 <= value < 2**63:
        raise InputError(f"{where}: expected an integer of 64 bits, got {value}")
    if annotation is float and not math.isfinite(value):
        raise InputError(f"{where}: expected a finite number, got {value}")
    return value


def _one_of(annotations: list[Any], value: Any, where: str) -> Any:
    """The value as the first annotation that takes it; the error is that of the last one."""
    for annotation in annotations[:-1]:
        try:
            return _value(annotation, value, where)
        except InputError:
            continue
    return _value(annotations[-1], value, where)


def _key(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key
