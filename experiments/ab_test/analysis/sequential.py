"""An interval for every day of a test at once: whoever looks daily and stops when it pleases is wrong in 5 % at most.

Setting. Users are independent; each comes back day by day, so the estimates of two days share users and what they like.
`estimates[t]` is the relative effect from the first day to day t. With many users in either arm, the errors of the T
estimates are jointly normal (the central limit theorem for means over users, T fixed), with a covariance that is
estimated from users, whole histories as units: nothing is assumed about how a user's days depend on each other.

Construction. Scale the error of look t by m[t] > 0, so that X[t] = m[t] error[t] has the variance v[t], its time:

    m[1] = 1 / sd[1],    m[t] = max over s < t of m[s] cov[s, s] / cov[s, t],    v[t] = m[t]^2 cov[t, t]

Then cov(X[s], X[t]) >= v[s] for s < t: X is at least as much alike between looks as a Brownian motion W at these
times is.

Proof. (1) Slepian's inequality (Bell System Technical Journal 1962): of two centred normal vectors with the same
variances, the one with the larger covariances is the less likely to cross a one-sided boundary anywhere. So P(some
X[t] >= b(v[t])) <= P(some W(v) >= b(v)). (2) Mixture over half-normal drifts (Robbins, "Statistical methods related
to the law of the iterated logarithm", 1970; Howard, Ramdas, McAuliffe and Sekhon, "Time-uniform, nonparametric,
nonasymptotic confidence sequences", Annals of Statistics 2021, Section 3.2): with r > 0

    M(v) = 2 (r / (v + r))^(1/2) exp(W(v)^2 / (2 (v + r))) Phi(W(v) / (v + r)^(1/2))

is a martingale that starts at 1, so by Ville's inequality it reaches 2 / alpha with probability alpha / 2 at most.
(3) Both sides add up to alpha. The covariance is estimated consistently, so the coverage holds as users become many,
for any number of days (asymptotic confidence sequences: Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, Annals of
Statistics 2024, whose limit is in time).

What the interval of day t covers is the effect from the first day to day t, which may change from day to day:
intervals of several days are not to be intersected.

A library was looked for: confseq has had no release since 2023 and compiles C++ at installation, msprt and gbstats
need NumPy 1, savvi tests counts and regressions only, sequential-analysis is under the AGPL, and none of them knows of
users who come back.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

Array = NDArray[np.float64]


def half_widths(covariance: Array, planned_looks: int, alpha: float = 0.05) -> Array:
    """Half the length of each look's interval, `[T]`; infinite at looks that say nothing yet.

    Args:
      covariance: of the errors of the looks' estimates, `[T, T]`; a row of NaN is a look without an estimate.
      planned_looks: at which the intervals are tuned to be short, from the first one to this one. It must not be
        chosen by what was seen; the coverage holds at any number of looks.
      alpha: probability that an interval of any look misses.

    Raises:
      ValueError: `planned_looks` below 1 or `alpha` outside (0, 1).
    """
    if planned_looks < 1:
        raise ValueError(f"planned_looks must be at least 1, got {planned_looks}")
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must be between 0 and 1, got {alpha}")
    scales = _scales(covariance)
    widths = np.full(len(covariance), math.inf)
    known = np.isfinite(scales)
    times = scales[known] ** 2 * np.diagonal(covariance)[known]
    widths[known] = boundary(times, math.sqrt(planned_looks), alpha) / scales[known]
    return widths


def boundary(times: Array, tuned_at: float, alpha: float = 0.05) -> Array:
    """What a Brownian motion stays within at all times, with a probability of at least 1 - alpha.

    Args:
      times: of the Brownian motion, above 0.
      tuned_at: the time at which the boundary is the lowest, of those that the mixture can give.
      alpha: for both sides together.
    """
    rest = tuned_at / _best_ratio(alpha)
    root = np.sqrt(times + rest)
    two_sided = np.log((times + rest) / rest) - 2 * math.log(alpha)
    # The equation of b has b on both sides. One step from below ends above the solution: a little too wide.
    return root * np.sqrt(two_sided - 2 * stats.norm.logcdf(np.sqrt(two_sided)))


def _best_ratio(alpha: float) -> float:
    """The ratio of time and r at which b(v) / v^(1/2) has its minimum: x = log(1 + x) + 2 log(1 / alpha)."""
    return float(-special.lambertw(-alpha**2 / math.e, -1).real) - 1


def _scales(covariance: Array) -> Array:
    """m, `[T]`; NaN at looks without an estimate, infinite where looks are not alike at all."""
    scales = np.full(len(covariance), math.nan)
    for look, variance in enumerate(np.diagonal(covariance)):
        if not variance > 0 or not math.isfinite(variance):
            continue
        earlier = np.flatnonzero(np.isfinite(scales[:look]))
        if not len(earlier):
            scales[look] = 1 / math.sqrt(variance)
            continue
        shared = covariance[earlier, look]
        if shared.min() <= 0:
            scales[look] = math.inf  # this look has no interval; it says nothing about later ones
            continue
        scales[look] = np.max(scales[earlier] * covariance[earlier, earlier] / shared)
    return scales
