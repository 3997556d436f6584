"""AUC of real-valued outcomes such as watching times (XAUC: Zhan et al., KDD 2022)."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from lcn_tf.metrics.rows import Array, check_keys, check_scores


def xauc(outcomes: ArrayLike, scores: ArrayLike, user_keys: ArrayLike | None = None) -> float:
    """Share of the pairs with different outcomes that the scores put in the order of the outcomes, ties counted half.

    Of outcomes 0 and 1 it is the AUC. It takes O(N log N) time; the order of the pairs is Kendall's.

    Args:
      outcomes: `[N]` numbers, e.g. seconds.
      scores: `[N]` predictions of them; only their order matters.
      user_keys: `[N]` integers or texts: pairs of one user alone count, so that a user weighs what his pairs do; None
        for all pairs.

    Returns:
      The share; NaN where no two outcomes differ.

    Raises:
      ValueError: no rows, shapes that differ, or a NaN.

    Example:
      >>> from lcn_tf.metrics import xauc
      >>> round(xauc(outcomes=[10.0, 0.0, 3.5], scores=[0.9, 0.1, 0.1]), 3)  # the last two are a tie
      0.833
      >>> xauc([10.0, 0.0, 3.5, 7.0], [0.9, 0.1, 0.1, 0.2], user_keys=["u", "u", "v", "v"])
      1.0
    """
    rows = np.asarray(outcomes).size
    if not rows:
        raise ValueError("outcomes must not be empty")
    outcomes, scores = check_scores("outcomes", outcomes, rows), check_scores("scores", scores, rows)
    users, _ = check_keys(np.zeros(rows, np.int64) if user_keys is None else user_keys, rows)
    # Users follow each other in both orders: pairs of two users then all agree.
    first, second = _ranks(users, outcomes), _ranks(users, scores)
    same_user = _pairs(users)
    ordered = same_user - _pairs(first)
    if not ordered:
        return float("nan")
    between = _pairs(np.zeros(rows, np.int64)) - same_user
    return 0.5 + (_agreeing_less_opposed(first, second) - between) / (2 * ordered)


def _ranks(users: Array, values: Array) -> Array:
    """Places of the rows among the different pairs (user, value), in order, `[N]`."""
    order = np.lexsort((values, users))
    new = (np.diff(users[order]) != 0) | (np.diff(values[order]) != 0)
    ranks = np.empty(len(users), np.int64)
    ranks[order] = np.concatenate([[0], np.cumsum(new)])
    return ranks


def _pairs(groups: Array) -> int:
    """Pairs of rows of one group."""
    return sum(size * (size - 1) // 2 for size in np.bincount(groups).tolist())


def _agreeing_less_opposed(first: Array, second: Array) -> int:
    """Pairs in the same order in both, less those in opposite orders; from Kendall's tau-b."""
    pairs = len(first) * (len(first) - 1) // 2
    untied = [pairs - _pairs(ranks) for ranks in (first, second)]
    if not all(untied):
        return 0
    # What else it computes, the p-value, is not for two rows, and slow where it is exact.
    tau = stats.kendalltau(first, second, method="asymptotic" if len(first) > 2 else "auto").statistic
    return round(tau * math.sqrt(untied[0]) * math.sqrt(untied[1]))
