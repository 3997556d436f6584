"""Serves requests day by day: who is served by which arm, and the outcomes.

Shape letters: R requests, C candidates, S places of a page, U users.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from experiments.ab_test.outcomes import BEFORE, OUTCOME_COLUMNS, alone_arm
from experiments.ab_test.simulation import assignment
from experiments.ab_test.simulation.arms import Arm, RandomPolicy
from experiments.ab_test.simulation.past import Past
from experiments.ab_test.simulation.requests import Requests

_LOGGING_SEED = 1 << 20  # of the policy that serves the days before the test; no arm's


def serve(past: Past, arms: Mapping[int, Arm], arm_of_user: np.ndarray, rows: np.ndarray) -> None:
    """Lets each user's arm rank requests of one day and notes in `past.places` what is shown.

    Args:
      past: of the population; days before are served.
      arms: by their places; those that serve a user of the rows.
      arm_of_user: `[U]` place of each user's arm.
      rows: places of the requests, of the day `past.day`.
    """
    for place, arm in arms.items():
        own = rows[arm_of_user[past.requests.user[rows]] == place]
        turns = past.requests.turn[own] if arm.turn_by_turn else np.zeros(len(own), np.int64)
        for turn in range(1 + turns.max(initial=-1)):
            now = own[turns == turn]
            scores = arm.scores(past, now)
            past.places[now] = np.argsort(-scores, axis=1, kind="stable")[:, :past.places.shape[1]]


def serve_before(requests: Requests, shown: int, pre_days: int, seed: int) -> np.ndarray:
    """`[R, S]` places of what is shown, by chance, on the days before the test; -1 on those of it."""
    past = Past(requests, np.full((len(requests), shown), -1), 0, seed)
    rows = past.served(pre_days)
    users = np.zeros(1 + requests.user.max(initial=0), np.int64)
    serve(past, {0: RandomPolicy(_LOGGING_SEED)}, users, rows)
    return past.places


def arms_of_users(population: str, users: int, names: Sequence[str], shares: Mapping[str, float] | None,
                  salt: str) -> np.ndarray:
    """`[U]` place of the arm that serves each user of a population.

    Raises:
      ValueError: an unknown population, or shares that do not fit the arms.
    """
    one = alone_arm(population)
    if one is not None:
        if one not in names:
            raise ValueError(f"populations: {population!r} names no arm of {', '.join(names)}")
        return np.full(users, names.index(one))
    shares = shares or dict.fromkeys(names, 1 / len(names))
    if list(shares) != list(names):
        raise ValueError(f"shares: expected one for each of {', '.join(names)}, in that order, got those of "
                         f"{', '.join(shares)}")
    return assignment.assigned(np.arange(1, users + 1), shares, salt)


def outcomes_of(population: str, requests: Requests, places: np.ndarray, arm_of_user: np.ndarray,
                names: Sequence[str], pre_days: int, days: int) -> pd.DataFrame:
    """The rows of a population whose `days` are served, see `outcomes`.

    Args:
      population: its name.
      requests: of all days.
      places: `[R, S]` what was shown.
      arm_of_user: `[U]` place of each user's arm in `names`.
      names: of the arms.
      pre_days: days before the test.
      days: of the test.
    """
    users = len(arm_of_user)
    rows = np.flatnonzero(requests.day < pre_days + days)
    clicks = requests.clicked(places[rows], rows).sum(axis=1)
    stays = requests.stays(places[rows], rows).sum(axis=1)
    cell = requests.user[rows] * days + requests.day[rows] - pre_days
    test = requests.day[rows] >= pre_days

    def by_day(weights: np.ndarray) -> np.ndarray:
        return np.bincount(cell[test], weights[test], users * days)

    def by_user(weights: np.ndarray) -> np.ndarray:
        found = np.bincount(requests.user[rows][~test], weights[~test], users)
        return np.repeat(found, days)

    shown = np.full(len(rows), places.shape[1])
    before = dict(zip(BEFORE, (shown, clicks, stays), strict=True))
    table = pd.DataFrame({
        "population": population, "user": np.repeat(np.arange(1, users + 1), days),
        "day": np.tile(np.arange(days), users),
        "arm": np.repeat(np.array(names, dtype=object)[arm_of_user], days), "requests": by_day(np.ones(len(rows))),
        "impressions": by_day(shown), "clicks": by_day(clicks), "stay_seconds": by_day(stays),
        **{name: by_user(values) for name, values in before.items()}})
    return table.astype({name: kind for name, kind in OUTCOME_COLUMNS.items() if kind.endswith("64")})
