"""Who ranks: what an arm offers the simulation, what it is told, and policies that need no model.

Shape letters: n requests that are ranked at once, C candidates, S places of a page.
"""

from __future__ import annotations

import dataclasses
from typing import Protocol

import numpy as np
from scipy.special import logit

from experiments.ab_test.simulation import keyed_draws
from experiments.ab_test.simulation.past import Past

_RANDOM, _NOISE = 11, 12  # what a keyed draw is for, beside the seed


class Arm(Protocol):
    """What ranks the candidates of requests.

    Attributes:
      turn_by_turn: a ranking depends on what the user did earlier on the day, so that requests of one user are ranked
        one after the other.
      depends_on_others: a ranking depends on what other users did, so that arms which share traffic interfere.
    """

    @property
    def turn_by_turn(self) -> bool: ...

    @property
    def depends_on_others(self) -> bool: ...

    def scores(self, past: Past, rows: np.ndarray) -> np.ndarray:
        """`[n, C]` scores of the candidates of requests `rows` `[n]`; the largest is shown first, of equals the first.

        Args:
          past: what is known before each of the requests.
          rows: places in `past.requests`.
        """


@dataclasses.dataclass(frozen=True)
class RandomPolicy:
    """Ranks by chance.

    Attributes:
      seed: another one ranks otherwise.
    """

    seed: int = 0
    turn_by_turn: bool = dataclasses.field(default=False, init=False)
    depends_on_others: bool = dataclasses.field(default=False, init=False)

    def scores(self, past: Past, rows: np.ndarray) -> np.ndarray:
        """See `Arm`."""
        return keyed_draws.uniform(past.seed, _RANDOM, self.seed, *_keys(past, rows))


@dataclasses.dataclass(frozen=True)
class PopularityPolicy:
    """Ranks by the click rate of each room on all days before, of which a room that is new has the mean.

    Attributes:
      prior: impressions with the mean rate that are added to each room's.
    """

    prior: float = 20.0
    turn_by_turn: bool = dataclasses.field(default=False, init=False)
    depends_on_others: bool = dataclasses.field(default=True, init=False)

    def scores(self, past: Past, rows: np.ndarray) -> np.ndarray:
        """See `Arm`."""
        impressions, clicks = past.room_counts()
        mean = clicks.sum() / max(impressions.sum(), 1)
        rate = (clicks + self.prior * mean) / (impressions + self.prior)
        return rate[past.requests.room[rows]]


@dataclasses.dataclass(frozen=True)
class OraclePolicy:
    """Ranks by the true click logit, to which noise may be added: arms with effects of any size, 0 included.

    Attributes:
      noise: standard deviation of what is added to the logit of each candidate of each request.
      seed: of the noise; arms with one noise and one seed are the same arm.
    """

    noise: float = 0.0
    seed: int = 0
    turn_by_turn: bool = dataclasses.field(default=False, init=False)
    depends_on_others: bool = dataclasses.field(default=False, init=False)

    def scores(self, past: Past, rows: np.ndarray) -> np.ndarray:
        """See `Arm`."""
        truth = logit(past.requests.probability[rows])
        if not self.noise:
            return truth
        return truth + self.noise * keyed_draws.normal(past.seed, _NOISE, self.seed, *_keys(past, rows))


def _keys(past: Past, rows: np.ndarray) -> tuple[np.ndarray, ...]:
    """Keys of draws of each candidate of requests `[n]`: they broadcast to `[n, C]`."""
    requests = past.requests
    return requests.user[rows, np.newaxis], requests.timestamp[rows, np.newaxis], requests.room[rows]
