"""Lines that cannot be read: listed in a file with line number and reason, and refused when they are too many."""

from __future__ import annotations

import contextlib
import csv
import os
import shutil
from collections.abc import Iterable

from data_prep.errors import InputError

HEADER = ("file", "line", "reason", "text")


class Rejects:
    """The reject file of a preparation.

    Args:
      path: of the file; it exists only when there is a reject.
      max_share: largest share of a file's lines that may be rejected.
    """

    def __init__(self, path: str, max_share: float):
        self._path, self._max_share = path, max_share
        with contextlib.suppress(FileNotFoundError):
            os.remove(path)

    def move_to(self, folder: str) -> None:
        """Moves the reject file, if there is one, to `{folder}/rejects.csv`."""
        if os.path.exists(self._path):
            shutil.move(self._path, os.path.join(folder, "rejects.csv"))

    def allow(self, rows: int, rejected: int) -> bool:
        """Whether a file of that many rows may have that many rejects."""
        return rejected <= self._max_share * rows

    def add(self, log: str, rows: int, rejected: int, lines: Iterable[tuple[int, str, str]]) -> None:
        """Lists rejected lines of one file.

        Args:
          log: its path.
          rows: lines it has, the header and empty ones left out.
          rejected: how many of them cannot be read.
          lines: (line number from 1, reason, text) of each, or of the first where there are too many.

        Raises:
          InputError: more than `max_share` of the rows; the message holds the first.
        """
        first = None
        with open(self._path, "a", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            if not file.tell():
                writer.writerow(HEADER)
            for line, reason, text in lines:
                first = first or f"{log}, line {line}, {reason}"
                writer.writerow((os.path.basename(log), line, reason, text))
        if not self.allow(rows, rejected):
            others = f" (and {rejected - 1:,} other lines)" if rejected > 1 else ""
            raise InputError(f"{first}{others}: {rejected:,} of {rows:,} lines cannot be read, more than "
                             f"max_reject_share={self._max_share:g} allows; see {self._path}")
