"""Rows of cells as lines of text."""

from __future__ import annotations

from collections.abc import Sequence


def align(rows: Sequence[Sequence[str]], left: int = 1) -> list[str]:
    """One line per row; the first `left` columns are aligned to the left, the others to the right.

    tabulate would take as many lines to be told so, and to leave numbers and leading spaces as they are.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) if place < left else cell.rjust(width)
                      for place, (cell, width) in enumerate(zip(row, widths, strict=True))).rstrip() for row in rows]
