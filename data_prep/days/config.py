"""Settings of the vocabularies of logs that grow."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection

from data_prep.config import option
from lcn_tf.schema import FIRST_ID


@dataclasses.dataclass(frozen=True)
class LastingIdsConfig:
    """How many values have an id, and for how long.

    Raises:
      ValueError: a number outside its range; the message names the setting.
    """

    rows: int = option(100_000, "rows of every table, and so values that have an id at a time (two less)")
    table_rows: tuple[str, ...] = option((), "rows of single tables, like room:20000,category:100")
    max_idle_days: int = option(30, "a value that is not seen for this many days loses its id; its row goes to another")

    def __post_init__(self):
        if self.max_idle_days < 1:
            raise ValueError(f"max_idle_days must be at least 1, got {self.max_idle_days}")
        if not FIRST_ID < self.rows <= 2**31:
            raise ValueError(f"rows must be from {FIRST_ID + 1} to 2^31, got {self.rows}")
        for entry, (name, rows) in zip(self.table_rows, self._named, strict=True):
            if not name or not rows.strip().isdecimal() or not FIRST_ID < int(rows) <= 2**31:
                raise ValueError(f"table_rows must be like room:20000, from {FIRST_ID + 1} to 2^31 rows, got {entry!r}")
        names = [name for name, _ in self._named]
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"table_rows names {repeated[0]!r} twice")

    @property
    def _named(self) -> list[tuple[str, str]]:
        """Name and rows of each entry of `table_rows`, as texts."""
        return [(name, rows) for name, _, rows in (entry.rpartition(":") for entry in self.table_rows)]

    def rows_of(self, table: str) -> int:
        """Rows of a table."""
        return int(dict(self._named).get(table, self.rows))

    def check(self, tables: Collection[str]) -> None:
        """Compares the tables that are named with those that there are.

        Raises:
          ValueError: one that is not known.
        """
        if unknown := sorted(dict(self._named).keys() - set(tables)):
            raise ValueError(f"table_rows names {', '.join(unknown)}; known: {', '.join(tables)}")
