"""How many of the items a final stage would keep reach it: consistency of retrieval and attention.

LCN's Figure 5(b); the same definition as the Oracle comparison of TWIN (KDD 2023). Rows with no more than k valid items
are trivially consistent: they are left out and counted.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import ArrayLike

from lcn_tf.metrics.rows import Array


@dataclasses.dataclass(frozen=True)
class Consistency:
    """Mean overlap of two choices of k items.

    Attributes:
      value: mean of |real and test| / k over the rows used; NaN when there is none, as the next two.
      random_baseline: mean of k / n_valid over the same rows, what a random choice reaches.
      chance_corrected: (value - random_baseline) / (1 - random_baseline).
      rows: rows used, those with more than k valid items.
      excluded_rows: rows left out.
    """

    value: float
    random_baseline: float
    chance_corrected: float
    rows: int
    excluded_rows: int


def top_k_indices(scores: ArrayLike, mask: ArrayLike, top_k: int) -> Array:
    """Positions of the best valid items; ties go to the lower position, as in `tf.math.top_k`.

    Args:
      scores: `[N, L]`.
      mask: `[N, L]` bool, True = valid; masked items come after all valid ones whatever their scores.
      top_k: items to keep, at most L.

    Returns:
      `[N, top_k]` int64, best first.

    Raises:
      ValueError: shapes that differ, NaN among valid scores, or `top_k` outside 1 .. L.
    """
    scores, mask = np.asarray(scores, np.float64), np.asarray(mask, bool)
    if scores.ndim != 2 or scores.shape != mask.shape:
        raise ValueError(f"scores and mask must have one shape [N, L], got {scores.shape} and {mask.shape}")
    if not 1 <= top_k <= scores.shape[1]:
        raise ValueError(f"top_k must be between 1 and {scores.shape[1]}, got {top_k}")
    if np.any(np.isnan(scores[mask])):
        raise ValueError(f"scores must not be NaN, got {int(np.isnan(scores[mask]).sum())} NaN among valid items")
    return np.lexsort((-scores, ~mask), axis=1)[:, :top_k]  # stable: the lower position first


def index_overlap(real: ArrayLike, test: ArrayLike) -> Array:
    """Share of `real` that is in `test`, row by row.

    Args:
      real: `[N, k]` different positions.
      test: `[N, M]` different positions; negative ones mean that nothing was delivered.

    Returns:
      `[N]` float64, |real and test| / k.

    Raises:
      ValueError: not `[N, k]` and `[N, M]`, a negative position in `real`, or one position twice in a row.
    """
    real, test = np.asarray(real, np.int64), np.asarray(test, np.int64)
    if real.ndim != 2 or test.ndim != 2 or len(real) != len(test) or not real.shape[1]:
        raise ValueError(f"real and test must have shapes [N, k] and [N, M], got {real.shape} and {test.shape}")
    if np.any(real < 0):
        raise ValueError(f"real must not be negative, got {real.min()}")
    for name, positions in (("real", real), ("test", test)):
        ordered = np.sort(positions, axis=1)
        if np.any((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)):
            raise ValueError(f"{name} must hold different positions in every row, got one twice")
    merged = np.sort(np.concatenate([real, test], axis=1), axis=1)
    shared = (merged[:, 1:] == merged[:, :-1]) & (merged[:, 1:] >= 0)
    return shared.sum(axis=1) / real.shape[1]


def row_overlaps(real: ArrayLike, test: ArrayLike, valid_counts: ArrayLike) -> Array:
    """`index_overlap` of the rows that have a choice, those with more than k valid items.

    Args:
      real: `[N, k]` what the final stage picks from the whole history.
      test: `[N, k]` what the earlier stages deliver; negative = nothing.
      valid_counts: `[N]` valid items of each history.

    Returns:
      `[N]` float64; NaN for the other rows, which are not looked at.

    Raises:
      ValueError: shapes that differ, or as `index_overlap`.
    """
    real, test, valid = np.asarray(real), np.asarray(test), np.asarray(valid_counts)
    if real.ndim != 2 or real.shape != test.shape or valid.shape != real.shape[:1]:
        raise ValueError("real, test and valid_counts must have shapes [N, k], [N, k] and [N], got "
                         f"{real.shape}, {test.shape} and {valid.shape}")
    used = valid > real.shape[1]
    overlaps = np.full(len(valid), np.nan)
    overlaps[used] = index_overlap(real[used], test[used])
    return overlaps


def consistency_of_overlaps(overlaps: ArrayLike, valid_counts: ArrayLike, top_k: int) -> Consistency:
    """Consistency of rows whose overlap is known, as of several batches of `row_overlaps`.

    Args:
      overlaps: `[N]` shares of `top_k` items, read where there are more valid ones.
      valid_counts: `[N]` valid items of each history.
      top_k: items that both choices keep.

    Returns:
      The mean over rows with more than k valid items, with its random baseline.

    Raises:
      ValueError: shapes that differ.
    """
    overlaps, valid = np.asarray(overlaps, np.float64), np.asarray(valid_counts)
    if overlaps.ndim != 1 or overlaps.shape != valid.shape:
        raise ValueError(f"overlaps and valid_counts must have one shape [N], got {overlaps.shape} and {valid.shape}")
    used = valid > top_k
    rows = int(used.sum())
    if not rows:
        return Consistency(float("nan"), float("nan"), float("nan"), 0, len(valid))
    value = float(np.mean(overlaps[used]))
    baseline = float(np.mean(top_k / valid[used]))
    return Consistency(value, baseline, (value - baseline) / (1 - baseline), rows, len(valid) - rows)


def consistency_of_indices(real: ArrayLike, test: ArrayLike, valid_counts: ArrayLike) -> Consistency:
    """Consistency of two choices of positions; arguments and errors as of `row_overlaps`.

    Returns:
      The mean over rows with more than k valid items, with its random baseline. Rows left out are not looked at.
    """
    real = np.asarray(real)
    return consistency_of_overlaps(row_overlaps(real, test, valid_counts), valid_counts, real.shape[1])


def consistency_of_scores(real_scores: ArrayLike, test_scores: ArrayLike, mask: ArrayLike, top_k: int) -> Consistency:
    """Consistency of the top k by two scores of the same items.

    Args:
      real_scores: `[N, L]` scores of the final stage on the whole history.
      test_scores: `[N, L]` scores of the earlier stage.
      mask: `[N, L]` bool, True = valid.
      top_k: items that each keeps.

    Returns:
      The mean over rows with more than k valid items, with its random baseline.

    Raises:
      ValueError: as `top_k_indices`.

    Example:
      >>> from lcn_tf.metrics import consistency_of_scores
      >>> final, search, mask = [[4, 3, 2, 1]], [[4, 1, 3, 2]], [[True] * 4]
      >>> consistency_of_scores(final, search, mask, top_k=2).value  # of events 0 and 1, the search keeps 0
      0.5
    """
    real, test = (top_k_indices(scores, mask, top_k) for scores in (real_scores, test_scores))
    return consistency_of_indices(real, test, np.asarray(mask, bool).sum(axis=1))
