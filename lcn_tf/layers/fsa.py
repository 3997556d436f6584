"""Level 3 of the Lifelong Attention Pyramid: Focused-Scope Attention over the events that MSA kept.

Shapes: B requests, C candidates, K events, H heads, D item width, E = D + D_c event width, D_a attention width.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from lcn_tf.layers.folded_attention import FoldedProjections
from lcn_tf.layers.history_layer import HistoryLayer
from lcn_tf.layers.stateless_dropout import StatelessDropout
from lcn_tf.ops.event_forms import Vectors, as_tensor
from lcn_tf.ops.masking import expand_mask, masked_softmax

FSA_POOLS = ("query", "per_item")


@tf.keras.utils.register_keras_serializable("lcn_tf")
class FSA(HistoryLayer):
    """Multi-head target attention followed by a feed-forward network.

    Hou et al., KDD 2024 (LCN), section 4.3, eqs 11 to 13. With a single query per candidate the mean of eq 13 is the
    identity (`query`, default; docs/readings.md, FSA's mean). `per_item` is the one reading in which it is not: the
    feed-forward network sees each weighted value and the mean runs over the unmasked events; it builds
    `[B, C, K, D_a]`, K being FSA's few events.
    Residuals, layer normalisation and dropout are not printed; when switched on they sit where the original
    Transformer's decoder has them (query added to the attention's output, input added to the network's output,
    normalisation after each sum, dropout before it).

    Args:
      attention_dim: D_a, all heads together, and the output width.
      num_heads: H.
      ffn_dim: hidden width of the feed-forward network; None means `4 * attention_dim`.
      pool: `query` or `per_item`.
      residual: add the two residual connections.
      layer_norm: normalise after the attention and after the network.
      dropout: rate in [0, 1), applied in training only.
      seed: seed of the dropout masks.

    Call arguments:
      candidate: `[B, C, D]`, without context.
      events: `[B, C, K, E]`, `[B, 1, K, E]` or `[B, L, E]`: item embedding followed by context embedding, in any form
        of `lcn_tf.ops.event_forms`.
      mask: bool `[B, C, K]` or `[B, L]`, True = real.
      training: whether dropout is active.

    Returns:
      interest: `[B, C, D_a]` in the compute dtype; zeros where no event is unmasked, biases included.
      attention_scores: float32 `[B, C, H, K]`, each head's softmax; 0 at masked positions.

    Raises:
      ValueError: unknown `pool`, a rate outside [0, 1), widths that do not divide.

    Example:
      >>> from lcn_tf.layers import FSA
      >>> candidate, events = tf.ones([2, 5, 16]), tf.ones([2, 5, 50, 24])  # events are items, 16, and context, 8
      >>> interest, scores = FSA(attention_dim=64, num_heads=4)(candidate, events, mask=tf.ones([2, 5, 50], tf.bool))
      >>> interest.shape, scores.shape
      (TensorShape([2, 5, 64]), TensorShape([2, 5, 4, 50]))
    """

    def __init__(self, attention_dim: int = 64, num_heads: int = 4, ffn_dim: int | None = None, pool: str = "query",
                 residual: bool = False, layer_norm: bool = False, dropout: float = 0.0, seed: int = 0,
                 **kwargs: Any):
        super().__init__(**kwargs)
        if pool not in FSA_POOLS:
            raise ValueError(f"fsa pool must be one of {FSA_POOLS}, got {pool!r}")
        if not 0.0 <= dropout < 1.0:
            raise ValueError(f"fsa dropout must be in [0, 1), got {dropout}")
        if ffn_dim is not None and ffn_dim < 1:
            raise ValueError(f"ffn_dim must be at least 1 or None, got {ffn_dim}")
        self.attention_dim = attention_dim
        self.num_heads = num_heads
        self.ffn_dim = ffn_dim
        self.pool = pool
        self.residual = residual
        self.layer_norm = layer_norm
        self.dropout = dropout
        self.seed = seed
        policy = {"dtype": self.dtype_policy}
        layers = tf.keras.layers
        self.projections = FoldedProjections(attention_dim, num_heads, name="projections", **policy)
        self.query = layers.Dense(attention_dim, use_bias=False, name="query", **policy)
        self.ffn_hidden = layers.Dense(ffn_dim or 4 * attention_dim, "relu", name="ffn_hidden", **policy)
        self.ffn_output = layers.Dense(attention_dim, name="ffn_output", **policy)
        self.norms = [layers.LayerNormalization(name=f"norm_{place}", **policy) for place in ("attention", "ffn")
                      ] if layer_norm else []
        self.dropouts = [StatelessDropout(dropout, 2 * seed + place, name=f"dropout_{place}", **policy)
                         for place in (0, 1)] if dropout else []

    def call(self, candidate: tf.Tensor, events: Vectors, mask: tf.Tensor, training: bool | None = None
             ) -> tuple[tf.Tensor, tf.Tensor]:
        """Attends to the events; see the class."""
        mask = expand_mask(mask)  # [B, C, K]
        queries = self.query(candidate)  # [B, C, D_a]
        scores = masked_softmax(self.projections(events, queries=queries), mask[:, :, tf.newaxis, :])  # [B, C, H, K]
        if self.pool == "query":
            attended = self.projections.pool(scores, events)  # [B, C, D_a]
            interest = self._feed_forward(attended, queries, training)
        else:
            attended = self._weighted_values(scores, as_tensor(events))  # [B, C, K, D_a]
            outputs = self._feed_forward(attended, queries[:, :, tf.newaxis, :], training)
            interest = _masked_mean(outputs, mask)
        nonempty = tf.reduce_any(mask, axis=-1, keepdims=True)  # [B, C, 1]
        return tf.where(nonempty, interest, tf.zeros_like(interest)), scores

    def attention_logits(self, candidate: tf.Tensor, events: Vectors) -> tf.Tensor:
        """Unmasked float32 logits `[B, C, H, K]`; shared events `[B, L, E]` are not copied per candidate."""
        return self.projections(events, queries=self.query(candidate))

    def _weighted_values(self, scores: tf.Tensor, events: tf.Tensor) -> tf.Tensor:
        """`concat_h(a_{h, k} V_{h, k})` of each event, `[B, C, K, D_a]`."""
        weights = tf.cast(tf.transpose(scores, [0, 1, 3, 2]), self.compute_dtype)  # [B, C, K, H]
        return self.projections.values(events) * tf.repeat(weights, self.attention_dim // self.num_heads, axis=-1)

    def _feed_forward(self, attended: tf.Tensor, queries: tf.Tensor, training: bool | None) -> tf.Tensor:
        """Eq 12 on the last axis, with the optional residuals, normalisations and dropout."""
        attended = self._drop(0, attended, training)
        attended = self._norm(0, attended + queries if self.residual else attended)
        output = self._drop(1, self.ffn_output(self.ffn_hidden(attended)), training)
        return self._norm(1, output + attended if self.residual else output)

    def _norm(self, place: int, inputs: tf.Tensor) -> tf.Tensor:
        return self.norms[place](inputs) if self.layer_norm else inputs

    def _drop(self, place: int, inputs: tf.Tensor, training: bool | None) -> tf.Tensor:
        return self.dropouts[place](inputs, training=training) if self.dropout else inputs

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        names = ("attention_dim", "num_heads", "ffn_dim", "pool", "residual", "layer_norm", "dropout", "seed")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def _masked_mean(values: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """Mean of `[B, C, K, D]` over the unmasked K, `[B, C, D]`; zeros where there is none."""
    weights = tf.cast(mask, values.dtype)[..., tf.newaxis]  # [B, C, K, 1]
    return tf.math.divide_no_nan(tf.reduce_sum(values * weights, axis=2), tf.reduce_sum(weights, axis=2))
