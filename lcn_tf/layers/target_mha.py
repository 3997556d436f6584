"""Multi-head target attention: the exact search of the two-stage baselines, and all of the one-stage ones.

Shapes: B requests, C candidates, K events, H heads, D item width, E event width, D_a attention width.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from lcn_tf.layers.folded_attention import FoldedProjections
from lcn_tf.layers.history_layer import HistoryLayer
from lcn_tf.ops.event_forms import Vectors
from lcn_tf.ops.masking import expand_mask, masked_softmax


@tf.keras.utils.register_keras_serializable("lcn_tf")
class TargetMHA(HistoryLayer):
    """`W_o concat_h(softmax(<W_q e_v, W_k x_k> / sqrt(D_a / H)) W_v x_k)` with bias-free projections.

    The attention that SIM (Pi et al., CIKM 2020) and ETA (Chen et al., arXiv 2108.04468) apply to the events their
    search kept. No bias, residual or normalisation, so that an empty history gives zeros.

    Args:
      attention_dim: D_a, all heads together.
      num_heads: H.

    Call arguments:
      candidate: `[B, C, D]`.
      events: `[B, C, K, E]`, `[B, 1, K, E]` or `[B, L, E]`, in any form of `lcn_tf.ops.event_forms`.
      mask: bool `[B, C, K]` or `[B, L]`, True = real.

    Returns:
      interest: `[B, C, D]` in the compute dtype; zeros where no event is unmasked.
      attention_scores: float32 `[B, C, H, K]`, each head's softmax; 0 at masked positions.

    Raises:
      ValueError: `attention_dim` is not a positive multiple of `num_heads`.

    Example:
      >>> from lcn_tf.layers import TargetMHA
      >>> candidate, events = tf.ones([2, 5, 16]), tf.ones([2, 5, 50, 24])  # events are items, 16, and context, 8
      >>> layer = TargetMHA(attention_dim=64, num_heads=4)
      >>> interest, scores = layer(candidate, events, mask=tf.ones([2, 5, 50], tf.bool))
      >>> interest.shape, scores.shape
      (TensorShape([2, 5, 16]), TensorShape([2, 5, 4, 50]))
    """

    def __init__(self, attention_dim: int = 64, num_heads: int = 1, **kwargs: Any):
        super().__init__(**kwargs)
        self.attention_dim = attention_dim
        self.num_heads = num_heads
        policy = {"dtype": self.dtype_policy}
        self.projections = FoldedProjections(attention_dim, num_heads, name="projections", **policy)
        self.query = tf.keras.layers.Dense(attention_dim, use_bias=False, name="query", **policy)

    def build(self, input_shape: Any) -> None:
        """Creates `output_kernel [D_a, D]`; the projections are built by their first call."""
        self.output_kernel = self.add_weight(name="output_kernel", shape=(self.attention_dim, int(input_shape[-1])),
                                             initializer="glorot_uniform")
        super().build(input_shape)

    def call(self, candidate: tf.Tensor, events: Vectors, mask: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Attends to the events; see the class."""
        mask = expand_mask(mask)[:, :, tf.newaxis, :]  # [B, C, 1, K]
        scores = masked_softmax(self.attention_logits(candidate, events), mask)  # [B, C, H, K]
        attended = self.projections.pool(scores, events)  # [B, C, D_a]
        return tf.tensordot(attended, tf.cast(self.output_kernel, self.compute_dtype), 1), scores  # [B, C, D]

    def attention_logits(self, candidate: tf.Tensor, events: Vectors) -> tf.Tensor:
        """Unmasked float32 logits `[B, C, H, K]`; shared events `[B, L, E]` are not copied per candidate."""
        return self.projections(events, queries=self.query(candidate))

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {**super().get_config(), "attention_dim": self.attention_dim, "num_heads": self.num_heads}
