"""Item pairs for CRP: positions within a row and pairs of rows of different users, drawn statelessly.

Shapes: B rows (request groups), S events of a short history, M negative pairs.
"""

from __future__ import annotations

import tensorflow as tf

_MAX_DRAW = tf.int32.max


def fold_seed(seed: tf.Tensor, index: int) -> tf.Tensor:
    """An independent seed `[2]` for the `index`-th draw of a computation seeded with `seed`."""
    return tf.random.experimental.stateless_fold_in(tf.convert_to_tensor(seed), index)


def valid_positions(mask: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Positions of the unmasked events, first in the order of the history.

    Args:
      mask: bool `[B, S]`.

    Returns:
      order: int32 `[B, S]`, a permutation of each row's positions with the unmasked ones in front.
      counts: int32 `[B]`, how many are unmasked.
    """
    order = tf.argsort(tf.cast(~mask, tf.int32), axis=-1, stable=True)
    return order, tf.reduce_sum(tf.cast(mask, tf.int32), axis=-1)


def draw_positions(mask: tf.Tensor, rows: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """One uniform unmasked position of each given row.

    Args:
      mask: bool `[B, S]`.
      rows: int32 `[M]`, indices into B; a row may be repeated.
      seed: int32 or int64 `[2]`.

    Returns:
      int32 `[M]`; 0 or a masked position for a row without an unmasked one.
    """
    order, counts = valid_positions(mask)
    draws = tf.random.stateless_uniform(tf.shape(rows), seed, 0, _MAX_DRAW, tf.int32)
    ranks = draws % tf.maximum(tf.gather(counts, rows), 1)
    return tf.gather_nd(order, tf.stack([rows, ranks], axis=-1))


def sample_positions(mask: tf.Tensor, seed: tf.Tensor, num: int) -> tuple[tf.Tensor, tf.Tensor]:
    """`num` distinct unmasked positions of every row, uniform over ordered tuples.

    The law is that of a Gumbel top-`num` under the mask; here the ranks among the unmasked positions are drawn, so that
    the draw does not depend on S (padding changes nothing) and needs B instead of B S random numbers.

    Args:
      mask: bool `[B, S]`.
      seed: int32 or int64 `[2]`.
      num: 1 or 2.

    Returns:
      positions: int32 `[B, num]`; meaningless where not valid.
      valid: bool `[B]`, True where at least `num` positions are unmasked.

    Raises:
      ValueError: `num` is neither 1 nor 2.
    """
    if num not in (1, 2):
        raise ValueError(f"num must be 1 or 2, got {num}")
    order, counts = valid_positions(mask)
    draws = tf.random.stateless_uniform([tf.shape(mask)[0], 2], seed, 0, _MAX_DRAW, tf.int32)
    first = draws[:, 0] % tf.maximum(counts, 1)  # [B]
    ranks = [first]
    if num == 2:
        second = draws[:, 1] % tf.maximum(counts - 1, 1)
        ranks.append(tf.minimum(second + tf.cast(second >= first, tf.int32), tf.shape(mask)[1] - 1))
    return tf.gather(order, tf.stack(ranks, axis=-1), batch_dims=1), counts >= num


def sample_negative_pairs(row_weights: tf.Tensor, valid_a: tf.Tensor, valid_b: tf.Tensor, group_key: tf.Tensor,
                          num_negatives: int, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Pairs of rows of different groups (users), drawn over candidate slots.

    A row with w candidates has w consecutive slots, N in all. Slot i is uniform over the slots of rows valid for a; its
    partner is slot `(i + r) mod N` with r uniform in 1 ... N - 1. A batch of request groups and the batch of its single
    candidates in the same order therefore draw, with one seed, the very same pairs.

    Args:
      row_weights: int `[B]`, candidates of each row; 0 leaves the row out.
      valid_a, valid_b: bool `[B]`, whether the row has an item for the first, the second place of a pair.
      group_key: `[B]`; a pair needs two different keys.
      num_negatives: M.
      seed: int32 or int64 `[2]`.

    Returns:
      row_a, row_b: int32 `[M]`, always within B.
      valid: bool `[M]`, False where the keys are equal, row b has no item, or nothing could be drawn.
    """
    weights = tf.cast(row_weights, tf.int32)
    ends = tf.cumsum(weights)  # [B]
    weights_a = tf.where(valid_a, weights, 0)
    ends_a = tf.cumsum(weights_a)
    slots, slots_a = ends[-1], ends_a[-1]
    draws = tf.random.stateless_uniform([2, num_negatives], seed, 0, _MAX_DRAW, tf.int32)
    slot_a = draws[0] % tf.maximum(slots_a, 1)  # among the slots of rows valid for a
    row_a = _row_of_slot(ends_a, slot_a)
    slot = tf.gather(ends - weights, row_a) + slot_a - tf.gather(ends_a - weights_a, row_a)
    partner = (slot + 1 + draws[1] % tf.maximum(slots - 1, 1)) % tf.maximum(slots, 1)
    row_b = _row_of_slot(ends, partner)
    different = tf.not_equal(tf.gather(group_key, row_a), tf.gather(group_key, row_b))
    return row_a, row_b, different & tf.gather(valid_b, row_b) & (slots_a > 0)


def unique_group_weights(row_weights: tf.Tensor, group_key: tf.Tensor) -> tf.Tensor:
    """Weight 1 for the first row of each group that has a positive weight, 0 for every other row; int32 `[B]`."""
    rows = tf.shape(group_key)[0]
    position = tf.where(row_weights > 0, tf.range(rows), rows)  # [B]
    _, groups = tf.unique(group_key)
    first = tf.math.unsorted_segment_min(position, groups, rows)  # [B], by group
    return tf.cast((tf.gather(first, groups) == tf.range(rows)) & (row_weights > 0), tf.int32)


def _row_of_slot(ends: tf.Tensor, slots: tf.Tensor) -> tf.Tensor:
    """Row whose slots hold the given slot; `ends` is the cumulative sum of the rows' slots."""
    rows = tf.searchsorted(ends, slots, side="right")
    return tf.minimum(rows, tf.shape(ends)[0] - 1)
