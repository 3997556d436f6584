"""Logloss, normalised entropy and calibration of click probabilities."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import entr

from lcn_tf.metrics.rows import check_labels, check_scores

_SMALLEST = 1e-7


def logloss(labels: ArrayLike, probabilities: ArrayLike) -> float:
    """Mean cross-entropy in nats of probabilities clipped to [1e-7, 1 - 1e-7].

    Args:
      labels: `[N]` 0/1.
      probabilities: `[N]` within [0, 1].

    Returns:
      The mean over impressions.

    Raises:
      ValueError: a probability outside [0, 1], NaN, bad labels or shapes.
    """
    labels = check_labels(labels)
    probabilities = check_scores("probabilities", probabilities, len(labels))
    if probabilities.min() < 0 or probabilities.max() > 1:
        raise ValueError(f"probabilities must be within [0, 1], got {probabilities.min()} .. {probabilities.max()}")
    clipped = np.clip(probabilities, _SMALLEST, 1 - _SMALLEST)
    return float(-np.mean(np.where(labels == 1, np.log(clipped), np.log1p(-clipped))))


def logloss_from_logits(labels: ArrayLike, logits: ArrayLike) -> float:
    """Mean cross-entropy in nats, log(1 + exp(-z)) of a click and log(1 + exp(z)) of none, without clipping.

    Args:
      labels: `[N]` 0/1.
      logits: `[N]`, finite.

    Returns:
      The mean over impressions.

    Raises:
      ValueError: an infinite or NaN logit, bad labels or shapes.
    """
    labels = check_labels(labels)
    logits = check_scores("logits", logits, len(labels))
    if np.any(np.isinf(logits)):
        raise ValueError(f"logits must be finite, got {int(np.isinf(logits).sum())} infinite of {len(logits)}")
    return float(np.mean(np.logaddexp(0, np.where(labels == 1, -logits, logits))))


def binary_entropy(rate: float) -> float:
    """Entropy in nats of a click of probability `rate`; 0 at 0 and at 1.

    Raises:
      ValueError: a rate outside [0, 1].
    """
    if not 0 <= rate <= 1:
        raise ValueError(f"rate must be within [0, 1], got {rate}")
    return float(entr(rate) + entr(1 - rate))


def normalized_entropy(labels: ArrayLike, logits: ArrayLike) -> float:
    """Logloss divided by that of always predicting the click rate of these labels; below 1 is better than that.

    Args:
      labels: `[N]` 0/1.
      logits: `[N]`, finite.

    Returns:
      The ratio; NaN when labels hold a single class.

    Raises:
      ValueError: as `logloss_from_logits`.
    """
    value = logloss_from_logits(labels, logits)
    entropy = binary_entropy(float(np.mean(check_labels(labels))))
    return value / entropy if entropy > 0 else float("nan")


def calibration_ratio(labels: ArrayLike, probabilities: ArrayLike) -> float:
    """Mean probability divided by the click rate; above 1 is over-prediction.

    Args:
      labels: `[N]` 0/1.
      probabilities: `[N]`.

    Returns:
      The ratio; NaN without a click.

    Raises:
      ValueError: NaN, bad labels or shapes.
    """
    labels = check_labels(labels)
    probabilities = check_scores("probabilities", probabilities, len(labels))
    return float(np.sum(probabilities) / labels.sum()) if labels.any() else float("nan")
