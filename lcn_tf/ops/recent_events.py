"""The most recent events that a candidate may see.

Shapes: B requests, C candidates, V views of a history (1 where all candidates of each request see the same events, C
otherwise), L events, K kept events, D item width.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from lcn_tf.contracts import History
from lcn_tf.ops.event_forms import Vectors, as_tensor
from lcn_tf.ops.masking import masked_top_k


class RecentEvents(NamedTuple):
    """Events that candidates may see.

    Attributes:
      items: `[B, V, K, D]`, most recent first; `[B, L, D]` if all events are kept.
      mask: bool `[B, V, K]` or `[B, V, L]`.
      context: of the same events, in any form; None if none is asked for or the schema has none.
      indices: int32 `[B, V, K]`, positions in the history, arbitrary ones at masked events; None if all are kept.
    """

    items: tf.Tensor
    mask: tf.Tensor
    context: Vectors | None
    indices: tf.Tensor | None


def recency(mask: tf.Tensor) -> tf.Tensor:
    """Minus the position, float32 `[1, 1, L]`, for a mask `[B, C, L]`: histories are most recent first."""
    return -tf.range(tf.cast(tf.shape(mask)[-1], tf.float32))[tf.newaxis, tf.newaxis]


def recent_events(history: History, top_k: int | None, context: bool) -> RecentEvents:
    """The `top_k` most recent visible events of each candidate.

    Args:
      history: the embedded history.
      top_k: K; None keeps every event.
      context: whether to return context, too.

    Raises:
      ValueError: `top_k` below 1.
    """
    mask = history.views
    if top_k is None:
        return RecentEvents(history.items, mask, history.context if context else None, None)
    indices, kept = masked_top_k(tf.broadcast_to(recency(mask), tf.shape(mask)), mask, top_k)
    items = as_tensor(history.select(indices, context=False))
    return RecentEvents(items, kept, history.context_at(indices) if context else None, indices)
