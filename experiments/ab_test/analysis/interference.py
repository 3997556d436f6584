"""Interference through shared training: what arms learn from each other's traffic changes the effect that is measured.

With nightly training on all data each arm's model also learns from what the other one has shown; on its own data it
does not. The same users are in the same arms in both, so each is its own comparison.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy import stats

from experiments.ab_test.analysis.linearised import effects_of
from experiments.ab_test.analysis.metrics import METRICS, Metric
from experiments.ab_test.analysis.totals import Totals


@dataclasses.dataclass(frozen=True)
class Interference:
    """Relative effects of a metric over all days.

    Attributes:
      metric: what is measured.
      shared: with training on all data.
      own: with training on each arm's own data.
      change: (1 + shared) / (1 + own) - 1: what shared training makes of the effect.
      low: of the 95 % interval of `change`.
      high: likewise.
    """

    metric: Metric
    shared: float
    own: float
    change: float
    low: float
    high: float


def compare(shared: Totals, own: Totals, control: str, treatment: str) -> list[Interference]:
    """The interference of every metric.

    Args:
      shared: of the population that is split between arms trained on all data.
      own: likewise, of arms trained on their own data.
      control: name of the arm that is compared with.
      treatment: name of the other arm.

    Raises:
      ValueError: an arm that is not there, or users of an arm or days that are not the same.
    """
    if shared.days != own.days:
        raise ValueError(f"expected tests of as many days, got {shared.days} with training on all data and {own.days}")
    for arm in (control, treatment):
        users = [totals.users[totals.members(arm)] for totals in (shared, own)]
        if not np.array_equal(*users):
            raise ValueError(f"arm {arm!r}: expected the same users with training on all data and on own data, got "
                             f"{len(users[0]):,} and {len(users[1]):,}, of whom "
                             f"{len(np.intersect1d(*users)):,} are in both")
    found = []
    for metric in METRICS:
        both = [effects_of(totals, metric, control, treatment, adjusted=False) for totals in (shared, own)]
        difference = both[0].minus(both[1])
        width = stats.norm.ppf(0.975) * difference.standard_errors[-1]
        log = difference.logs[-1]
        found.append(Interference(metric, *(float(np.expm1(value)) for value in (
            both[0].logs[-1], both[1].logs[-1], log, log - width, log + width))))
    return found
