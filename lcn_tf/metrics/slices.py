"""Metrics of impressions by the length of a history, those without any event (cold users) apart."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from lcn_tf.metrics.report import evaluate
from lcn_tf.metrics.rows import Array, check_labels, check_scores

_PARTS = 3


def slices_by_length(labels: ArrayLike, logits: ArrayLike, user_keys: ArrayLike, lengths: ArrayLike,
                     gauc_weights: str = "impressions") -> list[dict[str, str | float]]:
    """Metrics of length 0, and of three parts of about as many impressions with short, middling and long histories.

    Slices depend on the lengths alone, so that all models on the same split have the same ones. A length is in one
    slice as a whole: where many histories are equally long, parts are of unequal size, or fewer. A user may be in
    several slices; GAUC compares the impressions that a user has in the slice.

    Args:
      labels: `[N]` 0/1; N > 0.
      logits: `[N]`, finite.
      user_keys: `[N]` integers or texts.
      lengths: `[N]` events that each impression's candidate sees, integers from 0.
      gauc_weights: `impressions`, `clicks` or `unweighted`.

    Returns:
      One dictionary per slice that has impressions, short ones first: `slice` (its lengths, "0", "7" or "5-12"),
      `auc`, `gauc` (NaN with labels of a single class, and without a user of both), `impressions`, `users`,
      `click_rate`.

    Raises:
      ValueError: lengths that are not integers from 0, and what `evaluate` refuses.
    """
    labels = check_labels(labels)
    logits = check_scores("logits", logits, len(labels))
    user_keys, lengths = np.asarray(user_keys), np.asarray(lengths)
    if user_keys.shape != labels.shape or lengths.shape != labels.shape:
        raise ValueError(f"user_keys and lengths must have shape {labels.shape} like labels, got {user_keys.shape} and "
                         f"{lengths.shape}")
    if not np.issubdtype(lengths.dtype, np.integer) or lengths.min() < 0:
        raise ValueError(f"lengths must be integers from 0, got {lengths.dtype} from {lengths.min()}")
    values, places, counts = np.unique(lengths, return_inverse=True, return_counts=True)
    parts = _parts(values, counts)
    found: list[dict[str, str | float]] = []
    for part in np.unique(parts):
        own, rows = values[parts == part], parts[places] == part
        metrics = evaluate(labels[rows], logits[rows], user_keys[rows], gauc_weights)
        found.append({"slice": f"{own[0]}-{own[-1]}" if len(own) > 1 else str(own[0]),
                      "users": float(len(np.unique(user_keys[rows]))),
                      **{name: metrics[name] for name in ("auc", "gauc", "impressions", "click_rate")}})
    return found


def _parts(values: Array, counts: Array) -> Array:
    """Distinct lengths in ascending order and how many rows have each, `[V]` -> the slice of each, `[V]`.

    0 for length 0, else 1 to 3: the third in which the middle one of its rows is, among rows with events.
    """
    counts = np.where(values > 0, counts, 0)
    middle = np.cumsum(counts) - counts / 2
    return np.where(values > 0, 1 + _PARTS * middle // max(counts.sum(), 1), 0)
