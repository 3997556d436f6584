"""Relative effects of all days as sums over users, and the covariance between the days.

The effect of a day is log(treatment) - log(control), of ratios of totals from the first day on. By the delta method
each is a sum of one term per user (Deng, Knoblich and Lu, "Applying the delta method in metric analytics", KDD 2018),
so the covariance of two days is a sum of products over users. CUPED subtracts `coefficient` times what the ratio was
before the test (Deng, Xu, Kohavi and Walker, WSDM 2013). On the last day all is what tea-tasting computes for
relative effects.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from experiments.ab_test.analysis.metrics import USERS, Metric
from experiments.ab_test.analysis.totals import Totals

Array = NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Linearised:
    """The effects of all days.

    Attributes:
      logs: log(treatment) - log(control) from the first day to each day, or the log of a ratio, `[T]`; NaN where an arm
        has none.
      terms: of each user in the error of each day's log, `[U, T]`; sums over users are 0 within an arm.
      users: ids of the users, `[U]`.
    """

    logs: Array
    terms: Array
    users: NDArray[np.int64]

    def minus(self, other: Linearised) -> Linearised:
        """The difference to logs of the same users.

        Raises:
          ValueError: the users are not the same.
        """
        if not np.array_equal(self.users, other.users):
            raise ValueError("expected the same users, got others")
        return Linearised(self.logs - other.logs, self.terms - other.terms, self.users)

    @property
    def covariance(self) -> Array:
        """Of the errors of `logs`, `[T, T]`."""
        return self.terms.T @ self.terms

    @property
    def standard_errors(self) -> Array:
        """Of `logs`, `[T]`."""
        return np.sqrt(np.einsum("ut,ut->t", self.terms, self.terms))


def effects_of(totals: Totals, metric: Metric, control: str, treatment: str, adjusted: bool) -> Linearised:
    """The effects of all days.

    Args:
      totals: of the population that is split between the arms.
      metric: what is measured.
      control: name of the arm that is compared with.
      treatment: name of the other arm.
      adjusted: whether what users did before the test is taken into account (CUPED).

    Raises:
      ValueError: an arm that is not there.
    """
    chosen = [totals.members(arm) for arm in (control, treatment)]
    both, pair = totals.only(chosen[0] | chosen[1]), [totals.only(members) for members in chosen]
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = _adjusted(both, pair, metric) if adjusted else [_ratio(arm, metric) for arm in pair]
        logs = np.log(parts[1][0]) - np.log(parts[0][0])
        terms = np.concatenate([sign * found / ratio for sign, (ratio, found) in zip((-1, 1), parts, strict=True)])
    return _known(logs, terms, np.concatenate([arm.users for arm in pair]))


def ratios_of(totals: Totals, metric: Metric) -> Linearised:
    """The logs of a population's ratios, whatever the arm."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio, terms = _ratio(totals, metric)
        return _known(np.log(ratio), terms / ratio, totals.users)


def _known(logs: Array, terms: Array, users: NDArray[np.int64]) -> Linearised:
    unknown = ~np.isfinite(logs)
    logs[unknown] = terms[:, unknown] = np.nan
    return Linearised(logs, terms, users)


def _ratio(arm: Totals, metric: Metric) -> tuple[Array, Array]:
    """An arm's ratio by day, `[T]`, and the users' terms, `[U, T]`."""
    return _terms(arm.sums[metric.numerator], arm.sums[metric.denominator], arm.sums[USERS])


def _before(arm: Totals, metric: Metric) -> tuple[Array, Array]:
    """The same of what the users who count by then did before the test."""
    present = arm.sums[USERS]
    return _terms(arm.before[metric.before_numerator][:, None] * present,
                  arm.before[metric.before_denominator][:, None] * present, present)


def _terms(numerator: Array, denominator: Array, present: Array) -> tuple[Array, Array]:
    total, count = denominator.sum(0), present.sum(0)
    ratio = numerator.sum(0) / total
    return ratio, (numerator - ratio * denominator) / total * np.sqrt(count / (count - 1))


def _adjusted(both: Totals, pair: Sequence[Totals], metric: Metric) -> list[tuple[Array, Array]]:
    (_, now), (pooled, before) = _ratio(both, metric), _before(both, metric)
    spread = (before**2).sum(0)
    # Otherwise there is nothing to subtract but what rounding leaves.
    tells = spread * both.sums[USERS].sum(0) > 1e-12 * pooled**2
    coefficient = (now * before).sum(0) / np.where(tells, spread, 1)
    found = []
    for arm in pair:
        (ratio, terms), (ratio_before, terms_before) = _ratio(arm, metric), _before(arm, metric)
        found.append((ratio - np.where(tells, coefficient * (ratio_before - pooled), 0),
                      terms - np.where(tells, coefficient * terms_before, 0)))
    return found
