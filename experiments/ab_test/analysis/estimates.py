"""The effects of an A/B test by tea-tasting: ratios by the delta method, CUPED, the sample ratio, power."""

from __future__ import annotations

import dataclasses
import math
import types
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments.ab_test.analysis.metrics import METRICS, USERS, Metric
from experiments.ab_test.analysis.totals import Totals

CONFIDENCE = 0.95
POWER = 0.8
_LEAST = 1e-12  # times the squared level: a variance below it is what rounding leaves


@dataclasses.dataclass(frozen=True)
class Effect:
    """What a metric says from the first day to one day.

    Attributes:
      metric: what is measured.
      adjusted: whether by CUPED; `control` and `treatment` are then what they would be without the difference that was
        there before the test.
      days: how many days from the first one on.
      control: the ratio in the arm that is compared with.
      treatment: in the other one.
      relative: treatment / control - 1; 0.03 is 3 %. NaN, as all that follows, where the control is not above 0 or the
        treatment is below 0, as CUPED can make them of few clicks.
      low: of its 95 % interval, valid for a number of days that was chosen beforehand; NaN, as all that follows, where
        users do not differ.
      high: likewise.
      p_value: two-sided, likewise.
    """

    metric: Metric
    adjusted: bool
    days: int
    control: float
    treatment: float
    relative: float
    low: float
    high: float
    p_value: float


@dataclasses.dataclass(frozen=True)
class SampleRatio:
    """Users of both arms, and the p-value of their ratio; below 0.001 something else than chance divided the users."""

    control: int
    treatment: int
    p_value: float


def library() -> types.ModuleType:
    """tea-tasting.

    Raises:
      ValueError: it is not installed.
    """
    try:
        import tea_tasting
    except ImportError as error:
        raise ValueError("the analysis of A/B tests needs tea-tasting: pip install lcn-tf[ab]") from error
    return tea_tasting


def effects(totals: Totals, control: str, treatment: str, days: int | None = None,
            metrics: Sequence[Metric] = METRICS) -> list[Effect]:
    """Each metric's effect, first plain, then by CUPED.

    Args:
      totals: of a population that is split between arms.
      control: name of the arm that is compared with.
      treatment: name of the other arm.
      days: how many days are looked at; default all.
      metrics: what is measured.

    Raises:
      ValueError: an arm that is not there, or has fewer than two users by then.
    """
    days = totals.days if days is None else days
    aggregates = {arm: aggregated(totals, arm, days) for arm in (control, treatment)}
    both = aggregates[control] + aggregates[treatment]
    return [_effect(metric, adjusted, days, aggregates[control], aggregates[treatment], both)
            for metric in metrics for adjusted in (False, True)]


def _effect(metric: Metric, adjusted: bool, days: int, control: Any, treatment: Any, both: Any) -> Effect:
    moments = [_moments(metric, adjusted, arm, both) for arm in (control, treatment)]
    levels, spread = [level for level, _ in moments], sum(variance for _, variance in moments)
    if not (levels[0] > 0 and levels[1] >= 0):
        return Effect(metric, adjusted, days, *levels, *[math.nan] * 4)
    if not spread > _LEAST * levels[0] ** 2:
        return Effect(metric, adjusted, days, *levels, levels[1] / levels[0] - 1, *[math.nan] * 3)
    result = _test(metric, adjusted, both).analyze_aggregates(control, treatment)
    relative = (result.rel_effect_size, result.rel_effect_size_ci_lower, result.rel_effect_size_ci_upper)
    return Effect(metric, adjusted, days, *map(float, (result.control, result.treatment, *relative, result.pvalue)))


def sample_ratio(totals: Totals, control: str, treatment: str, shares: Mapping[str, float] | None = None
                 ) -> SampleRatio:
    """Whether the arms have as many users as they should.

    Args:
      totals: of a population that is split between arms.
      control: name of an arm.
      treatment: name of another one.
      shares: arm -> its share of the users; default equal ones.

    Raises:
      ValueError: an arm that is not there.
    """
    ratio = shares[treatment] / shares[control] if shares else 1
    counts = {arm: int(totals.members(arm).sum()) for arm in (control, treatment)}
    aggregates = {arm: library().aggr.Aggregates(count_=count) for arm, count in counts.items()}
    result = library().SampleRatio(ratio).analyze(aggregates, control, treatment)
    return SampleRatio(counts[control], counts[treatment], result.pvalue)


def power(totals: Totals, control: str, treatment: str, metric: Metric, adjusted: bool,
          relative: Sequence[float]) -> list[float]:
    """The probabilities that a test of all days with these users finds relative effects at 5 %; NaN where the users do
    not differ.

    Raises:
      ValueError: an arm that is not there.
    """
    both = _both(totals, control, treatment, totals.days)
    if not _varies(metric, adjusted, both):
        return [math.nan] * len(relative)
    found = _test(metric, adjusted, both, rel_effect_size=tuple(relative), ratio=_ratio(totals, control, treatment)
                  ).solve_power_from_aggregates(both, "power")
    return [one.power for one in found]


def detectable(totals: Totals, control: str, treatment: str, metric: Metric, adjusted: bool,
               days: int | None = None) -> float:
    """The relative effect that a test of so many days with these users finds with 80 %; NaN where nothing is known.

    Raises:
      ValueError: an arm that is not there.
    """
    both = _both(totals, control, treatment, days or totals.days)
    if not _varies(metric, adjusted, both):
        return math.nan
    found = _test(metric, adjusted, both, power=POWER, ratio=_ratio(totals, control, treatment)
                  ).solve_power_from_aggregates(both, "rel_effect_size")
    return float(found[0].rel_effect_size)


def aggregated(totals: Totals, arm: str, days: int) -> Any:
    """tea-tasting's `Aggregates` of an arm's users who count after so many days.

    Raises:
      ValueError: an arm that is not there, or has fewer than two such users.
    """
    last = days - 1
    chosen = totals.members(arm) & (totals.sums[USERS][:, last] > 0)
    if chosen.sum() < 2:
        raise ValueError(f"arm {arm!r}: {chosen.sum()} users by day {last}, an interval needs two")
    columns = {name: values[chosen, last] for name, values in totals.sums.items() if name not in (USERS, "requests")}
    columns |= {name: values[chosen] for name, values in totals.before.items() if name != USERS}
    names, values = list(columns), np.stack(list(columns.values()))
    covariance = np.cov(values)
    return library().aggr.Aggregates(
        count_=int(chosen.sum()), mean_=dict(zip(names, values.mean(1).tolist(), strict=True)),
        var_=dict(zip(names, np.diagonal(covariance).tolist(), strict=True)),
        cov_={tuple(sorted((left, right))): float(covariance[i, j])
              for i, left in enumerate(names) for j, right in enumerate(names[:i])})


def has_before(totals: Totals, control: str, treatment: str, metric: Metric) -> bool:
    """Whether users differ by what they did before the test; where they do not, CUPED has nothing to take into account.

    Raises:
      ValueError: an arm that is not there.
    """
    return _has_before(metric, _both(totals, control, treatment, totals.days))


def _test(metric: Metric, adjusted: bool, both: Any, **options: Any) -> Any:
    """tea-tasting's metric; `both`: aggregates of both arms, which tell whether there is anything for CUPED."""
    return library().RatioOfMeans(*_now(metric), *(_before(metric) if adjusted and _has_before(metric, both) else ()),
                                  confidence_level=CONFIDENCE, **options)


def _now(metric: Metric) -> tuple[str, str | None]:
    return metric.numerator, None if metric.denominator == USERS else metric.denominator


def _before(metric: Metric) -> tuple[str, str | None]:
    return metric.before_numerator, None if metric.before_denominator == USERS else metric.before_denominator


def _has_before(metric: Metric, both: Any) -> bool:
    numerator, denominator = _before(metric)
    if not both.mean(denominator):
        return False
    level = both.mean(numerator) / both.mean(denominator)
    return both.ratio_var(numerator, denominator) > _LEAST * level**2


def _varies(metric: Metric, adjusted: bool, both: Any) -> bool:
    level, variance = _moments(metric, adjusted, both, both)
    return variance > _LEAST * level**2


def _moments(metric: Metric, adjusted: bool, arm: Any, both: Any) -> tuple[float, float]:
    """An arm's ratio and the variance of its users' terms, as the library has them; not finite where there is none."""
    arm, both = arm.with_zero_div(), both.with_zero_div()
    now, before = _now(metric), _before(metric)
    level, variance = arm.mean(now[0]) / arm.mean(now[1]), arm.ratio_var(*now)
    if adjusted and _has_before(metric, both):
        slope = both.ratio_cov(*now, *before) / both.ratio_var(*before)
        level -= slope * (arm.mean(before[0]) / arm.mean(before[1]) - both.mean(before[0]) / both.mean(before[1]))
        variance += slope**2 * arm.ratio_var(*before) - 2 * slope * arm.ratio_cov(*now, *before)
    return float(level), float(variance)


def _both(totals: Totals, control: str, treatment: str, days: int) -> Any:
    return aggregated(totals, control, days) + aggregated(totals, treatment, days)


def _ratio(totals: Totals, control: str, treatment: str) -> float:
    return float(totals.members(treatment).sum() / totals.members(control).sum())
