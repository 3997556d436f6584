"""What every user of a population has done up to the end of each day, as arrays."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from experiments.ab_test.analysis.metrics import USERS
from experiments.ab_test.outcomes import BEFORE, check_outcomes

COUNTED = ("requests", "impressions", "clicks", "stay_seconds")


@dataclasses.dataclass(frozen=True)
class Totals:
    """Users of a population who have sent a request, and their totals from the first day on.

    A user counts from the day of the first request on: nothing that an arm shows can change when that is, so who counts
    does not depend on the arm.

    Attributes:
      population: its name.
      users: ids, ascending, int64 `[U]`.
      arms: names, ascending.
      arm_of: index of each user's arm, int64 `[U]`.
      sums: column -> total up to the end of each day, float64 `[U, T]`; `users` is 1 from the first request on.
      before: column -> total over the days before the test, float64 `[U]`; `users` is 1.
    """

    population: str
    users: NDArray[np.int64]
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
      ValueError: a column or the population is not there, a user is in two arms or has a day twice, a day is below 0,
        or a number is negative or none.
    """
    check_outcomes(outcomes)
    names = outcomes["population"].to_numpy()
    chosen = names == population
    if not chosen.any():
        raise ValueError(f"population {population!r}: outcomes have {', '.join(sorted(map(repr, set(names))))}")
    rows = outcomes[chosen]
    day = rows["day"].to_numpy()
    if day.min() < 0:
        raise ValueError(f"day: expected 0, 1, ..., got {day.min()}")
    for name in (*COUNTED, *BEFORE):
        values = rows[name].to_numpy()
        if not (values >= 0).all():  # NaN, too
            raise ValueError(f"{name}: expected numbers of at least 0, got {values[~(values >= 0)][0]}")
    users, first, place = np.unique(rows["user"].to_numpy(), return_index=True, return_inverse=True)
    arms, arm_of_row = np.unique(rows["arm"].to_numpy().astype(str), return_inverse=True)
    arm_of = arm_of_row[first]
    if (arm_of[place] != arm_of_row).any():
        user = users[place[np.argmax(arm_of[place] != arm_of_row)]]
        raise ValueError(f"user {user}: in more than one arm of population {population!r}")
    days = int(day.max()) + 1
    cells = place * days + day
    counts = np.bincount(cells, minlength=len(users) * days)
    if counts.max() > 1:
        cell = int(np.argmax(counts > 1))
        raise ValueError(f"user {users[cell // days]}: {counts[cell]} rows of day {cell % days} in population "
                         f"{population!r}")
    sums = {name: np.cumsum(np.bincount(cells, rows[name].to_numpy(), len(users) * days).reshape(-1, days), axis=1)
            for name in COUNTED}
    sums[USERS] = (sums["requests"] > 0).astype(np.float64)
    before = {name: rows[name].to_numpy()[first].astype(np.float64) for name in BEFORE}
    before[USERS] = np.ones(len(users))
    totals = Totals(population, users, tuple(map(str, arms)), arm_of, sums, before)
    return totals.only(sums[USERS][:, -1] > 0)
