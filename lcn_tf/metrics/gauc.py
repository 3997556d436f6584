"""AUC within users, averaged over users (DIN, Zhou et al., KDD 2018, section 5.3)."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from lcn_tf.metrics.rows import Array, check_keys, check_labels, check_scores

GAUC_WEIGHTS = ("impressions", "clicks", "unweighted")


@dataclasses.dataclass(frozen=True)
class UserAUC:
    """One row per user, in the order of the sorted keys.

    Attributes:
      users: `[N]` user number of each impression.
      auc: `[U]` float64, NaN where all impressions of the user have one label.
      impressions: `[U]` int64.
      clicks: `[U]` int64.
    """

    users: Array
    auc: Array
    impressions: Array
    clicks: Array


@dataclasses.dataclass(frozen=True)
class GroupAUC:
    """GAUC and what it rests on.

    Attributes:
      value: weighted mean of the AUCs of users with both classes; NaN when there is no such user.
      user_coverage: share of users with both classes.
      impression_coverage: share of impressions that belong to those users.
    """

    value: float
    user_coverage: float
    impression_coverage: float


def per_user_auc(labels: ArrayLike, scores: ArrayLike, user_keys: ArrayLike) -> UserAUC:
    """Exact AUC of every user, with average ranks for ties.

    Args:
      labels: `[N]` 0/1.
      scores: `[N]` logits or probabilities.
      user_keys: `[N]` integers or texts.

    Returns:
      AUC, impressions and clicks of the U users.

    Raises:
      ValueError: shapes that differ, labels other than 0/1, NaN scores.
    """
    labels = check_labels(labels)
    scores = check_scores("scores", scores, len(labels))
    users, num_users = check_keys(user_keys, len(labels))
    impressions = np.bincount(users, minlength=num_users)
    clicks = np.bincount(users[labels == 1], minlength=num_users)
    ranks = pd.Series(scores).groupby(users).rank().to_numpy()
    ordered = np.bincount(users, weights=ranks * labels, minlength=num_users) - clicks * (clicks + 1) / 2
    pairs = clicks * (impressions - clicks)
    result = np.divide(ordered, pairs, out=np.full(num_users, np.nan), where=pairs > 0)
    return UserAUC(users, result, impressions, clicks)


def user_weights(per_user: UserAUC, weights: str) -> Array:
    """Weight of every user in GAUC.

    Args:
      per_user: result of `per_user_auc`.
      weights: `impressions`, `clicks` or `unweighted`.

    Returns:
      `[U]` float64, 0 for users of a single class.

    Raises:
      ValueError: an unknown kind of weight.
    """
    if weights not in GAUC_WEIGHTS:
        raise ValueError(f"weights must be one of {list(GAUC_WEIGHTS)}, got {weights!r}")
    of_kind = {"impressions": per_user.impressions, "clicks": per_user.clicks,
               "unweighted": np.ones_like(per_user.impressions)}[weights]
    return np.where(np.isnan(per_user.auc), 0.0, of_kind)


def group_auc(labels: ArrayLike, scores: ArrayLike, user_keys: ArrayLike, weights: str = "impressions") -> GroupAUC:
    """GAUC = sum_u w_u AUC_u / sum_u w_u over users with both classes.

    Users of a single class are left out of numerator and denominator; the coverages say how much is left.

    Args:
      labels: `[N]` 0/1.
      scores: `[N]` logits or probabilities.
      user_keys: `[N]` integers or texts.
      weights: w_u: `impressions` of the user (as DIN, FuxiCTR and TWIN), `clicks`, or `unweighted`.

    Returns:
      The value and its coverage.

    Raises:
      ValueError: shapes that differ, labels other than 0/1, NaN scores, an unknown kind of weight.

    Example:
      >>> from lcn_tf.metrics import group_auc
      >>> labels, scores, users = [0, 1, 0, 1, 1], [0.1, 0.4, 0.6, 0.2, 0.7], ["u", "u", "v", "v", "w"]
      >>> group_auc(labels, scores, users)  # 1 for u, 0 for v; w has clicks alone
      GroupAUC(value=0.5, user_coverage=0.6666666666666666, impression_coverage=0.8)
    """
    per_user = per_user_auc(labels, scores, user_keys)
    weight = user_weights(per_user, weights)
    kept = ~np.isnan(per_user.auc)
    value = float(np.sum(weight[kept] * per_user.auc[kept]) / weight.sum()) if kept.any() else float("nan")
    return GroupAUC(value, float(kept.mean()), float(per_user.impressions[kept].sum() / per_user.impressions.sum()))
