"""Two attentions to the same events in the passes of one.

Reading the events of a long history is what a training step costs: each product with them, forward or backward, is one
pass through memory, however few queries it has. A linear attention to all events and a second one to those that it
ranks best therefore share them: one pass for both products, one for both sums, two for the gradients of weights and
queries, and the gradient of the events is one matrix product.

Shapes: B requests, C candidates, L events, D width of an event.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import tensorflow as tf

from lcn_tf.ops.event_forms import Gathered
from lcn_tf.ops.row_gradients import sum_rows

SCOPE = "joint_attention"  # of the operations, backward ones too


class Weighed(NamedTuple):
    """Weights of events, and how gradients go back through them.

    Attributes:
      weights: float32 `[B, C, L]`.
      kept: bool `[B, C, L]`, the events that may have a weight.
      gradient: from the gradient of the weights to that of the products, both `[B, C, L]`.
    """

    weights: tf.Tensor
    kept: tf.Tensor
    gradient: Callable[[tf.Tensor], tf.Tensor]


class Attended(NamedTuple):
    """What one of the attentions returns.

    Attributes:
      weights: float32 `[B, C, L]`.
      pooled: sums of the events, float32 `[B, C, D]`.
    """

    weights: tf.Tensor
    pooled: tf.Tensor


class JointAttention(NamedTuple):
    """What both return.

    Attributes:
      first, second: each one's weights and sums.
      logits: products of the second attention, plus what was added, `[B, C, L]`, for ranking: no gradient passes.
      kept: bool `[B, C, L]`, of `Weighed`.
    """

    first: Attended
    second: Attended
    logits: tf.Tensor
    kept: tf.Tensor


def joint_attention(queries: tf.Tensor, second: tf.Tensor, events: Sequence[Gathered], added: tf.Tensor | None,
                    second_added: tf.Tensor | None, factors: tf.Tensor, weigh: Callable[[tf.Tensor, tf.Tensor], Weighed]
                    ) -> JointAttention:
    """A linear attention, whose weights are `factors` times its products, and a second one.

    Args:
      queries, second: of the attentions, float32 `[B, C, D]`.
      events: at least one part of their vectors, `[B, L, D_i]`.
      added, second_added: float32 `[B, C, L]`, products with other parts of the events; None where there are none.
      factors: float32 `[B, C, L]` or `[B, 1, L]`, no gradient; 0 where an event is masked.
      weigh: from the products of both to the weights of the second, whose gradient is that of its own products alone.
    """
    vectors = [tf.cast(part.vectors, tf.float32) for part in events]  # [B, L, D_i]
    widths = [part.shape[-1] for part in vectors]
    candidates = tf.shape(queries)[1]
    others = [place for place, one in enumerate((added, second_added)) if one is not None]

    def products(rows: tf.Tensor) -> tf.Tensor:
        """`[B, N, D]` -> `[B, N, L]`."""
        parts = zip(tf.split(rows, widths, -1), vectors, strict=True)
        return tf.add_n([tf.matmul(part, own, transpose_b=True) for part, own in parts])

    def sums(weights: tf.Tensor) -> tf.Tensor:
        """`[B, N, L]` -> `[B, N, D]`."""
        return tf.concat([tf.matmul(weights, own) for own in vectors], -1)

    def halves(values: tf.Tensor) -> list[tf.Tensor]:
        return [values[:, :candidates], values[:, candidates:]]

    @tf.custom_gradient
    def attend(queries: tf.Tensor, second: tf.Tensor, *added_and_rows: tf.Tensor):
        both = tf.concat([queries, second], 1)  # [B, 2 C, D]
        found = halves(products(both))
        for place, one in zip(others, added_and_rows, strict=False):
            found[place] += one
        weighed = weigh(*found)
        weights = tf.concat([factors * found[0], weighed.weights], 1)  # [B, 2 C, L]

        def gradient(d_weights: tf.Tensor, d_second_weights: tf.Tensor, d_pooled: tf.Tensor, d_second_pooled: tf.Tensor,
                     *_: tf.Tensor):
            with tf.name_scope(SCOPE):
                d_sums = tf.concat([d_pooled, d_second_pooled], 1)  # [B, 2 C, D]
                of_weights, of_second = halves(products(d_sums))
                d_found = [factors * (d_weights + of_weights), weighed.gradient(d_second_weights + of_second)]
                d_both = tf.concat(d_found, 1)  # [B, 2 C, L]
                d_events = tf.matmul(tf.concat([d_both, weights], 1), tf.concat([both, d_sums], 1), transpose_a=True)
                d_queries = halves(sums(d_both))
            d_rows = [tf.cast(sum_rows(part.places, own, tf.shape(part.rows)[0]), part.rows.dtype)
                      for part, own in zip(events, tf.split(d_events, widths, -1), strict=True)]
            return (*d_queries, *(d_found[place] for place in others), *d_rows)

        kept = tf.cast(weighed.kept, tf.float32)  # gradients of booleans are not defined everywhere
        return (*halves(weights), *halves(sums(weights)), found[1], kept), gradient

    rows = [part.rows for part in events]
    with tf.name_scope(SCOPE):
        weights, second_weights, pooled, second_pooled, logits, kept = attend(
            queries, second, *(one for one in (added, second_added) if one is not None), *rows)
    return JointAttention(Attended(weights, pooled), Attended(second_weights, second_pooled), tf.stop_gradient(logits),
                          kept > 0)
