"""What every user of a population has done up to the end of each day, as arrays."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from experiments.ab_test.analysis.columns import checked
from experiments.ab_test.analysis.metrics import USERS
from experiments.ab_test.outcomes import BEFORE, OUTCOME_COLUMNS

COUNTED = ("requests", "impressions", "clicks", "stay_seconds")


@dataclasses.dataclass(frozen=True)
class Totals:
    """Users of a population who have sent a request, and their totals from the first day on.

    A user counts from the day of the first request on: nothing that an arm shows can change when that is, so who counts
    does not depend on the arm.

    Attributes:
      population: its name.
      users: ids, ascending, int64 or text `[U]`.
      arms: names, ascending.
      arm_of: index of each user's arm, int64 `[U]`.
      sums: column -> total up to the end of each day, float64 `[U, T]`; `users` is 1 from the first request on.
      before: column -> total over the days before the test, float64 `[U]`; `users` is 1.
    """

    population: str
    users: NDArray[Any]
    arms: tuple[str, ...]
    arm_of: NDArray[np.int64]
    sums: Mapping[str, NDArray[np.float64]]
    before: Mapping[str, NDArray[np.float64]]

    @property
    def days(self) -> int:
        """The number of days, T."""
        return self.sums[USERS].shape[1]

    def members(self, arm: str) -> NDArray[np.bool_]:
        """Which users are in an arm, `[U]`.

        Raises:
          ValueError: there is no such arm.
        """
        if arm not in self.arms:
            raise ValueError(f"arm {arm!r}: population {self.population!r} has {', '.join(map(repr, self.arms))}")
        return self.arm_of == self.arms.index(arm)

    def only(self, chosen: NDArray[np.bool_]) -> Totals:
        """The same for some of the users, `[U]`."""
        return dataclasses.replace(self, users=self.users[chosen], arm_of=self.arm_of[chosen],
                                   sums={name: values[chosen] for name, values in self.sums.items()},
                                   before={name: values[chosen] for name, values in self.before.items()})


def of_population(outcomes: pd.DataFrame, population: str) -> Totals:
    """Adds up the rows of a population.

    Args:
      outcomes: a row per population, user and day; see `experiments.ab_test.outcomes`.
      population: its name there.

    Raises:
      ValueError: a column, its values or the population are not there or cannot be, days are not 0, 1, ..., or a user
        is in two arms, has a day twice, more clicks than impressions, or different totals of the days before the test;
        the message names the column or user, and the value.
    """
    outcomes = checked(outcomes, OUTCOME_COLUMNS, "outcomes")
    names = outcomes["population"].to_numpy()
    chosen = names == population
    if not chosen.any():
        raise ValueError(f"population {population!r}: outcomes have {', '.join(sorted(map(repr, set(names))))}")
    rows, where = outcomes[chosen], f"in population {population!r}"
    for name in ("requests", "impressions"):
        if not rows[name].any():
            raise ValueError(f"{name}: expected some {where}, got 0 in every row")
    ids = rows["user"].to_numpy()
    ids = ids.astype(str) if ids.dtype == object else ids
    users, first, place = np.unique(ids, return_index=True, return_inverse=True)
    arms, arm_of_row = np.unique(rows["arm"].to_numpy().astype(str), return_inverse=True)
    arm_of = arm_of_row[first]
    if (arm_of[place] != arm_of_row).any():
        user = users[place[np.argmax(arm_of[place] != arm_of_row)]]
        raise ValueError(f"user {user}: in more than one arm of population {population!r}")
    day, days = rows["day"].to_numpy(), _days(rows["day"].to_numpy(), where)
    cells = place * days + day
    counts = np.bincount(cells, minlength=len(users) * days)
    if counts.max() > 1:
        cell = int(np.argmax(counts > 1))
        raise ValueError(f"user {users[cell // days]}: {counts[cell]} rows of day {cell % days} {where}")
    sums = {name: np.cumsum(np.bincount(cells, rows[name].to_numpy(), len(users) * days).reshape(-1, days), axis=1)
            for name in COUNTED}
    sums[USERS] = (sums["requests"] > 0).astype(np.float64)
    before = {name: _same(rows[name], first, place, users, where) for name in BEFORE}
    before[USERS] = np.ones(len(users))
    _check_clicks(sums["clicks"][:, -1], sums["impressions"][:, -1], "", users, where)
    _check_clicks(before["before_clicks"], before["before_impressions"], "before_", users, where)
    totals = Totals(population, users, tuple(map(str, arms)), arm_of, sums, before)
    return totals.only(sums[USERS][:, -1] > 0)


def _days(day: NDArray[np.int64], where: str) -> int:
    """How many days there are."""
    found = np.unique(day)
    gaps = np.flatnonzero(found != np.arange(len(found)))
    if len(gaps):
        raise ValueError(f"day: expected 0, 1, ... {where}, got {found[gaps[0]]} but no {gaps[0]}")
    return len(found)


def _same(column: pd.Series, first: NDArray[np.int64], place: NDArray[np.int64], users: NDArray[Any],
          where: str) -> NDArray[np.float64]:
    """Each user's value, `[U]`, which all rows of the user have."""
    values = column.to_numpy(np.float64)
    expected = values[first][place]
    others = np.flatnonzero(values != expected)
    if len(others):
        row = others[0]
        raise ValueError(f"{column.name}: expected the same in all rows of user {users[place[row]]} {where}, got "
                         f"{expected[row]:g} and {values[row]:g}")
    return values[first]


def _check_clicks(clicks: NDArray[np.float64], impressions: NDArray[np.float64], prefix: str,
                  users: NDArray[Any], where: str) -> None:
    more = np.flatnonzero(clicks > impressions)
    if len(more):
        user = more[0]
        raise ValueError(f"{prefix}clicks: expected at most the {impressions[user]:g} {prefix}impressions of user "
                         f"{users[user]} {where}, got {clicks[user]:g}")
