"""How a mapping cuts time: the days that are used, the splits, and the boundaries of an event's age."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import ibis.expr.types as ir

from data_prep.calendar_splits import calendar_splits, day_start
from data_prep.description import DAY_SECONDS
from data_prep.own_logs import user_splits
from data_prep.own_logs.log_rules import YEAR_2100
from data_prep.own_logs.mapping import Splits
from data_prep.reading.log_reader import LogReader
from data_prep.share_splits import share_splits
from lcn_tf.data.prepared_folder import SPLITS

SplitRanges = dict[str, tuple[int, int]]  # split -> its first second and the second after its last

YEAR_SECONDS = 365 * DAY_SECONDS
_FIRST_GAP, _GAP_STEP = 60, 4  # seconds; each further boundary is so many times the one before


@dataclasses.dataclass(frozen=True)
class OneDay:
    """A day in place of a mapping's splits: all of its impressions are for training, and no earlier ones are read.

    Attributes:
      day: ISO date.
      days: how many days until then are read as this one.
      is_first: whether no day was read before this one.
      utc_offset: by which days are cut; None: as the logs say.
      boundaries: of numbers, by feature; of others they follow from the day's values.
    """

    day: str
    days: int = 1
    is_first: bool = True
    utc_offset: int | None = None
    boundaries: Mapping[str, tuple[float, ...]] = dataclasses.field(default_factory=dict)


def days_of(splits: Splits | OneDay, utc_offset: int) -> tuple[int, int] | None:
    """The first second of the days that a mapping selects and the second after their last; None where all are."""
    if isinstance(splits, OneDay):
        end = day_start(splits.day, utc_offset) + DAY_SECONDS
        return end - splits.days * DAY_SECONDS, end
    if splits.num_days is not None:
        ranges = calendar_splits(splits.first_day, splits.num_days, utc_offset)
        return ranges["train"][0], ranges["test"][1]
    if splits.first_day is None and splits.last_day is None:
        return None
    return (day_start(splits.first_day, utc_offset) if splits.first_day else 1,
            day_start(splits.last_day, utc_offset) + DAY_SECONDS if splits.last_day else YEAR_2100)


def split(logs: LogReader, shown: ir.Table, splits: Splits | OneDay, utc_offset: int) -> tuple[ir.Table, SplitRanges]:
    """Impressions, with `split` where it is no matter of time, and the splits' times.

    Args:
      logs: keeps a table that is evaluated more than once.
      shown: with `user` and `timestamp`.
      splits: of the mapping, or the day in place of them.
      utc_offset: seconds to add to UTC before cutting days.

    Raises:
      InputError: a split would have no day.
    """
    if isinstance(splits, OneDay):
        return shown, {SPLITS[0]: days_of(splits, utc_offset)}
    if splits.by == "user":
        shown = logs.store("split", user_splits.with_split(shown))
        return shown, user_splits.ranges(shown, SPLITS)
    if splits.num_days is not None:
        return shown, calendar_splits(splits.first_day, splits.num_days, utc_offset)
    development = 1 - splits.test_share
    return shown, share_splits(shown, development - splits.validation_share, development, splits.validation_from,
                               splits.test_from, utc_offset)


def time_gaps(length: int) -> tuple[int, ...]:
    """Powers of four from a minute to the length of the logs, seconds."""
    found = [_FIRST_GAP]
    while found[-1] * _GAP_STEP < length:
        found.append(found[-1] * _GAP_STEP)
    return tuple(found)
