"""Splits where no dates are given: the calendar is cut so that validation and test hold a share of the impressions."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import ibis.expr.types as ir
import numpy as np

from data_prep.calendar_splits import day_start, splits_between
from data_prep.description import DAY_SECONDS
from data_prep.errors import InputError


def share_splits(
        impressions: ir.Table, train_share: float, development_share: float, validation_from: str | None = None,
        test_from: str | None = None, utc_offset: int = 0, what: str = "impressions") -> dict[str, tuple[int, int]]:
    """The calendar cut, the same for all users, between days.

    Args:
      impressions: with `timestamp`.
      train_share, development_share: of the impressions before the validation and before the test days, as far as
        whole days allow; validation and test keep a day each.
      validation_from, test_from: first days that are given, in place of those that follow from the shares.
      utc_offset: seconds to add to UTC before cutting days.
      what: the impressions in messages.

    Returns:
      Split -> its first second and the second after its last, UTC.

    Raises:
      InputError: a split would have no day.
    """
    day = impressions.timestamp - (impressions.timestamp + utc_offset) % DAY_SECONDS
    counts = impressions.group_by(day=day).agg(rows=impressions.count()).order_by("day").to_pyarrow()
    days = counts["day"].to_pylist()
    shares = np.cumsum(counts["rows"].to_numpy()) / sum(counts["rows"].to_pylist())
    first, end = days[0], days[-1] + DAY_SECONDS
    # Day i + 1 is the first with a share of at least shares[i] before it; validation and test keep a day each.
    validation = days[min(int(np.searchsorted(shares, train_share)) + 1, max(len(days) - 2, 0))]
    if validation_from:
        validation = day_start(validation_from, utc_offset)
    test = next((day for day, share in zip(days[1:], shares, strict=False)
                 if day > validation and share >= development_share), days[-1])
    if test_from:
        test = day_start(test_from, utc_offset)
    if not first < validation < test < end:
        zone = timezone(timedelta(seconds=utc_offset))
        dates = [datetime.fromtimestamp(moment, zone).date().isoformat()
                 for moment in (first, end - 1, validation, test)]
        raise InputError(f"split dates leave a split without a day: {what} from {dates[0]} to {dates[1]}, validation "
                         f"from {dates[2]}, test from {dates[3]}")
    return splits_between(first, validation, test, end)
