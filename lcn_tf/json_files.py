"""JSON files that are read back: one line names the file, and the field where it holds something else than expected.

What is expected is written as a shape:

| shape                  | a value that has it                                                                    |
|------------------------|----------------------------------------------------------------------------------------|
| `str`, `dict` ...      | one of this type; `int`: no truth value, `float`: any number, `object`: anything       |
| `[shape]`              | a list of such values                                                                  |
| `{str: shape}`         | an object of such values                                                               |
| `{"name": shape, ...}` | an object with such a value under each name; `Optional(shape)`: where there is the name |
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

_WORDS = {dict: "an object", list: "a list", str: "a text", int: "a whole number", float: "a number"}


class Optional(NamedTuple):
    """The shape of a value that may be left out."""

    shape: Any


def read(path: str, shape: Any = object) -> Any:
    """What a JSON file says.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: it is not UTF-8, no JSON, or not of the shape; the message names the file and the field.
    """
    with open(path, "rb") as file:
        content = file.read()
    try:
        value = json.loads(content.decode())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not JSON: {error}") from error
    check(path, value, shape)
    return value


def check(name: str, value: Any, shape: Any) -> None:
    """Compares what a file, or what else has a name, says with a shape.

    Raises:
      ValueError: it says something else; the message names it and the field.
    """
    wrong = _difference(value, shape, "")
    if wrong:
        raise ValueError(f"{name}: {wrong}")


def _difference(value: Any, shape: Any, field: str) -> str | None:
    """The first field that is not of the shape, and how; None where there is none."""
    expected = shape if isinstance(shape, type) else type(shape)
    if expected is not object and not _is(value, expected):
        found = _WORDS[type(value)] if isinstance(value, dict | list) else json.dumps(value)[:60]
        return f"{field and f'{field}: '}expected {_WORDS[expected]}, got {found}"
    parts: list[tuple[Any, Any, str]] = []
    if isinstance(shape, list):
        parts = [(part, shape[0], str(place)) for place, part in enumerate(value)]
    elif isinstance(shape, dict) and str in shape:
        parts = [(part, shape[str], name) for name, part in value.items()]
    elif isinstance(shape, dict):
        missing = [name for name, wanted in shape.items() if name not in value and not isinstance(wanted, Optional)]
        if missing:
            return f"{field and f'{field}: '}no {missing[0]!r} in it; it has {', '.join(value) or 'nothing'}"
        parts = [(value[name], wanted.shape if isinstance(wanted, Optional) else wanted, name)
                 for name, wanted in shape.items() if name in value]
    differences = (_difference(part, wanted, f"{field}.{name}" if field else name) for part, wanted, name in parts)
    return next(filter(None, differences), None)


def _is(value: Any, expected: type) -> bool:
    return isinstance(value, (int, float) if expected is float else expected) and not isinstance(value, bool)
