"""Days of a data set's own time zone -> training days, a validation day and a test day."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone

from data_prep.description import DAY_SECONDS


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


def calendar_splits(first_day: str, num_days: int, utc_offset: int) -> dict[str, tuple[int, int]]:
    """The last of `num_days` days is test, the one before it validation, the others train.

    Args:
      first_day: date of the first, see `calendar_day`.
      num_days: at least 3.
      utc_offset: seconds to add to UTC before cutting days.

    Returns:
      Split -> its first second and the second after its last, UTC.

    Raises:
      ValueError: a text that is no date, or too few days; the message names the setting.
    """
    if num_days < 3:
        raise ValueError(f"num_days must be at least 3 (train, validation, test), got {num_days}")
    zone = timezone(timedelta(seconds=utc_offset))
    first = int(datetime.fromisoformat(calendar_day("first_day", first_day)).replace(tzinfo=zone).timestamp())
    validation, test, end = (first + (num_days - days) * DAY_SECONDS for days in (2, 1, 0))
    return {"train": (first, validation), "validation": (validation, test), "test": (test, end)}
