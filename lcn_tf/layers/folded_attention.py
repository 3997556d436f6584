"""Key and value projections of a one-query attention, applied on the query's side.

A candidate is one query, so `<W_Q e_v, W_K x_k> = <W_K^T W_Q e_v, x_k>` and `sum_k a_k W_V x_k = W_V sum_k a_k x_k`:
projecting the query back and the pooled event forward costs O(D_a E) per candidate instead of O(K D_a E), and nothing
of size `[B, L, D_a]` is ever built.

Shapes: B requests, C candidates, K events, H heads, E event width (item and context), D_a attention width,
D_h = D_a / H.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from lcn_tf.ops.event_forms import (
    Bucketed,
    Vectors,
    gather,
    leading_sizes,
    narrow,
    parts_of,
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
        events, kernel = narrow(events, tf.cast(self.key_kernel, self.compute_dtype))
        return products(self.queries(queries, kernel), events)

    def pool(self, weights: tf.Tensor, events: Vectors) -> tf.Tensor:
        """Sums projected events.

        Args:
          weights: float32 `[B, C, H, K]`, 0 at masked events.
          events: as in `call`.

        Returns:
          `[B, C, D_a]` in the compute dtype: `concat_h(W_V^h sum_k weights_{h, k} x_k)`.
        """
        events, kernel = narrow(events, tf.cast(self.value_kernel, self.compute_dtype))
        return self.values_of(weighted_sums(weights, events), kernel)

    def values_of(self, pooled: tf.Tensor, kernel: tf.Tensor | None = None) -> tf.Tensor:
        """Sums of events `[B, C, H, E]`, projected by `W_V` or a kernel like it, `[B, C, D_a]` in the compute dtype."""
        kernel = tf.cast(self.value_kernel, self.compute_dtype) if kernel is None else kernel
        pooled = tf.cast(pooled, self.compute_dtype)
        values = tf.einsum("bche,ehd->bchd", pooled, self._per_head(kernel))  # [B, C, H, D_h]
        return tf.reshape(values, [*leading_sizes(values), self.attention_dim])  # [B, C, D_a]

    def values(self, events: Vectors) -> tf.Tensor:
        """Projected values of every event, `[B, C or 1, K, D_a]`; only for readings that need each item."""
        return project(events, tf.cast(self.value_kernel, self.compute_dtype))

    def among(self, events: Vectors, indices: tf.Tensor, queries: tf.Tensor,
              weights_of: Callable[[tf.Tensor], tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        """Attention of a single head to the events at `indices`.

        Logits of the parts that all candidates share are one product, of which numbers are gathered, and their values
        are projected before they are gathered.

        Args:
          events: of `[B, L]`; parts may be `[B, 1, L]` or of candidates, `[B, C, L]`.
          indices: int32 `[B, C, K]`.
          queries: projected candidates `[B, C, D_a]`.
          weights_of: from logits to weights, both float32 `[B, C, K]`.

        Returns:
          logits: `[B, C, K]`.
          pooled: `[B, C, D_a]` in the compute dtype.
        """
        narrowed, key_kernel = narrow(events, tf.cast(self.key_kernel, self.compute_dtype))
        value_kernel = narrow(events, tf.cast(self.value_kernel, tf.float32))[1]
        parts = parts_of(narrowed)
        widths = [width_of(part) for part in parts]
        logits, pools = [], []
        for query, part in zip(tf.split(self.queries(queries, key_kernel), widths, -1), parts, strict=True):
            shared = isinstance(part, tf.Tensor) and part.shape.rank == 3
            found, pool = _shared(query, part, indices) if shared else _own(query, gather(part, indices))
            logits.append(found)
            pools.append(pool)
        total = tf.add_n(logits)
        weights = weights_of(total)[:, :, tf.newaxis]  # [B, C, 1, K]
        pooled = [pool(weights, kernel) for pool, kernel in zip(pools, tf.split(value_kernel, widths), strict=True)]
        return total, tf.cast(tf.add_n(pooled), self.compute_dtype)

    def queries(self, queries: tf.Tensor, kernel: tf.Tensor | None = None) -> tf.Tensor:
        """Projected back by `W_K` or a kernel like it, float32 `[B, C, H, E]`, divided by `sqrt(D_h)`."""
        kernel = tf.cast(self.key_kernel, self.compute_dtype) if kernel is None else kernel
        queries = tf.cast(queries, self.compute_dtype)
        queries = tf.reshape(queries, [*leading_sizes(queries), self.num_heads, self.head_dim])  # [B, C, H, D_h]
        folded = tf.einsum("bchd,ehd->bche", queries, self._per_head(kernel))  # [B, C, H, E]
        return tf.cast(folded, tf.float32) / math.sqrt(self.head_dim)

    def _per_head(self, kernel: Any) -> tf.Tensor:
        return tf.reshape(tf.cast(kernel, self.compute_dtype), [-1, self.num_heads, self.head_dim])  # [E, H, D_h]

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {**super().get_config(), "attention_dim": self.attention_dim, "num_heads": self.num_heads}


Pool = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def _shared(query: tf.Tensor, events: tf.Tensor, indices: tf.Tensor) -> tuple[tf.Tensor, Pool]:
    """Logits `[B, C, K]` of events `[B, L, N]` at `indices`; what pools them, weights and kernel -> `[B, C, D_a]`."""
    def pool(weights: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        return tf.matmul(weights, gather(project(events, kernel)[:, 0], indices))[:, :, 0]

    return tf.gather(products(query, events)[:, :, 0], indices, batch_dims=2), pool


def _own(query: tf.Tensor, events: Vectors) -> tuple[tf.Tensor, Pool]:
    """The same of chosen events `[B, C, K]`; of buckets, numbers are gathered."""
    def pool(weights: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        if isinstance(events, Bucketed):
            of_buckets = tf.matmul(weights, tf.one_hot(events.buckets, tf.shape(events.rows)[0]))[:, :, 0]  # [B, C, G]
            return tf.tensordot(of_buckets, tf.matmul(tf.cast(events.rows, kernel.dtype), kernel), 1)
        return tf.tensordot(weighted_sums(weights, events)[:, :, 0], kernel, 1)

    if isinstance(events, Bucketed):
        of_buckets = tf.tensordot(query[:, :, 0], tf.cast(events.rows, tf.float32), [[2], [1]])  # [B, C, G]
        return tf.gather(of_buckets, events.buckets, batch_dims=2), pool
    return products(query, events)[:, :, 0], pool
