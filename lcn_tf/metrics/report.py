"""The metrics of one model on one split, as one flat dictionary."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit

from lcn_tf.metrics.auc import exact_auc
from lcn_tf.metrics.calibration import calibration_ratio, logloss_from_logits, normalized_entropy
from lcn_tf.metrics.gauc import group_auc
from lcn_tf.metrics.rows import check_labels, check_scores


def evaluate(labels: ArrayLike, logits: ArrayLike, user_keys: ArrayLike,
             gauc_weights: str = "impressions") -> dict[str, float]:
    """AUC, GAUC, log loss and calibration on the rows of one split.

    What is undefined on these rows is NaN, so that a report never hides the other figures: `auc`, `gauc` and
    `normalized_entropy` with labels of a single class, `calibration_ratio` without a click (`exact_auc` raises).

    Args:
      labels: `[N]` 0/1; N > 0.
      logits: `[N]`, finite.
      user_keys: `[N]` integers or texts.
      gauc_weights: `impressions`, `clicks` or `unweighted`.

    Returns:
      `auc`, `gauc`, `gauc_user_coverage`, `gauc_impression_coverage`, `logloss` (nats), `normalized_entropy`,
      `calibration_ratio`, `impressions`, `click_rate`.

    Raises:
      ValueError: shapes that differ, no rows, labels other than 0/1, logits that are not finite, unknown weights.

    Example:
      >>> from lcn_tf.metrics import evaluate
      >>> metrics = evaluate(labels=[0, 1, 0, 1], logits=[-2.0, 1.0, -1.0, -0.5], user_keys=["u", "u", "v", "v"])
      >>> metrics["auc"], metrics["gauc"], round(metrics["logloss"], 3), round(metrics["calibration_ratio"], 3)
      (1.0, 1.0, 0.432, 0.748)
    """
    labels = check_labels(labels)
    logits = check_scores("logits", logits, len(labels))
    grouped = group_auc(labels, logits, user_keys, gauc_weights)
    return {
        "auc": exact_auc(labels, logits) if labels.min() != labels.max() else float("nan"),
        "gauc": grouped.value,
        "gauc_user_coverage": grouped.user_coverage,
        "gauc_impression_coverage": grouped.impression_coverage,
        "logloss": logloss_from_logits(labels, logits),
        "normalized_entropy": normalized_entropy(labels, logits),
        "calibration_ratio": calibration_ratio(labels, expit(logits)),
        "impressions": float(len(labels)),
        "click_rate": float(np.mean(labels)),
    }
