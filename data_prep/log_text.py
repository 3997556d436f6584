"""Fast plain-numpy CSV text: rows are byte matrices whose zero bytes are absent, so no Python loop runs per row."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

LINE_ENDS = {"lf": b"\n", "crlf": b"\r\n"}

_FOUR_DIGITS = np.array([f"{number:04d}".encode() for number in range(10_000)], dtype="S4")


def cells(values: Sequence[str | int] | np.ndarray) -> np.ndarray:
    """Text of a small table or of an integer column.

    Args:
      values: `[n]` strings or integers.

    Returns:
      `[n]` byte strings (numpy dtype `S`).
    """
    array = np.asarray(values)
    if array.dtype.kind in "iu":
        return array.astype(f"S{max(1, len(str(int(array.max(initial=0)))))}")
    return np.array([text.encode() for text in array.tolist()], dtype="S")


def decimal_cells(numbers: np.ndarray, quads: int) -> np.ndarray:
    """Non-negative integers as text of exactly `4 * quads` digits, leading zeros included.

    Args:
      numbers: `[n]` integers below `10 ** (4 * quads)`.
      quads: groups of four digits.

    Returns:
      `[n]` byte strings of length `4 * quads`.
    """
    numbers = np.asarray(numbers, dtype=np.int64)
    groups = [_FOUR_DIGITS[numbers // 10_000**power % 10_000] for power in reversed(range(quads))]
    return np.stack(groups, axis=1).view(f"S{4 * quads}")[:, 0]


def timestamp_cells(seconds: np.ndarray) -> np.ndarray:
    """`[n]` moments from 2001 to 2286, in seconds UTC, as text of ten digits."""
    digits = decimal_cells(seconds, 3).view("S2").reshape(-1, 6)[:, 1:]  # ten of the twelve
    return np.ascontiguousarray(digits).view("S10")[:, 0]


def probability_cells(probability: np.ndarray) -> np.ndarray:
    """`[n]` probabilities as text of eight decimals, never all zeros or one, so that logits are finite."""
    return np.char.add(b"0.", decimal_cells(np.clip(np.rint(probability * 1e8), 1, 1e8 - 1), 2))


def csv_rows(columns: Sequence[np.ndarray], line_end: bytes) -> bytes:
    """Joins columns into CSV text.

    Args:
      columns: `[n]` byte-string arrays, one per column; an empty string is an empty cell.
      line_end: bytes after every row.

    Returns:
      The text of the n rows.
    """
    rows = len(columns[0])
    if not rows:
        return b""
    pieces: list[np.ndarray] = []
    for position, column in enumerate(columns):
        if position:
            pieces.append(np.full((rows, 1), ord(","), np.uint8))
        column = np.ascontiguousarray(column)
        pieces.append(column.view(np.uint8).reshape(rows, column.dtype.itemsize))
    pieces.append(np.broadcast_to(np.frombuffer(line_end, np.uint8), (rows, len(line_end))))
    flat = np.concatenate(pieces, axis=1).reshape(-1)
    return flat[flat != 0].tobytes()
