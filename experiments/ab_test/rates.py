"""How often something happened, with an interval of how often it does."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from scipy import stats


@dataclasses.dataclass(frozen=True)
class Rate:
    """`count` of `trials`, and the 95 % interval of the probability (Clopper and Pearson 1934)."""

    count: int
    trials: int
    low: float
    high: float

    @property
    def value(self) -> float:
        """The share; NaN without trials."""
        return self.count / self.trials if self.trials else math.nan

    def contains(self, probability: float, level: float = 0.95) -> bool:
        """Whether the interval of a level holds a probability."""
        low, high = _interval(self.count, self.trials, level)
        return low <= probability <= high

    def at_most(self, probability: float, level: float = 0.95) -> bool:
        """Whether the whole interval of a level is at or below a probability."""
        return _interval(self.count, self.trials, level)[1] <= probability


@dataclasses.dataclass(frozen=True)
class Mean:
    """A mean, and its 95 % interval by the t distribution; NaN where it is not known."""

    value: float
    low: float
    high: float


def rate(happened: Sequence[bool]) -> Rate:
    """How often something is True; the whole of [0, 1] where it was not tried."""
    count, trials = int(np.sum(happened)), len(happened)
    return Rate(count, trials, *_interval(count, trials, 0.95))


def _interval(count: int, trials: int, level: float) -> tuple[float, float]:
    if not trials:
        return 0.0, 1.0
    found = stats.binomtest(count, trials).proportion_ci(level, method="exact")
    return float(found.low), float(found.high)


def mean(values: Sequence[float]) -> Mean:
    """Of independent values."""
    array = np.asarray(values, np.float64)
    if not len(array):
        return Mean(math.nan, math.nan, math.nan)
    middle = float(array.mean())
    if len(array) < 2:
        return Mean(middle, math.nan, math.nan)
    width = float(stats.t.ppf(0.975, len(array) - 1) * array.std(ddof=1) / math.sqrt(len(array)))
    return Mean(middle, middle - width, middle + width)
