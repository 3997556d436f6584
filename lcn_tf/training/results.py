"""Files of a run, written so that a reader never sees half of one."""

from __future__ import annotations

import contextlib
import csv
import fcntl
import io
import json
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

from lcn_tf import json_files
from lcn_tf.whole_files import write_text


def write_json(path: str, values: Any) -> None:
    """Replaces a JSON file in one step; keys are sorted, and what is not a number becomes null."""
    write_text(path, json.dumps(_without_nan(values), indent=2, sort_keys=True) + "\n")


def read_json(path: str, shape: Any = object) -> Any:
    """What `write_json` wrote; None where there is no file.

    Raises:
      ValueError: it is no JSON or not of the shape (`lcn_tf.json_files`); the message names file and field.
    """
    return json_files.read(path, shape) if os.path.exists(path) else None


def json_line(values: Mapping[str, Any]) -> str:
    """One line of a JSON-lines file; keys are sorted, and what is not a number becomes null."""
    return json.dumps(_without_nan(values), sort_keys=True) + "\n"


def append_json_line(path: str, values: Mapping[str, Any]) -> None:
    """Adds one line to a JSON-lines file; processes that do so at the same time take turns.

    The half of a line that a killed process has left at the end is removed first, see `read_json_lines`.
    """
    with open(path, "a+b") as file:
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        before = file.read()
        begin = before.rfind(b"\n") + 1
        line = json_line(values).encode()
        if _is_json(before[begin:]):  # whole, although nothing ends it
            line = b"\n" + line
        elif before[begin:]:
            file.truncate(begin)
        file.write(line)
        file.flush()
        os.fsync(file.fileno())


def read_json_lines(path: str) -> list[dict[str, Any]]:
    """The lines of a JSON-lines file; none where there is no file.

    A last line that is no JSON and has no end is the half of one whose writer was killed: it does not count.

    Raises:
      ValueError: another line that is no JSON object; the message names file and line.
    """
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8", errors="replace") as file:
        text = file.read()
    whole, separator, last = text.rpartition("\n")
    lines = (whole.split("\n") if separator else []) + ([last] if _is_json(last) else [])
    found = []
    for number, line in enumerate(lines, 1):
        try:
            found.append(json.loads(line))
            if not isinstance(found[-1], dict):
                raise ValueError("no object")
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: not JSON ({error}); remove it, got {line[:60]!r}") from error
    return found


def _is_json(text: str | bytes) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _without_nan(values: Any) -> Any:
    if isinstance(values, Mapping):
        return {name: _without_nan(value) for name, value in values.items()}
    if isinstance(values, list):
        return [_without_nan(value) for value in values]
    return None if isinstance(values, float) and math.isnan(values) else values


def write_history(path: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Replaces a CSV file with one row per epoch."""
    buffer = io.StringIO()
    columns = sorted({name for row in rows for name in row} - {"epoch"})
    writer = csv.DictWriter(buffer, ["epoch", *columns], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, buffer.getvalue())


def read_history(path: str) -> list[dict[str, float]]:
    """What `write_history` wrote; empty when the file does not exist.

    Raises:
      ValueError: it is none; the message names the file.
    """
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8", newline="") as file:
        try:
            return [{"epoch": int(row.pop("epoch")), **{name: float(value) for name, value in row.items() if value}}
                    for row in csv.DictReader(file)]
        except (ValueError, TypeError, KeyError, csv.Error) as error:
            raise ValueError(f"{path}: expected a row of numbers for each epoch: {error!r}") from error
