"""Days of a data set's own time zone -> training days, a validation day and a test day."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from data_prep.description import DAY_SECONDS


def calendar_splits(first_day: str, num_days: int, utc_offset: int) -> dict[str, tuple[int, int]]:
    """The last of `num_days` days is test, the one before it validation, the others train.

    Args:
      first_day: ISO date of the first.
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
    try:
        first = int(datetime.strptime(first_day, "%Y-%m-%d").replace(tzinfo=zone).timestamp())
    except ValueError:
        raise ValueError(f"first_day must be a date like 2017-05-06, got {first_day!r}") from None
    validation, test, end = (first + (num_days - days) * DAY_SECONDS for days in (2, 1, 0))
    return {"train": (first, validation), "validation": (validation, test), "test": (test, end)}
