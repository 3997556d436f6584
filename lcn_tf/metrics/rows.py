"""Checks of the columns that metrics take: one label, score or key per impression."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

Array = np.ndarray[Any, Any]


def check_labels(labels: ArrayLike) -> Array:
    """Labels as int64.

    Args:
      labels: `[N]` of 0/1 in any number type, or bool; N > 0.

    Returns:
      `[N]` int64.

    Raises:
      ValueError: not one-dimensional, empty, or a value other than 0 and 1.
    """
    array = np.asarray(labels)
    if array.ndim != 1 or not array.size:
        raise ValueError(f"labels must be one-dimensional and not empty, got shape {array.shape}")
    result = array.astype(np.int64)
    if not np.all((result == array) & (result >= 0) & (result <= 1)):
        unexpected = array[(array != 0) & (array != 1)]
        raise ValueError(f"labels must be 0 or 1, got {unexpected[:3].tolist()}")
    return result


def check_scores(name: str, scores: ArrayLike, rows: int) -> Array:
    """Scores as float64.

    Args:
      name: argument's name for messages.
      scores: `[rows]` numbers; infinities are allowed, NaN is not.
      rows: expected length.

    Returns:
      `[rows]` float64.

    Raises:
      ValueError: another shape, or a NaN.
    """
    array = np.asarray(scores, dtype=np.float64)
    if array.shape != (rows,):
        raise ValueError(f"{name} must have shape ({rows},) like labels, got {array.shape}")
    if np.any(np.isnan(array)):
        raise ValueError(f"{name} must not be NaN, got NaN in {int(np.isnan(array).sum())} of {rows} rows")
    return array


def check_keys(user_keys: ArrayLike, rows: int) -> tuple[Array, int]:
    """Users numbered from 0 in the order of their sorted keys.

    Args:
      user_keys: `[rows]` integers or texts.
      rows: expected length.

    Returns:
      `[rows]` int64 user numbers and how many users there are.

    Raises:
      ValueError: another shape.
    """
    array = np.asarray(user_keys)
    if array.shape != (rows,):
        raise ValueError(f"user_keys must have shape ({rows},) like labels, got {array.shape}")
    keys, users = np.unique(array, return_inverse=True)
    return users.reshape(-1), len(keys)
