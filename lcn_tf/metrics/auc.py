"""Area under the ROC curve, the Mann-Whitney statistic over n1 n0: exact from ranks, and from histograms.

With P_b and N_b the positives and negatives in bin b, AUC = sum_b P_b (N_{<b} + N_b / 2) / (n1 n0): a bin is one tie.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from lcn_tf.metrics.rows import check_labels, check_scores


def auc_from_histograms(positives: ArrayLike, negatives: ArrayLike) -> float:
    """AUC of scores that are known by histogram only; every bin counts as one tie.

    Args:
      positives: `[T]` number (or weight) of positives per bin, bins in increasing order of the score.
      negatives: `[T]` the same of negatives.

    Returns:
      The AUC; NaN when positives or negatives sum to zero.

    Raises:
      ValueError: the two differ in shape or are not one-dimensional.
    """
    positive, negative = (np.asarray(counts, np.float64) for counts in (positives, negatives))
    if positive.ndim != 1 or positive.shape != negative.shape:
        raise ValueError("positives and negatives must be one-dimensional and of one length, got shapes "
                         f"{positive.shape} and {negative.shape}")
    pairs = positive.sum() * negative.sum()
    if not pairs > 0:
        return float("nan")
    below = np.cumsum(negative) - negative
    return float(np.sum(positive * (below + negative / 2)) / pairs)


def exact_auc(labels: ArrayLike, scores: ArrayLike) -> float:
    """Exact AUC with average ranks for ties, by one sort in memory.

    Args:
      labels: `[N]` 0/1.
      scores: `[N]` logits or probabilities; only their order matters.

    Returns:
      The share of (positive, negative) pairs in the right order, ties counted half.

    Raises:
      ValueError: labels of a single class (no pair exists), NaN scores, or shapes that differ.

    Example:
      >>> from lcn_tf.metrics import exact_auc
      >>> exact_auc(labels=[0, 0, 1, 1], scores=[0.1, 0.4, 0.35, 0.8])
      0.75
    """
    labels = check_labels(labels)
    scores = check_scores("scores", scores, len(labels))
    if labels.min() == labels.max():
        raise ValueError(f"labels must hold both classes for an AUC, got only {labels[0]} in {len(labels)} rows")
    positives = labels.sum()
    ordered = stats.rankdata(scores)[labels == 1].sum() - positives * (positives + 1) / 2
    return float(ordered / (positives * (len(labels) - positives)))


def binned_auc(labels: ArrayLike, probabilities: ArrayLike, num_bins: int) -> float:
    """AUC after putting probabilities into uniform bins on [0, 1].

    Differs from `exact_auc` by at most half the share of pairs that fall into one bin. Click probabilities crowd near
    zero, so 200 bins are not enough (error 1e-3); `streaming.StreamingAUC` bins the logit instead.

    Args:
      labels: `[N]` 0/1.
      probabilities: `[N]` within [0, 1]; bin = min(floor(p * num_bins), num_bins - 1).
      num_bins: number of bins.

    Returns:
      The AUC; NaN when labels hold a single class.

    Raises:
      ValueError: a probability outside [0, 1], `num_bins` below 1, or bad labels.
    """
    labels = check_labels(labels)
    probabilities = check_scores("probabilities", probabilities, len(labels))
    if num_bins < 1:
        raise ValueError(f"num_bins must be at least 1, got {num_bins}")
    if probabilities.min() < 0 or probabilities.max() > 1:
        raise ValueError(f"probabilities must be within [0, 1], got {probabilities.min()} .. {probabilities.max()}")
    bins = np.minimum((probabilities * num_bins).astype(np.int64), num_bins - 1)
    positives = np.bincount(bins, weights=labels, minlength=num_bins)
    return auc_from_histograms(positives, np.bincount(bins, minlength=num_bins) - positives)
