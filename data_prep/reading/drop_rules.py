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
YEAR_1971, YEAR_1990 = 31_536_000, 631_152_000
# What times of the years 1990 to 2099 are that were taken for seconds of 1970, by the least and the largest.
_SMALL_UNITS = {(19_900_101, 20_991_231): "dates such as 20240131, which are days", (10_519_200, YEAR_1971): "minutes",
                (631_152, 4_102_444): "thousands of seconds, divided by 1,000", (175_320, 1_139_568): "hours",
                (7_305, 47_482): "days", (631, 4_102): "millions of seconds, divided by 1,000,000"}


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
        return times_in_words(self.column, first, last, self.utc_offset or 0)


def times_in_words(column: str, first: int, last: int, utc_offset: int) -> str:
    """What the earliest and the latest time of a file look like."""
    text = f"{column} runs from {first} to {last}"
    if found := dates(first, last, utc_offset):
        text += f" ({found})"
    unit = next((unit for least, unit in _UNITS.items() if last >= least), None) or next(
        (unit for (least, most), unit in _SMALL_UNITS.items() if least <= last <= most), None)
    return text + (f": are these {unit}?" if unit else "")


def drop_reason(rules: Sequence[DropRule]) -> ir.StringValue:
    """The first reason that applies to a row, or null."""
    return ibis.cases(*((rule.applies, rule.reason) for rule in rules))


def not_positive(timestamp: ir.IntegerValue, column: str) -> DropRule:
    """Times that no log has."""
    return DropRule("timestamp not positive", timestamp <= 0, column, "seconds UTC above 0", utc_offset=0)


def of_1970(timestamp: ir.IntegerValue, column: str, shown: int, utc_offset: int) -> list[DropRule]:
    """Times that are seconds of no log, but days, minutes or what a division has left.

    Args:
      timestamp: of the rows.
      column: of the file.
      shown: a time of an impression; there is no rule for logs whose own clock begins with 0.
      utc_offset: seconds to add to UTC for the dates in messages.
    """
    if shown < YEAR_1990:
        return []
    expected = f"seconds UTC after 1970 (impressions are of {dates(shown, shown, utc_offset)})"
    return [DropRule("time of 1970", timestamp < YEAR_1971, column, expected, utc_offset=utc_offset)]


def outside_days(timestamp: ir.IntegerValue, column: str, first: int, end: int, utc_offset: int,
                 ordinary: bool = False) -> DropRule:
    """Times before the selected days or after them."""
    expected = f"seconds UTC from {first} to {end - 1} ({dates(first, end - 1, utc_offset)}, the selected days)"
    return DropRule("outside the selected days", (timestamp < first) | (timestamp >= end), column, expected, ordinary,
                    utc_offset=utc_offset)


def after_days(timestamp: ir.IntegerValue, column: str, end: int, utc_offset: int, ordinary: bool = False) -> DropRule:
    """Times after the selected days; earlier ones are welcome in histories."""
    expected = f"seconds UTC up to {end - 1} ({dates(end - 1, end - 1, utc_offset)}, the last selected day)"
    return DropRule("after the selected days", timestamp >= end, column, expected, ordinary, utc_offset=utc_offset)


def dates(first: int, last: int, utc_offset: int) -> str:
    """The days of two times, or nothing where no calendar has them."""
    zone = timezone(timedelta(seconds=utc_offset))
    try:
        days = [datetime.fromtimestamp(moment, zone).date().isoformat() for moment in (first, last)]
    except (ValueError, OverflowError, OSError):
        return ""
    return " to ".join(dict.fromkeys(days))
