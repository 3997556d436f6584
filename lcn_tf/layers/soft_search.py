"""SIM's soft search: a learned bilinear score of every event, trained by a click task of its own.

Shapes: B requests, C candidates, L events, D item width, D_a attention width.
"""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf

from lcn_tf.layers.history_layer import HistoryLayer
from lcn_tf.ops.event_forms import Vectors, as_vectors, products, weighted_sums
from lcn_tf.ops.masking import expand_mask, mask_scores, masked_softmax

SEARCH_POOLS = ("sum", "softmax")


@tf.keras.utils.register_keras_serializable("lcn_tf")
class SoftSearch(HistoryLayer):
    """`r_k = <W_a e_v, W_b e_k>` and `U_r = sum_k r_k e_k` over all events; no bias.

    Pi et al., CIKM 2020 (SIM), section 3.2 (general search unit, soft search). `W_b` is applied on the candidate's
    side, so nothing of size `[B, L, D_a]` is built. All arithmetic is in float32.

    The printed sum does not say which end of the scores is relevant: with `-W_a` all scores and `U_r` change sign,
    which the network that reads `U_r` can undo, so that the events that decide may rank last. With `softmax` (not in
    the paper) `U_r = sum_k softmax_k(r / sqrt(D_a)) e_k`, and the events that decide get high scores.

    Args:
      attention_dim: D_a.
      pool: `sum` or `softmax`, how scores weight the events in `U_r`. The scores are the same.

    Call arguments:
      candidate: `[B, C, D]`.
      history: `[B, L, D]`, most recent first, in any form of `lcn_tf.ops.event_forms`.
      mask: bool `[B, L]` or `[B, C, L]`, True = real.

    Returns:
      interest: U_r, `[B, C, D]` in the compute dtype; zeros for an empty history.
      scores: r, float32 `[B, C, L]`; `masking.MASKED_SCORE` at masked positions.

    Raises:
      ValueError: `attention_dim` below 1, an unknown `pool`, or a mask of the wrong rank.

    Example:
      >>> from lcn_tf.layers import SoftSearch, masked_top_k
      >>> candidate, history, mask = tf.ones([2, 5, 16]), tf.ones([2, 300, 16]), tf.ones([2, 300], tf.bool)
      >>> interest, scores = SoftSearch(attention_dim=64)(candidate, history, mask=mask)
      >>> indices, kept = masked_top_k(scores, mask, k=50)
      >>> interest.shape, scores.shape, indices.shape
      (TensorShape([2, 5, 16]), TensorShape([2, 5, 300]), TensorShape([2, 5, 50]))
    """

    def __init__(self, attention_dim: int = 64, pool: str = "sum", **kwargs: Any):
        super().__init__(**kwargs)
        if pool not in SEARCH_POOLS:
            raise ValueError(f"pool must be one of {SEARCH_POOLS}, got {pool!r}")
        if attention_dim < 1:
            raise ValueError(f"attention_dim must be at least 1, got {attention_dim}")
        self.attention_dim = attention_dim
        self.pool = pool

    def build(self, input_shape: Any) -> None:
        """Creates `candidate_kernel` (W_a) and `event_kernel` (W_b), both `[D, D_a]`, Glorot-uniform."""
        shape = (int(input_shape[-1]), self.attention_dim)
        self.candidate_kernel = self.add_weight(name="candidate_kernel", shape=shape, initializer="glorot_uniform")
        self.event_kernel = self.add_weight(name="event_kernel", shape=shape, initializer="glorot_uniform")
        super().build(input_shape)

    def call(self, candidate: tf.Tensor, history: Vectors, mask: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Scores and pools the history; see the class."""
        history, mask = as_vectors(history), expand_mask(mask)
        scores = self._scores(candidate, history)
        if self.pool == "sum":
            weights = tf.where(mask, scores, 0.0)
        else:
            weights = masked_softmax(scores / math.sqrt(self.attention_dim), mask)
        interest = weighted_sums(weights[:, :, tf.newaxis], history)[:, :, 0]  # [B, C, D]
        return tf.cast(interest, self.compute_dtype), mask_scores(scores, mask)

    def _scores(self, candidate: tf.Tensor, history: Vectors) -> tf.Tensor:
        """Unmasked `r`, `[B, C, L]`."""
        queries = tf.tensordot(tf.cast(candidate, tf.float32), tf.cast(self.candidate_kernel, tf.float32), 1)
        queries = tf.tensordot(queries, tf.transpose(tf.cast(self.event_kernel, tf.float32)), 1)  # [B, C, D]
        return products(queries[:, :, tf.newaxis], history)[:, :, 0]

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {**super().get_config(), "attention_dim": self.attention_dim, "pool": self.pool}
