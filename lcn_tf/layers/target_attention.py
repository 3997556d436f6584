"""DIN's target attention: a small network scores each event of a history against the candidate.

Shapes: B requests, C candidates, S events, D item width, D_c context width, U units of the first hidden layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from lcn_tf.layers.history_layer import HistoryLayer
from lcn_tf.ops.event_forms import Vectors, as_vectors, project, weighted_sums
from lcn_tf.ops.masking import expand_mask, masked_softmax


@tf.keras.utils.register_keras_serializable("lcn_tf")
class DINAttention(HistoryLayer):
    """Pools a history by `w_k = MLP([q, k, q - k, q * k])`, q being the candidate and k an event.

    Zhou et al., KDD 2018 (Deep Interest Network), section 4.3. Defaults follow the authors' code (`din/model.py`):
    units 80, 40 and 1, sigmoid, logits divided by `sqrt(D)`, softmax; the paper itself drops the softmax.
    The first layer is folded: with its kernel split into rows for q, k, q - k and q * k it is
    `q (W_q + W_d) + k (W_k - W_d) + (q * k) W_p`, so that the first part is computed once per candidate, the second
    once per event, and no `[B, C, S, 4 D]` input is built.

    Where events have a context, which the candidate has not, its columns c join the network's input,
    `MLP([q, k, q - k, q * k, c])`, and what is pooled, `[k, c]`. (Not in the paper.)

    Args:
      hidden_units: widths of the hidden layers; an empty sequence leaves a single linear layer.
      activation: of the hidden layers, a Keras name.
      use_softmax: masked softmax over the history; False sums with the masked logits (the paper's variant).
      scale: divide the logits by `sqrt(D)`.
      context_width: D_c, 0 for events without context.

    Call arguments:
      candidate: `[B, C, D]`.
      history: `[B, S, D]`, `[B, 1, S, D]` or `[B, C, S, D]`.
      mask: bool `[B, S]`, `[B, 1, S]` or `[B, C, S]`, True = real.
      context: of the events, `[..., D_c]` in any form of `lcn_tf.ops.event_forms`; None without.

    Returns:
      interest `[B, C, D + D_c]` in the compute dtype; zeros for an empty history.

    Raises:
      ValueError: a width below 1, an unknown activation, a context without its width or a width without a context.

    Example:
      >>> from lcn_tf.layers import DINAttention
      >>> candidate, history = tf.ones([2, 5, 16]), tf.ones([2, 24, 16])
      >>> DINAttention(hidden_units=(80, 40))(candidate, history, mask=tf.ones([2, 24], tf.bool)).shape
      TensorShape([2, 5, 16])
    """

    def __init__(self, hidden_units: Sequence[int] = (80, 40), activation: str = "sigmoid", use_softmax: bool = True,
                 scale: bool = True, context_width: int = 0, **kwargs: Any):
        super().__init__(**kwargs)
        if any(units < 1 for units in hidden_units):
            raise ValueError(f"hidden_units must all be at least 1, got {tuple(hidden_units)}")
        self.hidden_units = tuple(hidden_units)
        self.activation = activation
        self.use_softmax = use_softmax
        self.scale = scale
        self.context_width = context_width
        self._activate = tf.keras.activations.get(activation)
        widths = (*self.hidden_units[1:], 1) if self.hidden_units else ()
        self.dense_layers = [
            tf.keras.layers.Dense(units, None if place == len(widths) else activation, name=f"dense_{place}",
                                  dtype=self.dtype_policy)
            for place, units in enumerate(widths, start=1)]

    def build(self, input_shape: Any) -> None:
        """Creates the first layer, `kernel [4 D + D_c, U]` in the order q, k, q - k, q * k, c and `bias [U]`."""
        units = self.hidden_units[0] if self.hidden_units else 1
        self.kernel = self.add_weight(name="kernel", shape=(4 * int(input_shape[-1]) + self.context_width, units),
                                      initializer="glorot_uniform")
        self.bias = self.add_weight(name="bias", shape=(units,), initializer="zeros")
        self.built = True

    def call(self, candidate: tf.Tensor, history: tf.Tensor, mask: tf.Tensor, context: Vectors | None = None
             ) -> tf.Tensor:
        """Pools the history; see the class."""
        mask = expand_mask(mask)  # [B, 1 or C, S]
        logits = self.attention_logits(candidate, history, context)  # [B, C, S]
        weights = masked_softmax(logits, mask) if self.use_softmax else tf.where(mask, logits, 0.0)
        history = tf.cast(history, tf.float32)
        if history.shape.rank == 4:
            pooled = tf.matmul(weights[:, :, tf.newaxis], history)[:, :, 0]  # [B, C, D]
        else:
            pooled = tf.matmul(weights, history)  # [B, C, D]
        if context is not None:
            of_context = weighted_sums(weights[:, :, tf.newaxis], as_vectors(context))[:, :, 0]  # [B, C, D_c]
            pooled = tf.concat([pooled, of_context], -1)
        return tf.cast(pooled, self.compute_dtype)

    def attention_logits(self, candidate: tf.Tensor, history: tf.Tensor, context: Vectors | None = None) -> tf.Tensor:
        """Unmasked float32 logits `[B, C, S]`, scaled if `scale`."""
        if (context is not None) != (self.context_width > 0):
            raise ValueError(f"a context is needed if and only if context_width, {self.context_width}, is positive; "
                             f"got {'none' if context is None else 'one'}")
        candidate = tf.cast(candidate, self.compute_dtype)
        history = tf.cast(history, self.compute_dtype)
        width = candidate.shape[-1]
        w_query, w_key, w_difference, w_product, w_context = tf.split(
            tf.cast(self.kernel, self.compute_dtype), [width] * 4 + [self.context_width])  # [D, U], the last [D_c, U]
        query_part = tf.tensordot(candidate, w_query + w_difference, 1) + tf.cast(self.bias, self.compute_dtype)
        history = history if history.shape.rank == 4 else history[:, tf.newaxis]  # [B, 1 or C, S, D]
        key_part = tf.tensordot(history, w_key - w_difference, 1)  # [B, 1 or C, S, U]
        product = candidate[:, :, tf.newaxis, :] * history  # [B, C, S, D]
        hidden = tf.tensordot(product, w_product, 1) + query_part[:, :, tf.newaxis, :] + key_part
        if context is not None:
            hidden += project(as_vectors(context), w_context)
        if self.hidden_units:
            hidden = self._activate(hidden)  # [B, C, S, U]
        for layer in self.dense_layers:
            hidden = layer(hidden)
        logits = tf.cast(hidden[..., 0], tf.float32)  # [B, C, S]
        if self.scale:
            logits *= tf.math.rsqrt(tf.cast(tf.shape(candidate)[-1], tf.float32))
        return logits

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        names = ("hidden_units", "activation", "use_softmax", "scale", "context_width")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
