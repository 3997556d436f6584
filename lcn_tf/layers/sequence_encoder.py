"""A small Transformer over short sequences of events, for training losses that read sequences.

Shapes: N rows, T events, D item width, W width of the encoder, H heads, F ids of a row.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from lcn_tf.layers.transformer_block import Dropout, TransformerBlock, dropout_by_rows, nothing_dropped, of_block
from lcn_tf.ops.row_random import check_rate

_EPSILON = 1e-6  # of the layer normalisations
_STDDEV = 0.02  # of the initial vectors of positions, domains and [MASK], BERT's


@tf.keras.utils.register_keras_serializable("lcn_tf")
class SequenceEncoder(tf.keras.layers.Layer):
    """Transformer encoder with learned vectors of positions and domains, as in BERT4Rec (Sun et al., CIKM 2019).

    Position 0 is the most recent event, so that a row's state of one event does not change with padding. Causal means
    that an event sees itself and *older* events: those of larger positions. Dropout is inverted, after the sum of
    embeddings, on the attention's scores and on what attention and feed-forward network return.

    Rows are independent of each other, in training too: masks of dropout are functions of `seed` and the row's ids.
    Attention's products, softmax and normalisations are computed in float32. Events outside the mask influence no
    value and no gradient, whatever their vectors are.

    Args:
      max_length: longest sequence, one learned vector for each position.
      width: W; items of another width are projected to it (linearly, with a bias).
      num_layers: blocks of self-attention and feed-forward network, both with residuals.
      num_heads: H, divides W.
      ffn_dim: hidden units of the feed-forward network, with GELU; None for 4 W.
      dropout: rate of what attention and feed-forward network return, and of the sum of embeddings.
      attention_dropout: rate of the attention's scores; None for `dropout`.
      causal: whether events see older ones and themselves only.
      pre_norm: layer normalisation before attention and feed-forward network, and at the end, instead of after every
        residual and after the sum of embeddings (BERT).
      num_domains: how many domains `domain` tells apart.

    Call arguments:
      items: `[N, T, D]`, most recent first.
      mask: bool `[N, T]`, True = real.
      domain: integers `[N, T]` below `num_domains`; None for domain 0 throughout.
      hidden: bool `[N, T]`, events in whose place a learned vector, [MASK], stands; their domain and position remain.
      seed: int32 or int64 `[2]`, of the dropout.
      row_ids: int64 `[N, F]`, what identifies a row, of the dropout.
      training: whether to drop anything; None means no.

    Returns:
      `[N, T, W]` in the compute dtype, the state of every event; zeros outside the mask. `[:, 0]` is the state of the
      most recent event where real events come first.

    Raises:
      ValueError: sizes that are not positive or do not divide, a rate outside [0, 1), a sequence longer than
        `max_length`, or training with dropout without `seed` and `row_ids`.

    Example:
      >>> from lcn_tf.layers import SequenceEncoder
      >>> encoder = SequenceEncoder(max_length=48, width=64, causal=True)
      >>> items, real = tf.ones([2, 48, 128]), tf.sequence_mask([30, 0], 48)
      >>> states = encoder(items, mask=real, domain=tf.zeros([2, 48], tf.int32))
      >>> states.shape, bool(tf.reduce_any(states[0, 30:] != 0)), bool(tf.reduce_any(states[1] != 0))
      (TensorShape([2, 48, 64]), False, False)
    """

    def __init__(self, max_length: int, width: int = 64, num_layers: int = 2, num_heads: int = 2,
                 ffn_dim: int | None = None, dropout: float = 0.2, attention_dropout: float | None = None,
                 causal: bool = False, pre_norm: bool = False, num_domains: int = 2, **kwargs: Any):
        super().__init__(**kwargs)
        ffn_units = 4 * width if ffn_dim is None else ffn_dim
        for name, value in {"max_length": max_length, "width": width, "num_layers": num_layers, "num_heads": num_heads,
                            "ffn_dim": ffn_units, "num_domains": num_domains}.items():
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        if width % num_heads:
            raise ValueError(f"width must be a multiple of num_heads, got width={width} and num_heads={num_heads}")
        check_rate("dropout", dropout)
        check_rate("attention_dropout", dropout if attention_dropout is None else attention_dropout)
        self.max_length = max_length
        self.width = width
        self.num_layers = num_layers
        self.num_heads = num_heads
        self.ffn_dim = ffn_dim
        self.dropout = dropout
        self.attention_dropout = attention_dropout
        self.causal = causal
        self.pre_norm = pre_norm
        self.num_domains = num_domains
        policy = {"dtype": self.dtype_policy}
        self.projection = tf.keras.layers.Dense(width, name="projection", **policy)
        self.blocks = [TransformerBlock(width, num_heads, ffn_units, pre_norm, name=f"block_{number}", **policy)
                       for number in range(num_layers)]
        self.norm = tf.keras.layers.LayerNormalization(epsilon=_EPSILON, name="norm", **policy)

    def build(self, input_shape: Any) -> None:
        """Creates the vectors of positions, domains and [MASK]; blocks are built by their first call."""
        self.project = int(input_shape[-1]) != self.width
        self.position_vectors, self.domain_vectors, self.mask_vector = (
            self.add_weight(name=name, shape=shape, initializer=tf.keras.initializers.TruncatedNormal(stddev=_STDDEV))
            for name, shape in (("position_vectors", (self.max_length, self.width)),
                                ("domain_vectors", (self.num_domains, self.width)), ("mask_vector", (self.width,))))
        self.built = True

    def call(self, items: tf.Tensor, mask: tf.Tensor, domain: tf.Tensor | None = None,
             hidden: tf.Tensor | None = None, seed: tf.Tensor | None = None, row_ids: tf.Tensor | None = None,
             training: bool | None = None) -> tf.Tensor:
        """Encodes the sequences; see the class."""
        if items.shape[1] is not None and items.shape[1] > self.max_length:
            raise ValueError(f"sequences must have at most max_length={self.max_length} events, got {items.shape[1]}")
        mask = tf.cast(mask, tf.bool)
        real = mask[:, :, tf.newaxis]  # [N, T, 1]
        drop = self._dropout(seed, row_ids, training)
        zero = tf.zeros([], self.compute_dtype)
        vectors = self.projected(tf.where(real, tf.cast(items, self.compute_dtype), zero))  # [N, T, W]
        if hidden is not None:
            vectors = tf.where(tf.cast(hidden, tf.bool)[:, :, tf.newaxis], self._cast(self.mask_vector), vectors)
        vectors += self._cast(self.position_vectors)[:tf.shape(items)[1]]
        domain = tf.zeros(tf.shape(mask), tf.int32) if domain is None else tf.cast(domain, tf.int32)
        vectors += tf.tensordot(tf.one_hot(domain, self.num_domains, dtype=self.compute_dtype),
                                self._cast(self.domain_vectors), 1)
        vectors = drop(0, vectors if self.pre_norm else self.norm(vectors))
        visible = mask[:, tf.newaxis, tf.newaxis, :]  # [N, 1, 1, T]
        if self.causal:
            visible &= _not_newer(tf.shape(items)[1])  # [N, 1, T, T]
        for number, block in enumerate(self.blocks):
            vectors = block(vectors, visible=visible, drop=of_block(drop, number))
        if self.pre_norm:
            vectors = self.norm(vectors)
        return tf.where(real, vectors, tf.zeros_like(vectors))

    def _cast(self, variable: Any) -> tf.Tensor:
        return tf.cast(variable, self.compute_dtype)

    def _dropout(self, seed: tf.Tensor | None, row_ids: tf.Tensor | None, training: bool | None) -> Dropout:
        """`drop(site, values)` for values `[N, T, W]`, or `[N, H, T, T]` at the sites of attention scores."""
        attention = self.dropout if self.attention_dropout is None else self.attention_dropout
        if not training or not (self.dropout or attention):
            return nothing_dropped
        if seed is None or row_ids is None:
            raise ValueError("training with dropout needs seed and row_ids, got "
                             f"{'no seed' if seed is None else 'no row_ids'}")
        return dropout_by_rows(row_ids, seed, self.num_layers, self.dropout, attention)

    def projected(self, items: tf.Tensor) -> tf.Tensor:
        """Items `[..., D]` in the width of the states, `[..., W]`, as they enter the encoder."""
        items = tf.cast(items, self.compute_dtype)
        return self.projection(items) if self.project else items

    def compute_mask(self, inputs: Any, mask: Any = None) -> None:
        """No mask for the output: padding is zeros."""
        return

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        names = ("max_length", "width", "num_layers", "num_heads", "ffn_dim", "dropout", "attention_dropout", "causal",
                 "pre_norm", "num_domains")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def _not_newer(length: tf.Tensor) -> tf.Tensor:
    """Bool `[T, T]`: whether the second position is the first or an older one."""
    position = tf.range(length)
    return position >= position[:, tf.newaxis]
