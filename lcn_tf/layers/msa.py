"""Level 2 of the Lifelong Attention Pyramid: Median-Scope Attention over the events that CSA kept.

Shapes: B requests, C candidates, K events, D item width, E = D + D_c event width, D_a attention width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from lcn_tf.layers.folded_attention import FoldedProjections
from lcn_tf.layers.fsa import FSA
from lcn_tf.layers.history_layer import HistoryLayer
from lcn_tf.ops.event_forms import Vectors, gather
from lcn_tf.ops.joint_attention import Weighed
from lcn_tf.ops.masking import expand_mask, mask_scores, masked_softmax

MSA_NORMS = ("softmax", "none")


def attention_weights(attention_logits: tf.Tensor, mask: tf.Tensor, norm: str) -> tf.Tensor:
    """Pooling weights of MSA: masked softmax (`softmax`) or the masked logits themselves (`none`, as printed)."""
    if norm == "softmax":
        return masked_softmax(attention_logits, mask)
    return tf.where(mask, tf.cast(attention_logits, tf.float32), 0.0)


@tf.keras.utils.register_keras_serializable("lcn_tf")
class MSA(HistoryLayer):
    """Single-head target attention with bias-free projections.

    Hou et al., KDD 2024 (LCN), section 4.3, eqs 9 and 10: `r'_k = <W_Q e_v, W_K (e_k || e_k^c)> / sqrt(D_a)`,
    `IR_MSA = sum_k a_k W_V (e_k || e_k^c)`. Printed is `a_k = r'_k`; the default is a softmax, as in FSA
    (docs/readings.md, MSA's weights). The ranking is the same.

    Args:
      attention_dim: D_a.
      norm: `softmax` or `none` (printed).

    Call arguments:
      candidate: `[B, C, D]`, without context.
      events: `[B, C, K, E]`, `[B, 1, K, E]` or `[B, L, E]`: item embedding followed by context embedding, in any form
        of `lcn_tf.ops.event_forms`.
      mask: bool `[B, C, K]` or `[B, L]`, True = real.

    Returns:
      interest: `[B, C, D_a]` in the compute dtype; zeros where no event is unmasked.
      attention_logits: float32 `[B, C, K]`; `masking.MASKED_SCORE` at masked positions.

    Raises:
      ValueError: unknown `norm`, or `attention_dim` below 1.

    Example:
      >>> from lcn_tf.layers import MSA
      >>> candidate, events = tf.ones([2, 5, 16]), tf.ones([2, 5, 200, 24])  # events are items, 16, and context, 8
      >>> interest, logits = MSA(attention_dim=64)(candidate, events, mask=tf.ones([2, 5, 200], tf.bool))
      >>> interest.shape, logits.shape
      (TensorShape([2, 5, 64]), TensorShape([2, 5, 200]))
    """

    def __init__(self, attention_dim: int = 64, norm: str = "softmax", **kwargs: Any):
        super().__init__(**kwargs)
        if norm not in MSA_NORMS:
            raise ValueError(f"msa norm must be one of {MSA_NORMS}, got {norm!r}")
        self.attention_dim = attention_dim
        self.norm = norm
        self.projections = FoldedProjections(attention_dim, name="projections", dtype=self.dtype_policy)
        self.query = tf.keras.layers.Dense(attention_dim, use_bias=False, name="query", dtype=self.dtype_policy)

    def call(self, candidate: tf.Tensor, events: Vectors, mask: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Attends to the events; see the class."""
        mask = expand_mask(mask)
        logits = self.attention_logits(candidate, events)  # [B, C, K]
        weights = attention_weights(logits, mask, self.norm)
        interest = self.projections.pool(weights[:, :, tf.newaxis, :], events)  # [B, C, D_a]
        return interest, mask_scores(logits, mask)

    def among(self, candidate: tf.Tensor, events: Vectors, indices: tf.Tensor, mask: tf.Tensor
              ) -> tuple[tf.Tensor, tf.Tensor]:
        """As a call with the events at `indices`: logits and values of `Compact` ones are products of the request.

        Of logits, numbers are gathered then. That pays unless the events are many times those at `indices`.

        Args:
          candidate: `[B, C, D]`.
          events: `[B, L, E]`; parts may be of candidates.
          indices: int32 `[B, C, K]`.
          mask: bool `[B, C, K]`.
        """
        logits, interest = self.projections.among(events, indices, self.query(candidate), lambda logits: (
            attention_weights(logits, mask, self.norm)))
        return interest, mask_scores(logits, mask)

    def event_queries(self, candidate: tf.Tensor, widths: Sequence[int]) -> list[tf.Tensor]:
        """What is multiplied by each part of the events' vectors, float32 `[B, C, width]`; the logits are the sum."""
        return tf.split(self.projections.queries(self.query(candidate))[:, :, 0], list(widths), -1)

    def weighed(self, logits: tf.Tensor, mask: tf.Tensor) -> Weighed:
        """Weights of logits `[B, C, L]`, and their gradient."""
        weights = attention_weights(logits, mask, self.norm)

        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            if self.norm == "none":
                return tf.where(mask, upstream, 0.0)
            return weights * (upstream - tf.reduce_sum(weights * upstream, -1, keepdims=True))

        return Weighed(weights, mask, gradient)

    def interest(self, pooled: tf.Tensor) -> tf.Tensor:
        """Sums of events `[B, C, E]` as the interest `[B, C, D_a]`."""
        return self.projections.values_of(pooled[:, :, tf.newaxis])

    def attention_logits(self, candidate: tf.Tensor, events: Vectors) -> tf.Tensor:
        """Unmasked float32 logits `[B, C, K]`; shared events `[B, L, E]` are not copied per candidate."""
        return self.projections(events, queries=self.query(candidate))[:, :, 0, :]

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {**super().get_config(), "attention_dim": self.attention_dim, "norm": self.norm}


class SharedMSA:
    """MSA without weights of its own: it ranks and pools by the mean over heads of FSA's logits, with FSA's values.

    Not in the paper; the control for `integration="last"`, where MSA's own projections would never learn. Called as
    `MSA` is, within the layer that owns `fsa`.
    """

    def __init__(self, fsa: FSA, norm: str = "softmax"):
        if norm not in MSA_NORMS:
            raise ValueError(f"msa norm must be one of {MSA_NORMS}, got {norm!r}")
        self.fsa = fsa
        self.norm = norm

    def __call__(self, candidate: tf.Tensor, events: Vectors, mask: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """As `MSA.call`."""
        mask = expand_mask(mask)
        logits = self.attention_logits(candidate, events)  # [B, C, K]
        weights = attention_weights(logits, mask, self.norm)[:, :, tf.newaxis, :]  # [B, C, 1, K]
        weights = tf.repeat(weights, self.fsa.num_heads, axis=2)  # [B, C, H, K]
        return self.fsa.projections.pool(weights, events), mask_scores(logits, mask)

    def among(self, candidate: tf.Tensor, events: Vectors, indices: tf.Tensor, mask: tf.Tensor
              ) -> tuple[tf.Tensor, tf.Tensor]:
        """As `MSA.among`; vectors are gathered, for logits of all heads and events are many more numbers."""
        return self(candidate, gather(events, indices), mask)

    def attention_logits(self, candidate: tf.Tensor, events: Vectors) -> tf.Tensor:
        """As `MSA.attention_logits`."""
        return tf.reduce_mean(self.fsa.attention_logits(candidate, events), axis=2)  # [B, C, K]
