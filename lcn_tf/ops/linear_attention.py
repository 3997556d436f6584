"""Attention without a softmax over events that several queries share.

Shapes: B requests, C candidates, L events, D width.
"""

from __future__ import annotations

import tensorflow as tf

from lcn_tf.ops.event_forms import Gathered
from lcn_tf.ops.row_gradients import sum_rows


def linear_attention(queries: tf.Tensor, events: tf.Tensor | Gathered, factors: tf.Tensor
                     ) -> tuple[tf.Tensor, tf.Tensor]:
    """`sum_l factors_l <q, e_l> e_l` and the products `<q, e_l>`.

    For each candidate the gradient of event l is `d_l q + w_l g`, with `w_l = factors_l <q, e_l>`, g the gradient of
    the sum and d_l that of the product. All of them are one matrix product, one contribution to each event.

    Args:
      queries: float32 `[B, C, D]`.
      events: float `[B, L, D]`, also gathered.
      factors: float32 `[B, C, L]` or `[B, 1, L]`, no gradient; 0 where an event is masked.

    Returns:
      pooled: float32 `[B, C, D]`.
      products: float32 `[B, C, L]`, masked events included.
    """
    gathered = events if isinstance(events, Gathered) else None
    vectors = tf.cast(events if gathered is None else gathered.vectors, tf.float32)

    @tf.custom_gradient
    def attend(queries: tf.Tensor, source: tf.Tensor):
        products = tf.matmul(queries, vectors, transpose_b=True)  # [B, C, L]
        weights = products * factors

        def gradient(d_pooled: tf.Tensor, d_products: tf.Tensor):
            d_products += factors * tf.matmul(d_pooled, vectors, transpose_b=True)
            d_events = tf.matmul(tf.concat([d_products, weights], 1), tf.concat([queries, d_pooled], 1),
                                 transpose_a=True)  # [B, L, D]
            if gathered is not None:
                d_events = sum_rows(gathered.places, d_events, tf.shape(source)[0])
            return tf.matmul(d_products, vectors), tf.cast(d_events, source.dtype)

        return (tf.matmul(weights, vectors), products), gradient

    return attend(queries, vectors if gathered is None else gathered.rows)
