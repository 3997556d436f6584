"""An event of some candidate for each event of the batch, drawn by what identifies it rather than by its place.

Shapes: P candidates of the batch with their padding, F ids that identify an event.
"""

from __future__ import annotations

import tensorflow as tf

from lcn_tf.ops.event_hash import uniform_of_ids
from lcn_tf.ops.pair_sampling import EventWindows


def draw_negative_events(ids: tf.Tensor, windows: EventWindows, counted: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """A candidate, uniform among those that see an event, and one of its events, uniform too.

    The draw depends on the ids and on the numbers of the counted candidates, hence neither on the layout of the batch
    nor on how it is divided among replicas or parts.

    Args:
      ids: int64 `[..., F]`, of the events to draw for, seeds among them.
      windows: what each of the P candidates sees.
      counted: bool `[P]`, the candidates to draw from.

    Returns:
      places: int32 `[...]`, in the flattened history of `windows`.
      valid: bool scalar, False where no counted candidate sees an event; places are meaningless then.
    """
    seeing = tf.cast(tf.where(counted & (windows.count > 0))[:, 0], tf.int32)  # [N]
    candidates = tf.gather(tf.concat([seeing, [0]], 0), _below(tf.size(seeing), ids, 0))
    numbers = tf.gather(windows.first, candidates) + _below(tf.gather(windows.count, candidates), ids, 1)
    return tf.gather(windows.places, tf.minimum(numbers, tf.size(windows.places) - 1)), tf.size(seeing) > 0


def _below(count: tf.Tensor, ids: tf.Tensor, seed: int) -> tf.Tensor:
    """Uniform int32 in 0 ... count - 1, by ids; 0 where the count is 0."""
    drawn = tf.cast(uniform_of_ids(ids, seed) * tf.cast(count, tf.float32), tf.int32)
    return tf.maximum(tf.minimum(drawn, count - 1), 0)
