"""Row accounting: read = used + dropped, by reason."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from command_line.text_table import align

if TYPE_CHECKING:
    import ibis.expr.types as ir

REASON = "drop_reason"


@dataclasses.dataclass(frozen=True)
class RowCounts:
    """What became of the rows of one file.

    Attributes:
      file: its name, without folders.
      used: rows that entered the preparation.
      dropped: reason -> rows that did not.
    """

    file: str
    used: int
    dropped: Mapping[str, int]

    @property
    def read(self) -> int:
        """Rows of the file."""
        return self.used + sum(self.dropped.values())

    def to_json(self) -> dict[str, Any]:
        """The file's entry in `preparation.json`."""
        return {"read": self.read, "used": self.used, "dropped": dict(self.dropped)}


def count_rows(file: str, table: ir.Table) -> RowCounts:
    """Counts `table`'s rows by its text column `drop_reason`, which is null for the rows that are used."""
    counts = table.group_by(REASON).agg(rows=table.count()).order_by(REASON).to_pyarrow().to_pylist()
    by_reason = {entry[REASON]: entry["rows"] for entry in counts}
    used = by_reason.pop(None, 0)
    return RowCounts(file, used, by_reason)


def used_rows(table: ir.Table) -> ir.Table:
    """The rows of `table` without a `drop_reason`, and without that column."""
    return table.filter(table[REASON].isnull()).drop(REASON)


def number_of_rows(table: ir.Table) -> int:
    """Evaluates the number of rows of a table."""
    return table.count().to_pyarrow().as_py()


def format_table(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """The `rows` entry of a `preparation.json` as a text table: one line per file and one per drop reason."""
    lines = [("file", "rows read", "used", "dropped")]
    for file, counts in rows.items():
        dropped = counts["dropped"]
        lines.append((file, f"{counts['read']:,}", f"{counts['used']:,}", f"{sum(dropped.values()):,}"))
        lines.extend((f"  {reason}", "", "", f"{count:,}") for reason, count in dropped.items())
    return "\n".join(align(lines))
