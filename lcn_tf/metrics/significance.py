"""Tests of whether a difference between two models is more than chance.

Impressions of one user are correlated, so `user_bootstrap` is the default for two models on the same rows and `delong`
a quick check. Neither knows the randomness of training: that is what `paired_t_test` over seeds and `holm` are for.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, stats

from lcn_tf.metrics.auc import exact_auc
from lcn_tf.metrics.gauc import UserAUC, group_auc, per_user_auc, user_weights
from lcn_tf.metrics.rows import Array, check_keys, check_labels, check_scores

_QUANTILES = 2_000  # of an integral


@dataclasses.dataclass(frozen=True)
class DeLong:
    """AUCs of two models on the same rows; `difference` is A minus B, `p_value` is two-sided."""

    auc_a: float
    auc_b: float
    variance_a: float
    variance_b: float
    covariance: float
    difference: float
    variance: float
    z: float
    p_value: float


@dataclasses.dataclass(frozen=True)
class Interval:
    """A difference A minus B on all rows, its bootstrap standard error and percentile interval.

    `resamples` counts the resamples on which the metric was defined.
    """

    difference: float
    standard_error: float
    low: float
    high: float
    resamples: int


@dataclasses.dataclass(frozen=True)
class TTest:
    """Paired differences A minus B over seeds; `std` with n - 1, `p_value` two-sided."""

    mean: float
    std: float
    t: float
    p_value: float


def _placements(labels: Array, scores: Array) -> tuple[Array, Array]:
    """Share of negatives below each positive and of positives above each negative, ties half."""
    positive, negative = scores[labels == 1], scores[labels == 0]
    ranks = stats.rankdata(np.concatenate([positive, negative]))
    below = (ranks[:len(positive)] - stats.rankdata(positive)) / len(negative)
    above = 1 - (ranks[len(positive):] - stats.rankdata(negative)) / len(positive)
    return below, above


def delong(labels: ArrayLike, scores_a: ArrayLike, scores_b: ArrayLike) -> DeLong:
    """Paired test of two AUCs (DeLong et al. 1988), covariances with ddof 1; rows count as independent.

    Args:
      labels: `[N]` 0/1, at least two of each.
      scores_a: `[N]` of model A.
      scores_b: `[N]` of model B.

    Returns:
      AUCs, variances, the difference, z and its normal p-value (z = 0 and p = 1 for equal AUCs without variance).

    Raises:
      ValueError: fewer than two rows of a class, NaN scores or shapes that differ.

    Example:
      >>> from lcn_tf.metrics import delong
      >>> labels, a, b = [0, 0, 0, 1, 1, 1], [1, 2, 3, 4, 5, 6], [3, 1, 5, 2, 4, 6]
      >>> result = delong(labels, a, b)
      >>> round(result.difference, 3), round(result.p_value, 3)
      (0.333, 0.221)
    """
    labels = check_labels(labels)
    counts = np.bincount(labels, minlength=2)
    if counts.min() < 2:
        raise ValueError(f"labels must hold at least two of each class, got {counts.tolist()} of classes 0 and 1")
    pairs = [_placements(labels, check_scores(name, scores, len(labels)))
             for name, scores in (("scores_a", scores_a), ("scores_b", scores_b))]
    covariance = (np.cov(np.stack([pair[0] for pair in pairs])) / counts[1]
                  + np.cov(np.stack([pair[1] for pair in pairs])) / counts[0])
    auc_a, auc_b = (float(np.mean(pair[0])) for pair in pairs)
    variance = float(max(0.0, covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]))
    difference = auc_a - auc_b
    z = _ratio(difference, math.sqrt(variance))
    return DeLong(auc_a, auc_b, float(covariance[0, 0]), float(covariance[1, 1]), float(covariance[0, 1]), difference,
                  variance, z, float(2 * stats.norm.sf(abs(z))))


def _ratio(difference: float, spread: float) -> float:
    """Difference in units of its spread; without spread 0 or infinite, NaN if one of them is."""
    if spread > 0 or math.isnan(difference) or math.isnan(spread):
        return difference / spread
    return math.copysign(math.inf, difference) if abs(difference) > 1e-15 else 0.0


class _WeightedAUC:
    """AUC of the same scores under many row weights: sorts once, then O(N) per call.

    scikit-learn's takes weights too, but sorts at every call.
    """

    def __init__(self, labels: Array, scores: Array, users: Array):
        groups = np.unique(scores, return_inverse=True)[1]
        order = np.argsort(groups, kind="stable")  # a call then reads and adds in sequence
        self._positive = labels[order] == 1
        self._groups = groups[order]
        self._users = users[order]

    def __call__(self, counts: Array) -> float:
        weights = counts[self._users]
        positive = np.bincount(self._groups, weights=weights * self._positive)
        negative = np.bincount(self._groups, weights=weights) - positive
        pairs = positive.sum() * negative.sum()
        if not pairs > 0:
            return math.nan
        return float(np.sum(positive * (np.cumsum(negative) - negative / 2)) / pairs)


def _weighted_gauc(per_user: UserAUC, weights: Array, counts: Array) -> float:
    total = np.sum(counts * weights)
    return float(np.sum(counts * weights * np.nan_to_num(per_user.auc)) / total) if total > 0 else math.nan


def metrics_of_resamples(labels: ArrayLike, scores: ArrayLike, user_keys: ArrayLike, *, seed: int,
                         resamples: int = 1000, gauc_weights: str = "impressions") -> dict[str, Array]:
    """AUC and GAUC of one model on resamples of the users, drawn with replacement.

    The resamples are a function of the seed and the users: with the same users, those of several models are paired.
    `scipy.stats.bootstrap` does not promise the same draws in all versions, and stored ones stay paired with new ones.

    Args:
      labels: `[N]` 0/1.
      scores: `[N]`.
      user_keys: `[N]` integers or texts.
      seed: of the resamples.
      resamples: how many, R, at least 2.
      gauc_weights: as in `group_auc`.

    Returns:
      `auc` and `gauc`, `[R]` float64 each; NaN on a resample where it is undefined.

    Raises:
      ValueError: shapes that differ, NaN scores, a setting out of range.
    """
    if resamples < 2:
        raise ValueError(f"resamples must be at least 2, got {resamples}")
    labels = check_labels(labels)
    users, num_users = check_keys(user_keys, len(labels))
    scores = check_scores("scores", scores, len(labels))
    weighted, per_user = _WeightedAUC(labels, scores, users), per_user_auc(labels, scores, user_keys)
    weights = user_weights(per_user, gauc_weights)
    rng = np.random.default_rng(seed)
    drawn = np.empty((2, resamples))
    for number in range(resamples):
        counts = np.bincount(rng.integers(num_users, size=num_users), minlength=num_users).astype(np.float64)
        drawn[:, number] = weighted(counts), _weighted_gauc(per_user, weights, counts)
    return {"auc": drawn[0], "gauc": drawn[1]}


def interval(difference: float, resamples: ArrayLike, confidence: float = 0.95) -> Interval:
    """Percentile interval of a difference.

    Args:
      difference: on all rows.
      resamples: `[R]`, the difference on each; NaN does not count.
      confidence: mass of the interval.

    Raises:
      ValueError: a confidence outside (0, 1).
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be between 0 and 1, got {confidence}")
    drawn = np.asarray(resamples, np.float64)
    drawn = drawn[~np.isnan(drawn)]
    if len(drawn) < 2:
        return Interval(difference, math.nan, math.nan, math.nan, len(drawn))
    low, high = np.quantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(difference, float(np.std(drawn, ddof=1)), float(low), float(high), len(drawn))


def resampled_seeds(resamples: ArrayLike, *, seed: int) -> Array:
    """Means over seeds that are drawn again with every resample of the users: what both would change (two levels).

    With few seeds it says too little of training: the mean of S draws varies by (S - 1) / S of what that of S new ones
    does.

    Args:
      resamples: `[S, R]`, a number (a metric, a difference of two models) of each seed on the same R resamples.
      seed: of the draws; several models are paired by the same.

    Returns:
      `[R]` float64.

    Raises:
      ValueError: not `[S, R]` with S at least 1.
    """
    values = np.asarray(resamples, np.float64)
    if values.ndim != 2 or not len(values):
        raise ValueError(f"resamples must be [S, R] with S at least 1, got {list(values.shape)}")
    drawn = np.random.default_rng(seed).integers(len(values), size=values.shape)
    return np.take_along_axis(values, drawn, axis=0).mean(axis=0)


def detectable_difference(seed_error: float, seeds: int, *, common_error: float = 0.0, power: float = 0.8,
                          alpha: float = 0.05) -> float:
    """The smallest true difference that `paired_t_test`, two-sided, finds with a probability of `power`.

    Args:
      seed_error: standard error of the mean difference over seeds, their std / sqrt(S).
      seeds: S, at least 2; with few of them the error itself is hardly known, which costs power.
      common_error: as in `paired_t_test`.
      power: that probability, above `alpha`.
      alpha: level of the test; divided by the number of comparisons, that of Holm's first step.

    Raises:
      ValueError: fewer than two seeds, a negative error, a probability outside (0, 1), or a power that is not above
        alpha.

    Example:
      >>> from lcn_tf.metrics import detectable_difference
      >>> [round(detectable_difference(0.001, seeds), 4) for seeds in (3, 5, 1000)]
      [0.0057, 0.0038, 0.0028]
    """
    if seeds < 2:
        raise ValueError(f"seeds must be at least 2, got {seeds}")
    if not 0 < alpha < power < 1:
        raise ValueError(f"alpha and power must be between 0 and 1, power above alpha, got {alpha} and {power}")
    if min(seed_error, common_error) < 0:
        raise ValueError(f"errors must not be negative, got {seed_error} and {common_error}")
    error = math.hypot(seed_error, common_error)
    if not error:
        return 0.0  # of models that do not differ
    # What the test compares with, by quantiles of the error over seeds as it is estimated, in units of the true error.
    quantiles = (np.arange(_QUANTILES) + 0.5) / _QUANTILES
    estimated = seed_error * stats.chi.ppf(quantiles, seeds - 1) / math.sqrt(seeds - 1)
    bounds = stats.t.isf(alpha / 2, seeds - 1) * np.hypot(estimated, common_error) / error

    def excess(errors: float) -> float:
        return float(np.mean(stats.norm.sf(bounds - errors) + stats.norm.cdf(-bounds - errors))) - power

    return float(error * optimize.brentq(excess, 0.0, bounds[-1] + 10.0))


def user_bootstrap(labels: ArrayLike, scores_a: ArrayLike, scores_b: ArrayLike, user_keys: ArrayLike, *, seed: int,
                   resamples: int = 1000, confidence: float = 0.95,
                   gauc_weights: str = "impressions") -> dict[str, Interval]:
    """Intervals of AUC and GAUC differences by resampling users with replacement, both models on the same resample.

    Args:
      labels: `[N]` 0/1, both classes.
      scores_a: `[N]` of model A.
      scores_b: `[N]` of model B.
      user_keys: `[N]` integers or texts.
      seed: of the resamples.
      resamples: how many, at least 2.
      confidence: mass of the percentile interval.
      gauc_weights: as in `group_auc`.

    Returns:
      `auc` and `gauc`, each the `Interval` of A minus B. A resample without both classes does not count.

    Raises:
      ValueError: labels of a single class, shapes that differ, NaN scores, a setting out of range.

    Example:
      >>> from lcn_tf.metrics import user_bootstrap
      >>> labels, users = [0, 1] * 48, [number // 4 for number in range(96)]
      >>> a, b = [0, 1] * 48, [0, 1, 0, 1, 1, 0, 1, 0] * 12  # A ranks all users' rows right, B every other user's
      >>> found = user_bootstrap(labels, a, b, users, seed=1, resamples=200)["gauc"]
      >>> found.difference, round(found.low, 2), round(found.high, 2)
      (0.5, 0.33, 0.71)
    """
    models = (check_scores("scores_a", scores_a, len(np.ravel(labels))),
              check_scores("scores_b", scores_b, len(np.ravel(labels))))
    whole = [(exact_auc(labels, scores), group_auc(labels, scores, user_keys, gauc_weights).value)
             for scores in models]
    drawn = [metrics_of_resamples(labels, scores, user_keys, seed=seed, resamples=resamples,
                                  gauc_weights=gauc_weights) for scores in models]
    return {name: interval(whole[0][index] - whole[1][index], drawn[0][name] - drawn[1][name], confidence)
            for index, name in enumerate(("auc", "gauc"))}


def hanley_mcneil(auc_value: float, positives: float, negatives: float) -> float:
    """Standard error of one AUC from its value and the class sizes (Hanley and McNeil 1982).

    Raises:
      ValueError: an AUC outside [0, 1] or a class without rows.
    """
    if not 0 <= auc_value <= 1:
        raise ValueError(f"auc_value must be within [0, 1], got {auc_value}")
    if positives < 1 or negatives < 1:
        raise ValueError(f"positives and negatives must be at least 1, got {positives} and {negatives}")
    square = auc_value**2
    both_positive, both_negative = auc_value / (2 - auc_value), 2 * square / (1 + auc_value)
    variance = (auc_value * (1 - auc_value) + (positives - 1) * (both_positive - square)
                + (negatives - 1) * (both_negative - square)) / (positives * negatives)
    return math.sqrt(max(0.0, variance))


def paired_t_test(values_a: Sequence[float], values_b: Sequence[float], common_error: float = 0.0) -> TTest:
    """Paired t-test of one metric over seeds.

    Not `scipy.stats.ttest_rel`: it is NaN for equal values, and warns where differences hardly vary.

    Args:
      values_a: `[S]` the metric of model A, S >= 2.
      values_b: `[S]` of model B with the same seeds, in the same order.
      common_error: standard error of the mean difference by what all seeds have in common and would be another one the
        next time, as the users of the test day (`interval(...).standard_error` of the mean over the seeds). It adds to
        that by seeds. The degrees of freedom stay S - 1: more, as by Welch, would find too much with few seeds; so
        where the common error is most of it, less is found than could be.

    Returns:
      Mean and std of the differences, t and p (equal differences: t infinite and p 0, or t 0 and p 1 at zero, unless
      there is a common error). All are NaN where a metric is undefined (NaN) for one of the seeds.

    Raises:
      ValueError: fewer than two seeds, lengths that differ, or an error that is negative.

    Example:
      >>> from lcn_tf.metrics import paired_t_test
      >>> test = paired_t_test([0.712, 0.715, 0.711], [0.708, 0.710, 0.709])  # AUCs of two models with three seeds
      >>> round(test.mean, 4), round(test.p_value, 3)
      (0.0037, 0.053)
    """
    a, b = np.asarray(values_a, np.float64), np.asarray(values_b, np.float64)
    if a.ndim != 1 or a.shape != b.shape or len(a) < 2:
        raise ValueError(f"values_a and values_b must hold the same two or more seeds, got shapes {a.shape}, {b.shape}")
    if common_error < 0:
        raise ValueError(f"common_error must not be negative, got {common_error}")
    differences = a - b
    mean, std = float(differences.mean()), float(differences.std(ddof=1))
    t = _ratio(mean, math.hypot(std / math.sqrt(len(a)), common_error))
    return TTest(mean, std, t, float(2 * stats.t.sf(abs(t), len(a) - 1)))


def holm(p_values: ArrayLike) -> Array:
    """Holm's correction for comparing one model with many.

    SciPy has none, and for three lines statsmodels (with patsy) would be a large dependency.

    Args:
      p_values: `[M]` within [0, 1].

    Returns:
      `[M]` adjusted p-values in the same order; below alpha = rejected at family-wise level alpha.

    Raises:
      ValueError: not one-dimensional or outside [0, 1].
    """
    values = np.asarray(p_values, np.float64)
    if values.ndim != 1 or not np.all((values >= 0) & (values <= 1)):
        raise ValueError(f"p_values must be one-dimensional and within [0, 1], got {values.tolist()}")
    order = np.argsort(values, kind="stable")
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1)))
    return adjusted
