"""A block of a Transformer, and dropout in it that belongs to rows.

Shapes: N rows, T events or fields, W width, H heads, F ids of a row.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from lcn_tf.ops.masking import masked_softmax
from lcn_tf.ops.row_random import child_states, drop_out, row_states

_EPSILON = 1e-6  # of the layer normalisations
_SITES = 3  # where a block drops: attention scores, what attention and the feed-forward network return

Dropout = Callable[[int, tf.Tensor], tf.Tensor]


class TransformerBlock(tf.keras.layers.Layer):
    """Self-attention and feed-forward network, each with a residual and a layer normalisation."""

    def __init__(self, width: int, num_heads: int, ffn_dim: int, pre_norm: bool, **kwargs: Any):
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.pre_norm = pre_norm
        layers, policy = tf.keras.layers, {"dtype": self.dtype_policy}
        self.query, self.key, self.value, self.attention_output = (
            layers.Dense(width, name=name, **policy) for name in ("query", "key", "value", "attention_output"))
        self.ffn_hidden = layers.Dense(ffn_dim, "gelu", name="ffn_hidden", **policy)
        self.ffn_output = layers.Dense(width, name="ffn_output", **policy)
        self.attention_norm, self.ffn_norm = (layers.LayerNormalization(epsilon=_EPSILON, name=name, **policy)
                                              for name in ("attention_norm", "ffn_norm"))

    def build(self, input_shape: Any) -> None:
        """Sublayers are built by their first call."""
        self.built = True

    def call(self, vectors: tf.Tensor, visible: tf.Tensor, drop: Dropout) -> tf.Tensor:
        """`[N, T, W]` -> `[N, T, W]`; `visible` is bool, broadcastable to `[N, 1, T, T]`."""
        if self.pre_norm:
            vectors += drop(1, self._attend(self.attention_norm(vectors), visible, drop))
            return vectors + drop(2, self.ffn_output(self.ffn_hidden(self.ffn_norm(vectors))))
        vectors = self.attention_norm(vectors + drop(1, self._attend(vectors, visible, drop)))
        return self.ffn_norm(vectors + drop(2, self.ffn_output(self.ffn_hidden(vectors))))

    def _attend(self, vectors: tf.Tensor, visible: tf.Tensor, drop: Dropout) -> tf.Tensor:
        query, key, value = (self._heads(projected(vectors)) for projected in (self.query, self.key, self.value))
        logits = tf.matmul(tf.cast(query, tf.float32), tf.cast(key, tf.float32), transpose_b=True)  # [N, H, T, T]
        scores = drop(0, masked_softmax(logits / math.sqrt(query.shape[-1]), visible))
        attended = tf.transpose(tf.matmul(tf.cast(scores, value.dtype), value), [0, 2, 1, 3])  # [N, T, H, W / H]
        return self.attention_output(tf.reshape(attended, tf.shape(vectors)))

    def _heads(self, vectors: tf.Tensor) -> tf.Tensor:
        """`[N, T, W]` -> `[N, H, T, W / H]`."""
        shape = tf.shape(vectors)
        width = vectors.shape[-1] // self.num_heads
        return tf.transpose(tf.reshape(vectors, [shape[0], shape[1], self.num_heads, width]), [0, 2, 1, 3])


def nothing_dropped(site: int, values: tf.Tensor) -> tf.Tensor:
    """Inference."""
    return values


def of_block(drop: Dropout, number: int) -> Dropout:
    """The dropout of a block; site 0 of the whole is before the first."""
    return lambda site, values: drop(1 + number * _SITES + site, values)


def dropout_by_rows(row_ids: tf.Tensor, seed: tf.Tensor, num_blocks: int, rate: float, attention_rate: float
                    ) -> Dropout:
    """Inverted dropout whose masks are functions of a seed and of a row's ids.

    Args:
      row_ids: int64 `[N, F]`, what identifies a row.
      seed: int32 or int64 `[2]`.
      num_blocks: blocks that drop.
      rate: of values `[N, T, W]`.
      attention_rate: of attention's scores `[N, H, T, T]`.

    Returns:
      `drop(site, values)`.
    """
    sites = tf.unstack(child_states(row_states(row_ids, seed), 1 + num_blocks * _SITES), axis=-1)

    def drop(site: int, values: tf.Tensor) -> tf.Tensor:
        chosen = attention_rate if values.shape.rank == 4 else rate
        if not chosen:
            return values
        states = sites[site]  # [N]
        for axis in range(1, values.shape.rank - 1):
            states = child_states(states, tf.shape(values)[axis])  # [N, T] or [N, H, T]
        return drop_out(values, states, chosen)

    return drop
