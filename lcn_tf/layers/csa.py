"""Level 1 of the Lifelong Attention Pyramid: Complete-Scope Attention over the whole history.

Shapes: B requests, C candidates, L events, D item width.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from lcn_tf.layers.history_layer import HistoryLayer
from lcn_tf.ops.event_forms import Beside, Bucketed, Gathered, Vectors, as_vectors, products, weighted_sums
from lcn_tf.ops.linear_attention import linear_attention
from lcn_tf.ops.masking import expand_mask, mask_scores, masked_softmax

CSA_POOLS = ("sum", "mean", "softmax", "abs_norm")
LINEAR_POOLS = ("sum", "mean")  # whose weights are the scores


@tf.keras.utils.register_keras_serializable("lcn_tf")
class CSA(HistoryLayer):
    """Pools every event by its inner product with the candidate; no weights, no softmax.

    Hou et al., KDD 2024 (LCN), section 4.3, eqs 7 and 8: `r_k = <e_k, e_v>` and `IR_CSA = sum_k r_k e_k`. Equal to the
    history's Gram matrix times the candidate (linear attention). The sum is the printed form; it is cubic in the scale
    of the embeddings and grows with the length, hence the other pools (docs/readings.md, CSA's pool). All arithmetic is
    in float32.

    Args:
      pool: `sum` (printed), `mean` (over the unmasked events), `softmax` (of `r / sqrt(D)`), `abs_norm` (sum divided by
        `sum |r|`). The pool never changes the ranking of events.
      scale: divide the scores by `sqrt(D)` (not printed).

    Call arguments:
      candidate: `[B, C, D]`.
      history: `[B, L, D]`, most recent first, in any form of `lcn_tf.ops.event_forms`.
      mask: bool `[B, L]` or `[B, C, L]`, True = real.
      search: optional pair `[B, C, D']`, `[B, L, D']` of other embeddings of the same candidates and events: scores
        come from these, what is summed from `history` (`crp.tables=separate`).

    Returns:
      interest: `[B, C, D]` in the compute dtype; zeros for an empty history.
      scores: float32 `[B, C, L]`; `masking.MASKED_SCORE` at masked positions.

    Raises:
      ValueError: unknown `pool`, or a mask of the wrong rank.

    Example:
      >>> from lcn_tf.layers import CSA
      >>> candidate, history = tf.constant([[[1.0, 0.0]]]), tf.constant([[[2.0, 0.0], [0.0, 3.0], [7.0, 7.0]]])
      >>> interest, scores = CSA()(candidate, history, mask=tf.constant([[True, True, False]]))
      >>> interest.numpy().tolist(), scores.numpy().tolist()
      ([[[4.0, 0.0]]], [[[2.0, 0.0, -1000000000.0]]])
    """

    def __init__(self, pool: str = "sum", scale: bool = False, **kwargs: Any):
        super().__init__(**kwargs)
        if pool not in CSA_POOLS:
            raise ValueError(f"csa pool must be one of {CSA_POOLS}, got {pool!r}")
        self.pool = pool
        self.scale = scale

    def call(self, candidate: tf.Tensor, history: Vectors, mask: tf.Tensor,
             search: tuple[tf.Tensor, tf.Tensor] | None = None) -> tuple[tf.Tensor, tf.Tensor]:
        """Pools the history; see the class."""
        history = as_vectors(history)
        candidate, keys = search or (candidate, history)
        queries = tf.cast(candidate, tf.float32)
        mask = expand_mask(mask)  # [B, 1 or C, L]
        inverse_root = tf.math.rsqrt(tf.cast(tf.shape(queries)[-1], tf.float32))
        scale = inverse_root if self.scale else 1.0
        fused = not isinstance(history, (Beside, Bucketed)) and (
            queries.shape[1] != 1 or not isinstance(history, Gathered))
        if fused and search is None and self.pool in LINEAR_POOLS:
            interest, inner = linear_attention(queries, history, self.factors(mask, tf.shape(queries)[-1]))
            scores = scale * inner
        else:
            inner = products(queries[:, :, tf.newaxis], keys)[:, :, 0]  # [B, C, L]
            scores = scale * inner
            softmax = self.pool == "softmax"
            weights = masked_softmax(inner * inverse_root, mask) if softmax else tf.where(mask, scores, 0.0)
            interest = weighted_sums(weights[:, :, tf.newaxis], history)[:, :, 0]  # [B, C, D]
        if self.pool == "abs_norm":
            interest = tf.math.divide_no_nan(interest, tf.reduce_sum(tf.abs(weights), axis=-1, keepdims=True))
        return self.interest(interest, mask), mask_scores(scores, mask)

    def factors(self, mask: tf.Tensor, width: tf.Tensor | int) -> tf.Tensor:
        """Weights of a linear pool over inner products of vectors of a width, float32; the mask's shape."""
        real = tf.cast(mask, tf.float32)
        return tf.math.rsqrt(tf.cast(width, tf.float32)) * real if self.scale else real

    def interest(self, pooled: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        """The interest in the compute dtype, of sums `[B, C, D]` over the events of a mask `[B, 1 or C, L]`."""
        if self.pool == "mean":
            pooled = tf.math.divide_no_nan(pooled, tf.reduce_sum(tf.cast(mask, tf.float32), axis=-1, keepdims=True))
        return tf.cast(pooled, self.compute_dtype)

    def at_once(self, candidate: tf.Tensor, history: tf.Tensor, mask: tf.Tensor,
                search: tuple[tf.Tensor, tf.Tensor] | None = None) -> tuple[tf.Tensor, tf.Tensor]:
        """As a call with a mask `[B, L]`, for many candidates of a request.

        A sum is the history's matrix `sum_k e_k e_k^T` times the candidate, so that only scores are as many as
        candidates times events. They are not masked.
        """
        if self.pool not in LINEAR_POOLS:
            return self(candidate, history, mask=mask, search=search)
        queries, keys = (tf.cast(side, tf.float32) for side in search or (candidate, history))
        factors = self.factors(mask, tf.shape(queries)[-1])[..., tf.newaxis]  # [B, L, 1]
        moments = tf.matmul(keys * factors, tf.cast(history, tf.float32), transpose_a=True)  # [B, D', D]
        interest = self.interest(tf.matmul(queries, moments), expand_mask(mask))
        return interest, tf.matmul(queries, keys, transpose_b=True)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {**super().get_config(), "pool": self.pool, "scale": self.scale}
