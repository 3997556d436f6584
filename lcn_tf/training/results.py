"""Files of a run, written so that a reader never sees half of one."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any


def write_text(path: str, text: str) -> None:
    """Replaces a file's content in one step."""
    temporary = f"{path}.partial"
    with open(temporary, "w", encoding="utf-8", newline="") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def write_json(path: str, values: Any) -> None:
    """Replaces a JSON file in one step; keys are sorted, and what is not a number becomes null."""
    write_text(path, json.dumps(_without_nan(values), indent=2, sort_keys=True) + "\n")


def append_json_line(path: str, values: Mapping[str, Any]) -> None:
    """Adds one line to a JSON-lines file in one write."""
    with open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps(_without_nan(values), sort_keys=True) + "\n")


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
    """What `write_history` wrote; empty when the file does not exist."""
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8", newline="") as file:
        return [{name: int(value) if name == "epoch" else float(value) for name, value in row.items() if value}
                for row in csv.DictReader(file)]


def config_hash(config: Mapping[str, Any]) -> str:
    """Sixteen hexadecimal digits of a configuration, over canonical JSON."""
    text = json.dumps(config, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
