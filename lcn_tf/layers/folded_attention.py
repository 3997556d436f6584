"""Key and value projections of a one-query attention, applied on the query's side.

A candidate is one query, so `<W_Q e_v, W_K x_k> = <W_K^T W_Q e_v, x_k>` and `sum_k a_k W_V x_k = W_V sum_k a_k x_k`:
projecting the query back and the pooled event forward costs O(D_a E) per candidate instead of O(K D_a E), and nothing
of size `[B, L, D_a]` is ever built.

Shapes: B requests, C candidates, K events, H heads, E event width (item and context), D_a attention width,
D_h = D_a / H.
"""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf

from lcn_tf.ops.event_forms import (
    Beside,
    Compact,
    Vectors,
    gather,
    leading_sizes,
    products,
    project,
    weighted_sums,
    width_of,
)


@tf.keras.utils.register_keras_serializable("lcn_tf")
class FoldedProjections(tf.keras.layers.Layer):
    """Bias-free `W_K` and `W_V` of a scaled dot-product attention with one query per candidate.

    `events` comes first among the call arguments so that `build` sees the event width under Keras 2 and 3 alike.

    Args:
      attention_dim: D_a, all heads together.
      num_heads: H; head h uses columns `h D_h ... (h + 1) D_h - 1` of each kernel.

    Call arguments:
      events: `[B, C, K, E]`, `[B, 1, K, E]`, or `[B, L, E]` shared by the candidates of a request, in any form of
        `lcn_tf.ops.event_forms`.
      queries: projected candidates `[B, C, D_a]`.

    Returns:
      Attention logits, float32 `[B, C, H, K]`, divided by `sqrt(D_h)`.

    Raises:
      ValueError: `attention_dim` is not a positive multiple of `num_heads`.

    Example:
      >>> from lcn_tf.layers import FoldedProjections, masked_softmax
      >>> events, queries = tf.ones([2, 300, 24]), tf.ones([2, 5, 64])
      >>> projections = FoldedProjections(attention_dim=64, num_heads=4)
      >>> logits = projections(events, queries=queries)
      >>> weights = masked_softmax(logits, mask=tf.ones([2, 1, 1, 300], tf.bool))
      >>> logits.shape, projections.pool(weights, events).shape
      (TensorShape([2, 5, 4, 300]), TensorShape([2, 5, 64]))
    """

    def __init__(self, attention_dim: int, num_heads: int = 1, **kwargs: Any):
        super().__init__(**{"autocast": False, **kwargs})  # products and sums are in float32
        if num_heads < 1 or attention_dim < 1 or attention_dim % num_heads:
            raise ValueError("attention_dim must be a positive multiple of num_heads, got "
                             f"attention_dim={attention_dim} and num_heads={num_heads}")
        self.attention_dim = attention_dim
        self.num_heads = num_heads
        self.head_dim = attention_dim // num_heads

    def build(self, input_shape: Any) -> None:
        """Creates `key_kernel` and `value_kernel`, both `[E, D_a]`, Glorot-uniform."""
        self.event_width = width_of(input_shape)
        shape = (self.event_width, self.attention_dim)
        self.key_kernel = self.add_weight(name="key_kernel", shape=shape, initializer="glorot_uniform")
        self.value_kernel = self.add_weight(name="value_kernel", shape=shape, initializer="glorot_uniform")
        self.built = True

    def call(self, events: Vectors, queries: tf.Tensor) -> tf.Tensor:
        """Attention logits; see the class."""
        return products(self._queries(queries), events)

    def pool(self, weights: tf.Tensor, events: Vectors) -> tf.Tensor:
        """Sums projected events.

        Args:
          weights: float32 `[B, C, H, K]`, 0 at masked events.
          events: as in `call`.

        Returns:
          `[B, C, D_a]` in the compute dtype: `concat_h(W_V^h sum_k weights_{h, k} x_k)`.
        """
        pooled = tf.cast(weighted_sums(weights, events), self.compute_dtype)  # [B, C, H, E]
        values = tf.einsum("bche,ehd->bchd", pooled, self._per_head(self.value_kernel))  # [B, C, H, D_h]
        return tf.reshape(values, [*leading_sizes(values), self.attention_dim])  # [B, C, D_a]

    def values(self, events: Vectors) -> tf.Tensor:
        """Projected values of every event, `[B, C or 1, K, D_a]`; only for readings that need each item."""
        return project(events, tf.cast(self.value_kernel, self.compute_dtype))

    def among(self, events: Vectors, queries: tf.Tensor, indices: tf.Tensor) -> tf.Tensor:
        """Logits `[B, C, K]` of the events at `indices`, of a single head.

        Those of `Compact` events are one product of the request, of which numbers are gathered, no vectors.
        """
        folded = self._queries(queries)  # [B, C, 1, E]
        parts = events.parts if isinstance(events, Beside) else (events,)
        own = tf.split(folded, [width_of(part) for part in parts], -1)
        return tf.add_n([
            tf.gather(products(query, part)[:, :, 0], indices, batch_dims=2) if isinstance(part, Compact)
            else products(query, gather(part, indices))[:, :, 0] for query, part in zip(own, parts, strict=True)])

    def pool_among(self, weights: tf.Tensor, events: Vectors, indices: tf.Tensor) -> tf.Tensor:
        """As `pool` with the events at `indices`, of a single head; values of `Compact` events are projected once.

        Args:
          weights: float32 `[B, C, K]`.
          events: of `[B, L]`, or of candidates.
          indices: int32 `[B, C, K]`.
        """
        parts = events.parts if isinstance(events, Beside) else (events,)
        kernels = tf.split(tf.cast(self.value_kernel, tf.float32), [width_of(part) for part in parts])
        weights, total = weights[:, :, tf.newaxis], []  # [B, C, 1, K]
        for part, kernel in zip(parts, kernels, strict=True):
            if isinstance(part, Compact):
                total.append(tf.matmul(weights, gather(project(part, kernel)[:, 0], indices))[:, :, 0])
            else:
                total.append(tf.tensordot(weighted_sums(weights, gather(part, indices))[:, :, 0], kernel, 1))
        return tf.cast(tf.add_n(total), self.compute_dtype)  # [B, C, D_a]

    def _queries(self, queries: tf.Tensor) -> tf.Tensor:
        """Projected back, float32 `[B, C, H, E]`, divided by `sqrt(D_h)`."""
        queries = tf.cast(queries, self.compute_dtype)
        queries = tf.reshape(queries, [*leading_sizes(queries), self.num_heads, self.head_dim])  # [B, C, H, D_h]
        folded = tf.einsum("bchd,ehd->bche", queries, self._per_head(self.key_kernel))  # [B, C, H, E]
        return tf.cast(folded, tf.float32) / math.sqrt(self.head_dim)

    def _per_head(self, kernel: Any) -> tf.Tensor:
        return tf.reshape(tf.cast(kernel, self.compute_dtype), [-1, self.num_heads, self.head_dim])  # [E, H, D_h]

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {**super().get_config(), "attention_dim": self.attention_dim, "num_heads": self.num_heads}
