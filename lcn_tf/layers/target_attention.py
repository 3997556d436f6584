"""DIN's target attention: a small network scores each event of a short history against the candidate.

Shapes: B requests, C candidates, S events, D item width, U units of the first hidden layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from lcn_tf.layers.history_layer import HistoryLayer
from lcn_tf.layers.masking import expand_mask, masked_softmax


@tf.keras.utils.register_keras_serializable("lcn_tf")
class DINAttention(HistoryLayer):
    """Pools a history by `w_k = MLP([q, k, q - k, q * k])`, q being the candidate and k an event.

    Zhou et al., KDD 2018 (Deep Interest Network), section 4.3. Defaults follow the authors' code (`din/model.py`):
    units 80, 40 and 1, sigmoid, logits divided by `sqrt(D)`, softmax; the paper itself drops the softmax.
    The first layer is folded: with its kernel split into rows for q, k, q - k and q * k it is
    `q (W_q + W_d) + k (W_k - W_d) + (q * k) W_p`, so that the first part is computed once per candidate, the second
    once per event, and no `[B, C, S, 4 D]` input is built.

    Args:
      hidden_units: widths of the hidden layers; an empty sequence leaves a single linear layer.
      activation: of the hidden layers, a Keras name.
      use_softmax: masked softmax over the history; False sums with the masked logits (the paper's variant).
      scale: divide the logits by `sqrt(D)`.

    Call arguments:
      candidate: `[B, C, D]`.
      history: `[B, S, D]` or `[B, C, S, D]`.
      mask: bool `[B, S]` or `[B, C, S]`, True = real.

    Returns:
      interest `[B, C, D]` in the compute dtype; zeros for an empty history.

    Raises:
      ValueError: a width below 1, an unknown activation.
    """

    def __init__(self, hidden_units: Sequence[int] = (80, 40), activation: str = "sigmoid", use_softmax: bool = True,
                 scale: bool = True, **kwargs: Any):
        super().__init__(**kwargs)
        if any(units < 1 for units in hidden_units):
            raise ValueError(f"hidden_units must all be at least 1, got {tuple(hidden_units)}")
        self.hidden_units = tuple(hidden_units)
        self.activation = activation
        self.use_softmax = use_softmax
        self.scale = scale
        self._activate = tf.keras.activations.get(activation)
        widths = (*self.hidden_units[1:], 1) if self.hidden_units else ()
        self.dense_layers = [
            tf.keras.layers.Dense(units, None if place == len(widths) else activation, name=f"dense_{place}",
                                  dtype=self.dtype_policy)
            for place, units in enumerate(widths, start=1)]

    def build(self, input_shape: Any) -> None:
        """Creates the first layer, `kernel [4 D, U]` in the order q, k, q - k, q * k and `bias [U]`."""
        units = self.hidden_units[0] if self.hidden_units else 1
        self.kernel = self.add_weight(name="kernel", shape=(4 * int(input_shape[-1]), units),
                                      initializer="glorot_uniform")
        self.bias = self.add_weight(name="bias", shape=(units,), initializer="zeros")
        self.built = True

    def call(self, candidate: tf.Tensor, history: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        """Pools the history; see the class."""
        mask = expand_mask(mask)  # [B, 1 or C, S]
        logits = self.attention_logits(candidate, history)  # [B, C, S]
        weights = masked_softmax(logits, mask) if self.use_softmax else tf.where(mask, logits, 0.0)
        history = tf.cast(history, tf.float32)
        if history.shape.rank == 4:
            return tf.cast(tf.matmul(weights[:, :, tf.newaxis], history)[:, :, 0], self.compute_dtype)  # [B, C, D]
        return tf.cast(tf.matmul(weights, history), self.compute_dtype)  # [B, C, D]

    def attention_logits(self, candidate: tf.Tensor, history: tf.Tensor) -> tf.Tensor:
        """Unmasked float32 logits `[B, C, S]`, scaled if `scale`."""
        candidate = tf.cast(candidate, self.compute_dtype)
        history = tf.cast(history, self.compute_dtype)
        w_query, w_key, w_difference, w_product = tf.split(tf.cast(self.kernel, self.compute_dtype), 4)  # [D, U] each
        query_part = tf.tensordot(candidate, w_query + w_difference, 1) + tf.cast(self.bias, self.compute_dtype)
        history = history if history.shape.rank == 4 else history[:, tf.newaxis]  # [B, 1 or C, S, D]
        key_part = tf.tensordot(history, w_key - w_difference, 1)  # [B, 1 or C, S, U]
        product = candidate[:, :, tf.newaxis, :] * history  # [B, C, S, D]
        hidden = tf.tensordot(product, w_product, 1) + query_part[:, :, tf.newaxis, :] + key_part
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
        names = ("hidden_units", "activation", "use_softmax", "scale")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
