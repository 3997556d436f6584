"""Why a reader leaves out rows of a file, and how to say so when little or nothing is left."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone

import ibis
import ibis.expr.types as ir

# A file of which one reason drops more than this share is named, unless the reason is an ordinary one.
NOTABLE_SHARE = 0.5
# Seconds reach the first of these in the year 5138, and each other unit did so in 1973.
_UNITS = {10**17: "nanoseconds", 10**14: "microseconds", 10**11: "milliseconds"}


@dataclasses.dataclass(frozen=True)
class DropRule:
    """A reason to leave out rows.

    Attributes:
      reason: its name in the account.
      applies: which rows, as a column of the table that the rule is for.
      column: of the file; its cell shows what is wrong.
      expected: text for messages, after "expected".
      ordinary: whether it may well apply to most rows of sound logs.
      like: a scalar expression, an example of what is expected; or None.
      utc_offset: where a time is the reason, seconds to add to UTC for the dates in messages; else None.
    """

    reason: str
    applies: ir.BooleanValue
    column: str
    expected: str
    ordinary: bool = False
    like: ir.Scalar | None = None
    utc_offset: int | None = None

    def times(self, first: int, last: int) -> str:
        """What a file's earliest and latest time say about the reason."""
        text = f"{self.column} runs from {first} to {last}"
        if dates := _dates(first, last, self.utc_offset or 0):
            text += f" ({dates})"
        unit = next((unit for least, unit in _UNITS.items() if last >= least), None)
        return text + (f": are these {unit}?" if unit else "")


def drop_reason(rules: Sequence[DropRule]) -> ir.StringValue:
    """The first reason that applies to a row, or null."""
    return ibis.cases(*((rule.applies, rule.reason) for rule in rules))


def not_positive(timestamp: ir.IntegerValue, column: str) -> DropRule:
    """Times that no log has."""
    return DropRule("timestamp not positive", timestamp <= 0, column, "seconds UTC above 0", utc_offset=0)


def outside_days(timestamp: ir.IntegerValue, column: str, first: int, end: int, utc_offset: int,
                 ordinary: bool = False) -> DropRule:
    """Times before the selected days or after them."""
    expected = f"seconds UTC from {first} to {end - 1} ({_dates(first, end - 1, utc_offset)}, the selected days)"
    return DropRule("outside the selected days", (timestamp < first) | (timestamp >= end), column, expected, ordinary,
                    utc_offset=utc_offset)


def after_days(timestamp: ir.IntegerValue, column: str, end: int, utc_offset: int, ordinary: bool = False) -> DropRule:
    """Times after the selected days; earlier ones are welcome in histories."""
    expected = f"seconds UTC up to {end - 1} ({_dates(end - 1, end - 1, utc_offset)}, the last selected day)"
    return DropRule("after the selected days", timestamp >= end, column, expected, ordinary, utc_offset=utc_offset)


def _dates(first: int, last: int, utc_offset: int) -> str:
    """The days of two times, or nothing where no calendar has them."""
    zone = timezone(timedelta(seconds=utc_offset))
    try:
        days = [datetime.fromtimestamp(moment, zone).date().isoformat() for moment in (first, last)]
    except (ValueError, OverflowError, OSError):
        return ""
    return " to ".join(dict.fromkeys(days))
