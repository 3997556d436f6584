"""Days of a data set's own time zone -> training, validation and test days."""

from __future__ import annotations

import itertools
from datetime import date, datetime, timedelta, timezone

from data_prep.description import DAY_SECONDS
from lcn_tf.data.prepared_folder import SPLITS


def calendar_day(setting: str, text: str) -> str:
    """A date as `YYYY-MM-DD`, so that dates can be compared as texts.

    Args:
      setting: its name, for messages.
      text: a date as ISO 8601 writes it (2017-08-12, 20170812, 2017-W32-6), or with single digits (2017-8-12).

    Raises:
      ValueError: a text that is no date; the message names the setting.
    """
    for read in (date.fromisoformat, lambda text: datetime.strptime(text, "%Y-%m-%d").date()):
        try:
            return read(text).isoformat()
        except (ValueError, TypeError):
            continue
    raise ValueError(f"{setting} must be a date like 2017-05-06, got {text!r}")


def day_start(day: str, utc_offset: int = 0) -> int:
    """First second (UTC) of an ISO date in the time zone `utc_offset` seconds ahead of UTC."""
    zone = timezone(timedelta(seconds=utc_offset))
    return int(datetime.fromisoformat(day).replace(tzinfo=zone).timestamp())


def splits_between(first: int, validation: int, test: int, end: int) -> dict[str, tuple[int, int]]:
    """Split -> its first second and the second after its last, where each begins as the one before it ends."""
    return dict(zip(SPLITS, itertools.pairwise((first, validation, test, end)), strict=True))


def calendar_splits(first_day: str, num_days: int, utc_offset: int) -> dict[str, tuple[int, int]]:
    """The last of `num_days` days is test, the one before it validation, the others train.

    Args:
      first_day: date of the first, see `calendar_day`.
      num_days: at least 3.
      utc_offset: seconds to add to UTC before cutting days.

    Returns:
      Split -> its first second and the second after its last, UTC.

    Raises:
      ValueError: a text that is no date, or too few or too many days; the message names the setting.
    """
    if num_days < 3:
        raise ValueError(f"num_days must be at least 3 (train, validation, test), got {num_days}")
    day = calendar_day("first_day", first_day)
    try:
        date.fromisoformat(day) + timedelta(days=num_days)  # the day after the last, whose seconds are shown as dates
    except OverflowError as error:
        raise ValueError(f"num_days must end before the year 10000, got {num_days} from {day}") from error
    first = day_start(day, utc_offset)
    return splits_between(first, *(first + (num_days - days) * DAY_SECONDS for days in (2, 1, 0)))
