"""Which events of a sequence a model has to guess: the Cloze task of BERT4Rec.

Shapes: N rows, T events, F ids of a row.
"""

from __future__ import annotations

import tensorflow as tf

from lcn_tf.ops.event_hash import uniform_of_ids

_LAST_ONLY, _CHOICE = 0, 1  # what a draw is for


def cloze_positions(mask: tf.Tensor, row_ids: tf.Tensor, seed: tf.Tensor, share: float = 0.2,
                    last_only: float = 1 / 11, max_count: int | None = None) -> tf.Tensor:
    """Events to hide and to predict, at least one of each sequence that has any.

    Of n events, `max(1, floor(share n + 1 / 2))` are chosen, uniform without replacement, as in the authors' code of
    BERT4Rec (Sun et al., CIKM 2019; it is Python 2, which rounds halves up). That code has ten such copies of a
    sequence beside one whose most recent event alone is hidden, as at inference; here a share of the rows is such a
    copy, by lot.

    The choice is a function of `seed` and a row's ids: it depends neither on the row's place in the batch nor on other
    rows nor on padding.

    Args:
      mask: bool `[N, T]`, True = real, most recent first.
      row_ids: int64 `[N, F]`, what identifies a row.
      seed: int32 or int64 `[2]`.
      share: of the events, in (0, 1].
      last_only: probability that only a row's most recent event is hidden, in [0, 1].
      max_count: at most so many events of a row; None for no bound.

    Returns:
      Bool `[N, T]`, within the mask.

    Raises:
      ValueError: an option outside its range.

    Example:
      >>> from lcn_tf.layers import cloze_positions
      >>> real, users = tf.sequence_mask([10, 1, 0], 12), tf.constant([[700], [800], [900]], tf.int64)
      >>> hidden = cloze_positions(real, users, seed=tf.constant([0, 1]), share=0.3, last_only=0.0)
      >>> tf.reduce_sum(tf.cast(hidden, tf.int32), axis=1).numpy().tolist()
      [3, 1, 0]
    """
    if not 0.0 < share <= 1.0:
        raise ValueError(f"share must be in (0, 1], got {share}")
    if not 0.0 <= last_only <= 1.0:
        raise ValueError(f"last_only must be in [0, 1], got {last_only}")
    if max_count is not None and max_count < 1:
        raise ValueError(f"max_count must be at least 1 or None, got {max_count}")
    mask = tf.cast(mask, tf.bool)
    size = tf.reduce_sum(tf.cast(mask, tf.int32), axis=1)  # [N]
    count = tf.cast(tf.maximum(tf.floor(tf.cast(size, tf.float64) * share + 0.5), 1.0), tf.int32)
    if max_count is not None:
        count = tf.minimum(count, max_count)
    ids = tf.concat([tf.tile(tf.cast(seed, tf.int64)[tf.newaxis], [tf.shape(mask)[0], 1]),
                     tf.cast(row_ids, tf.int64)], axis=1)  # [N, 2 + F]
    of_last = uniform_of_ids(ids, _LAST_ONLY) < last_only  # [N]
    newest = mask & tf.equal(tf.cumsum(tf.cast(mask, tf.int32), axis=1), 1)
    return tf.where(of_last[:, tf.newaxis], newest, _choose(mask, ids, count))


def _choose(mask: tf.Tensor, ids: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """`count [N]` of the unmasked positions `[N, T]`, at most all: those of the smallest draws."""
    shape = tf.shape(mask)
    positions = tf.broadcast_to(tf.range(tf.cast(shape[1], tf.int64)), shape)
    per_event = tf.tile(ids[:, tf.newaxis], [1, shape[1], 1])  # [N, T, 2 + F]
    draws = uniform_of_ids(tf.concat([per_event, positions[..., tf.newaxis]], axis=-1), _CHOICE)
    order = tf.argsort(tf.where(mask, draws, 2.0), axis=1, stable=True)
    rank = tf.argsort(order, axis=1)  # the inverse of a permutation
    return mask & (rank < count[:, tf.newaxis])
