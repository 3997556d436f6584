"""Which events of one history lie nearest in time to each event of another.

Shapes: B requests, C candidates, V views of a history (C, or 1 where all candidates see the same), L moments, M events,
R events on each side of a moment.
"""

from __future__ import annotations

import tensorflow as tf


def nearest_events(moments: tf.Tensor, timestamps: tf.Tensor, visible: tf.Tensor, count: int
                   ) -> tuple[tf.Tensor, tf.Tensor]:
    """The `count` visible events before each moment and the `count` after it, nearest in time.

    An event of the moment itself is before it. Of events of one second, those next to the moment in the history's order
    are nearer. What a candidate does not see plays no part in what is found for it.

    Args:
      moments: int64 seconds `[B, L]`, any order.
      timestamps: int64 seconds of the other history's events `[B, M]`, most recent first; anything before the first and
        behind the last that any candidate sees.
      visible: bool `[B, V, M]`, a run of neighbours for each candidate, as an offset and a length leave it.
      count: R, at least 1.

    Returns:
      indices: int32 `[B, V, L, 2 R]` in 0 ... M - 1, the most recent first.
      found: bool `[B, V, L, 2 R]`, False where there is no such event.
    """
    place = tf.range(tf.shape(timestamps)[1])  # [M]
    end = tf.reduce_max(tf.where(visible, place + 1, 0), -1)  # [B, V]
    first = tf.reduce_min(tf.where(visible, place, tf.shape(place)[0]), -1)
    # What nobody sees comes before all moments at the front, and after all of them at the end.
    hidden = place < tf.reduce_min(first, 1, keepdims=True)  # [B, M]
    beyond = place >= tf.reduce_max(end, 1, keepdims=True)
    ages = tf.where(hidden, tf.int64.min, tf.where(beyond, tf.int64.max, -timestamps))  # ascending
    # [B, 1, L], how many events are later than the moment: comparing all is what every runtime can do.
    later = tf.math.count_nonzero(ages[:, tf.newaxis] < -moments[..., tf.newaxis], -1, dtype=tf.int32)[:, tf.newaxis]
    first, end = tf.minimum(first, end)[:, :, tf.newaxis], end[:, :, tf.newaxis]  # [B, V, 1]
    border = tf.minimum(tf.maximum(later, first), end)[..., tf.newaxis]  # [B, V, L, 1]
    places = border + tf.range(-count, count)  # [B, V, L, 2 R]
    found = (places >= first[..., tf.newaxis]) & (places < end[..., tf.newaxis])
    return tf.where(found, places, 0), found
