"""The distinct ids of a batch, and where each of its ids stands among them.

Shape letters: N ids, R table rows, U distinct ids.
"""

from __future__ import annotations

import tensorflow as tf

_ROWS_PER_ID = 16  # up to here counting over the rows of the table is faster than hashing ids


def unique_ids(ids: tf.Tensor, rows: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Distinct ids and the place of each given one among them.

    Ids are marked in a list as long as the table, which is an order of magnitude faster than `tf.unique`; where that is
    much longer than the list of ids it is `tf.unique` after all, so that the cost stays that of the ids.

    Args:
      ids: int64 `[N]`, below `rows`.
      rows: R.

    Returns:
      unique: int64 `[U]`, in no particular order.
      places: int32 `[N]`, `unique[places] == ids`.

    Raises:
      tf.errors.InvalidArgumentError: on the CPU, an id outside the table; or its lookup raises it.
    """
    def by_marks() -> tuple[tf.Tensor, tf.Tensor]:
        present = tf.raw_ops.DenseBincount(
            input=ids, size=tf.constant(rows, ids.dtype), weights=tf.zeros([0], tf.int32), binary_output=True)  # [R]
        unique = tf.where(present)  # [U, 1]
        places = tf.scatter_nd(unique, tf.range(tf.shape(unique)[0]), [rows])
        return unique[:, 0], tf.gather(places, ids)

    def by_hashes() -> tuple[tf.Tensor, tf.Tensor]:
        unique, places = tf.unique(ids)
        return unique, places

    if rows <= _ROWS_PER_ID:
        return by_marks()
    return tf.cond(rows <= _ROWS_PER_ID * tf.size(ids, tf.int64), by_marks, by_hashes)
