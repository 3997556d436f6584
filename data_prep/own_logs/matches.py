"""Whether the rows of the logs find theirs among the items and users: `2` is not `002`."""

from __future__ import annotations

import ibis.expr.types as ir

from data_prep.own_logs.tables import Table
from data_prep.reading.log_reader import LogReader

_NOTABLE_SHARE = 0.1  # without a match, that is warned of


def warn_of_unmatched(logs: LogReader, table: Table, used: ir.Table, what: str) -> None:
    """Warns where many rows find none in a table of items or users.

    Args:
      logs: takes the warning.
      table: of the mapping.
      used: `value`, texts that the table's keys should have, and `uses`, how many rows have each.
      what: the rows, in words.
    """
    missing = used.anti_join(table.rows, used.value == table.rows.key)
    without, = missing.agg(rows=missing.uses.sum(), example=missing.value.min()).to_pyarrow().to_pylist()
    total = used.uses.sum().to_pyarrow().as_py() or 0
    rows = without["rows"] or 0
    if rows > _NOTABLE_SHARE * total:
        key = table.rows.key.min().to_pyarrow().as_py()
        there = f"the column {table.spec.key} has values such as {key!r}" if key is not None else "it is empty"
        logs.warnings.append(f"{table.label}: {rows / total:.0%} of {what} ({rows:,} of {total:,}) have no row in it, "
                             f"such as {without['example']!r}; {there}")
