"""TWIN's attention: one set of scores for the search over all events and for the attention over the best.

Shapes: B requests, C candidates, L or K events, H heads, D item width, D_c context width, J context fields,
E = D + D_c, D_a attention width.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from lcn_tf.layers.folded_attention import FoldedProjections
from lcn_tf.layers.history_layer import HistoryLayer
from lcn_tf.ops.event_forms import Vectors, num_requests, products, split, width_of
from lcn_tf.ops.masking import expand_mask, masked_softmax


class _Keys(FoldedProjections):
    """The key side alone: items have keys, their context adds a bias instead."""

    def build(self, input_shape: Any) -> None:
        """Creates `key_kernel [D, D_a]`."""
        self.event_width = width_of(input_shape)
        self.key_kernel = self.add_weight(name="key_kernel", shape=(self.event_width, self.attention_dim),
                                          initializer="glorot_uniform")
        self.built = True


class _Values(FoldedProjections):
    """The value side alone, over items and context together."""

    def build(self, input_shape: Any) -> None:
        """Creates `value_kernel [E, D_a]`."""
        self.event_width = width_of(input_shape)
        self.value_kernel = self.add_weight(name="value_kernel", shape=(self.event_width, self.attention_dim),
                                            initializer="glorot_uniform")
        self.built = True

    def call(self, events: Vectors, queries: tf.Tensor) -> tf.Tensor:
        """Sums projected events by `queries`, the weights `[B, C, H, K]`, to `[B, C, D_a]`."""
        return self.pool(queries, events)


class _CrossBias(tf.keras.layers.Layer):
    """`sum_j beta_j <w_{a, j}, x_{c, j}>`: each context field becomes one number per head."""

    def __init__(self, num_heads: int, num_fields: int, beta_per_head: bool, **kwargs: Any):
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.num_fields = num_fields
        self.beta_per_head = beta_per_head

    def build(self, input_shape: Any) -> None:
        """Creates `kernel [J, D_c / J, H]` and `beta [J]` or `[J, H]`, which starts as ones."""
        context_width = width_of(input_shape)
        width, remainder = divmod(context_width, self.num_fields)
        if remainder:
            raise ValueError(f"context must hold {self.num_fields} fields of one width, got width {context_width}")
        self.kernel = self.add_weight(name="kernel", shape=(self.num_fields, width, self.num_heads),
                                      initializer="glorot_uniform")
        shape = (self.num_fields, self.num_heads) if self.beta_per_head else (self.num_fields,)
        self.beta = self.add_weight(name="beta", shape=shape, initializer="ones")
        self.built = True

    def call(self, context: Vectors) -> tf.Tensor:
        """Float32 bias `[B, C, H, K]`, or `[B, 1, H, K]` of context that candidates share."""
        beta = tf.cast(self.beta, tf.float32)[:, tf.newaxis]  # [J, 1] or [J, 1, H]
        beta = beta if self.beta_per_head else beta[..., tf.newaxis]  # [J, 1, H or 1]
        kernel = tf.reshape(tf.cast(self.kernel, tf.float32) * beta, [-1, self.num_heads])  # [D_c, H]
        queries = tf.transpose(kernel)[tf.newaxis, tf.newaxis]  # [1, 1, H, D_c]
        return products(tf.tile(queries, [num_requests(context), 1, 1, 1]), context)


@tf.keras.utils.register_keras_serializable("lcn_tf")
class TwinAttention(HistoryLayer):
    """`alpha_a = (X_h W_a^h)(q W_a^q)^T / sqrt(D_h) + (X_c W_a^c) beta`; softmax; `concat_a(head_a) W^o`.

    Chang et al., KDD 2023 (TWIN), section 4. `X_h` are the items (inherent features), `X_c` their context (cross
    features), whose projection is block-diagonal: one number per field, head and position. Values come from both.
    `attention_logits` is the score of both stages.

    Args:
      attention_dim: D_a, all heads together.
      num_heads: H.
      num_context_fields: J; 0 leaves the bias out.
      beta_per_head: a `beta` for each head; printed is one for all.

    Call arguments:
      candidate: `[B, C, D]`.
      events: `[B, C, K, E]` or `[B, L, E]` in any form of `lcn_tf.ops.event_forms`: item embedding followed by
        context embedding.
      mask: bool `[B, C, K]` or `[B, L]`, or `[B, C, H, K]` where every head has its own events; True = real.
      attention_logits: those of these events where they are known already.

    Returns:
      interest: `[B, C, D]` in the compute dtype; zeros where no event is unmasked.
      attention_scores: float32 `[B, C, H, K]`, each head's softmax; 0 at masked positions.

    Raises:
      ValueError: `attention_dim` is not a positive multiple of `num_heads`, or the context is not J fields of one
        width.

    Example:
      >>> from lcn_tf.layers import TwinAttention
      >>> candidate, events = tf.ones([2, 5, 16]), tf.ones([2, 300, 32])  # items, 16, and two context fields, 8 each
      >>> layer = TwinAttention(attention_dim=64, num_heads=4, num_context_fields=2)
      >>> layer.attention_logits(candidate, events).shape  # to choose the best events by
      TensorShape([2, 5, 4, 300])
      >>> layer(candidate, events, mask=tf.ones([2, 300], tf.bool))[0].shape
      TensorShape([2, 5, 16])
    """

    def __init__(self, attention_dim: int = 64, num_heads: int = 4, num_context_fields: int = 0,
                 beta_per_head: bool = False, **kwargs: Any):
        super().__init__(**kwargs)
        self.attention_dim = attention_dim
        self.num_heads = num_heads
        self.num_context_fields = num_context_fields
        self.beta_per_head = beta_per_head
        policy = {"dtype": self.dtype_policy}
        self.query = tf.keras.layers.Dense(attention_dim, use_bias=False, name="query", **policy)
        self.keys = _Keys(attention_dim, num_heads, name="keys", **policy)
        self.values = _Values(attention_dim, num_heads, name="values", autocast=False, **policy)  # scores stay float32
        self.cross = _CrossBias(num_heads, num_context_fields, beta_per_head, name="cross", **policy
                                ) if num_context_fields else None

    def build(self, input_shape: Any) -> None:
        """Creates `output_kernel [D_a, D]`; the projections are built by their first call."""
        self.output_kernel = self.add_weight(name="output_kernel", shape=(self.attention_dim, int(input_shape[-1])),
                                             initializer="glorot_uniform")
        super().build(input_shape)

    def call(self, candidate: tf.Tensor, events: Vectors, mask: tf.Tensor,
             attention_logits: tf.Tensor | None = None) -> tuple[tf.Tensor, tf.Tensor]:
        """Attends to the events; see the class."""
        mask = tf.convert_to_tensor(mask)
        if mask.shape.rank != 4:
            mask = expand_mask(mask)[:, :, tf.newaxis, :]  # [B, C, 1, K]
        if attention_logits is None:
            attention_logits = self.attention_logits(candidate, events)
        scores = masked_softmax(attention_logits, mask)  # [B, C, H, K]
        attended = self.values(events, queries=scores)  # [B, C, D_a]
        return tf.tensordot(attended, tf.cast(self.output_kernel, self.compute_dtype), 1), scores  # [B, C, D]

    def attention_logits(self, candidate: tf.Tensor, events: Vectors) -> tf.Tensor:
        """Unmasked alpha, float32 `[B, C, H, K]`; shared events `[B, L, E]` are not copied per candidate."""
        width, context = candidate.shape[-1], None
        if self.cross is not None or width_of(events) != width:  # items alone may be one part, which cannot be cut
            events, context = split(events, width)
        logits = self.keys(events, queries=self.query(candidate))
        return logits if self.cross is None else logits + self.cross(context)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        names = ("attention_dim", "num_heads", "num_context_fields", "beta_per_head")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def merged_ranks(logits: tf.Tensor, mask: tf.Tensor, depth: int) -> tf.Tensor:
    """Order in which TWIN collects events: the heads in turn, each giving its best event not collected yet.

    `min_a(rank_a(k) H + a)` over heads a (docs/readings.md, TWIN's merged list). Only the `depth` best of every head
    are looked at, which decides the first `depth` events exactly.

    Args:
      logits: `[B, C, H, L]`.
      mask: bool `[B, C, L]`.
      depth: ranks of each head, at least 1.

    Returns:
      float32 `[B, C, L]`, smallest first; `H depth` for unmasked events outside every head's `depth` best. No gradient
      passes.
    """
    shape = tf.shape(logits)
    heads, length = shape[2], shape[3]
    depth = tf.minimum(depth, length)
    ranked = tf.where(mask[:, :, tf.newaxis], tf.cast(logits, tf.float32), tf.float32.min)
    indices = tf.math.top_k(tf.stop_gradient(ranked), depth).indices  # [B, C, H, depth]
    rows = tf.reshape(tf.range(shape[0] * shape[1]) * length, [shape[0], shape[1], 1, 1])
    keys = tf.range(depth) * heads + tf.range(heads)[:, tf.newaxis]  # [H, depth]
    keys = tf.broadcast_to(tf.cast(keys, tf.float32), tf.shape(indices))
    unseen = tf.fill([tf.size(mask)], tf.cast(heads * depth, tf.float32))
    merged = tf.tensor_scatter_nd_min(unseen, tf.reshape(indices + rows, [-1, 1]), tf.reshape(keys, [-1]))
    return tf.reshape(merged, [shape[0], shape[1], length])
