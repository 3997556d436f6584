"""All that an A/B test says about two of its arms."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from experiments.ab_test.analysis import estimates, latency, sequential
from experiments.ab_test.analysis.decidable import days_until
from experiments.ab_test.analysis.linearised import effects_of
from experiments.ab_test.analysis.metrics import USERS, Metric
from experiments.ab_test.analysis.totals import Totals, of_population
from experiments.ab_test.analysis.truth import true_effects
from experiments.ab_test.outcomes import SPLIT

_LEAST = 1e-20  # variance of the log of a ratio
TARGETS = (0.01, 0.02, 0.03, 0.05)  # relative effects that a plan asks for


@dataclasses.dataclass(frozen=True)
class Sequential:
    """Relative effects with intervals that hold on all days at once, each `[T]`.

    Attributes:
      relative: from the first day to each day.
      low: of the interval; -1 where it is unbounded.
      high: likewise; infinite there.
    """

    relative: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    @property
    def decided_after(self) -> int | None:
        """The first number of days whose interval leaves out 0."""
        outside = np.flatnonzero((self.low > 0) | (self.high < 0))
        return int(outside[0]) + 1 if len(outside) else None


@dataclasses.dataclass(frozen=True)
class Reading:
    """A metric, plain or by CUPED.

    Attributes:
      metric: what is measured.
      adjusted: whether by CUPED.
      before: whether users differ by what they did before the test; where they do not, both readings are the same.
      by_day: the effects from the first day to each day on which both arms have two users.
      sequential: intervals for daily looks.
      detectable: the effect that is found with 80 % after each number of days, `[T]`; NaN where unknown.
      power: relative effect -> probability that the test of all days finds it; NaN where unknown.
      days: relative effect -> days after which it is found with 80 %.
      truth: the effect on these very users from the first day to each day, `[T]`; None where it is not known.
    """

    metric: Metric
    adjusted: bool
    before: bool
    by_day: Sequence[estimates.Effect]
    sequential: Sequential
    detectable: Sequence[float]
    power: Mapping[float, float]
    days: Mapping[float, float]
    truth: NDArray[np.float64] | None

    @property
    def last(self) -> estimates.Effect:
        """The effect of all days."""
        return self.by_day[-1]


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Two arms.

    Attributes:
      control: name of the arm that is compared with.
      treatment: name of the other arm.
      days: of the test.
      sample_ratio: of the users of both.
      readings: of each metric, plain and by CUPED.
      latency: figure -> treatment minus control; {} where not both were timed.
    """

    control: str
    treatment: str
    days: int
    sample_ratio: estimates.SampleRatio
    readings: Sequence[Reading]
    latency: Mapping[str, latency.Difference]


def compare(outcomes: pd.DataFrame, times: pd.DataFrame | None, control: str, treatment: str,
            shares: Mapping[str, float] | None = None, population: str = SPLIT) -> Comparison:
    """Analyses two arms.

    Args:
      outcomes: see `experiments.ab_test.outcomes`.
      times: of scoring calls, likewise; None where none were taken.
      control: name of the arm that is compared with.
      treatment: name of the other arm.
      shares: arm -> its share of the users; default equal ones.
      population: whose users are split between the arms.

    Raises:
      ValueError: columns, a population or an arm that are not there, or fewer than two users in an arm.
    """
    totals = of_population(outcomes, population)
    truths = true_effects(outcomes, control, treatment)
    first = _first_days(totals, control, treatment)
    by_day = [estimates.effects(totals, control, treatment, days) for days in range(first, totals.days + 1)]
    readings = []
    for place, effect in enumerate(by_day[-1]):
        metric, adjusted = effect.metric, effect.adjusted
        detectable = [estimates.detectable(totals, control, treatment, metric, adjusted, days) if days >= first
                      else math.nan for days in range(1, totals.days + 1)]
        power = estimates.power(totals, control, treatment, metric, adjusted, TARGETS)
        readings.append(Reading(
            metric, adjusted, estimates.has_before(totals, control, treatment, metric),
            [effects[place] for effects in by_day],
            daily_looks(totals, metric, control, treatment, adjusted), detectable,
            dict(zip(TARGETS, power, strict=True)), {target: days_until(detectable, target) for target in TARGETS},
            truths.get(metric)))
    timed = set() if times is None else set(latency.of_arms(times))
    differences = {figure: latency.difference(times, control, treatment, figure) for figure in latency.FIGURES
                   } if timed >= {control, treatment} else {}
    return Comparison(control, treatment, totals.days,
                      estimates.sample_ratio(totals, control, treatment, shares), readings, differences)


def daily_looks(totals: Totals, metric: Metric, control: str, treatment: str, adjusted: bool,
                alpha: float = 0.05) -> Sequential:
    """A metric's intervals for daily looks, tuned to the days of the test."""
    effects = effects_of(totals, metric, control, treatment, adjusted)
    covariance = effects.covariance
    covariance[np.diagonal(covariance) < _LEAST] = np.nan  # users do not differ: what rounding leaves is no error
    width = sequential.half_widths(covariance, totals.days, alpha)
    return Sequential(np.expm1(effects.logs), np.expm1(effects.logs - width), np.expm1(effects.logs + width))


def _first_days(totals: Totals, control: str, treatment: str) -> int:
    """The first number of days after which both arms have two users; all days where there is none."""
    counts = [totals.sums[USERS][totals.members(arm)].sum(0) for arm in (control, treatment)]
    enough = np.flatnonzero(np.minimum(*counts) >= 2)
    return int(enough[0]) + 1 if len(enough) else totals.days
