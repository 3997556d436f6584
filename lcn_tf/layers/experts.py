"""Networks of equal widths side by side (the experts of MMoE and PLE).

Shape letters: B requests, C candidates, N experts, W input width, U width of the last layer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from lcn_tf.layers.stateless_dropout import StatelessDropout


@tf.keras.utils.register_keras_serializable("lcn_tf")
class Experts(tf.keras.layers.Layer):
    """N multilayer perceptrons over one input; a layer of all of them is one product.

    Each expert's kernels begin as those of Keras' `Dense` do (Glorot and Bengio, 2010, uniform), its biases with 0.

    Args:
      count: N.
      units: widths of the layers of each expert.
      activation: of every layer.
      dropout: rate of dropout after every layer, in training only.
      dropout_seed: of its masks, see `StatelessDropout`.

    Call arguments:
      inputs: `[B, C, W]` float.
      training: whether dropout is active.

    Returns:
      `[B, C, N, U]`.

    Raises:
      ValueError: no expert, no layer, or a width below 1.
    """

    def __init__(self, count: int, units: Sequence[int], activation: str = "relu", dropout: float = 0.0,
                 dropout_seed: int = 0, **kwargs):
        super().__init__(**kwargs)
        if count < 1:
            raise ValueError(f"count must be at least 1, got {count}")
        if not units or any(width < 1 for width in units):
            raise ValueError(f"units must be one or more widths of at least 1, got {tuple(units)}")
        self.count = count
        self.units = tuple(units)
        self.activation = activation
        self.dropout = dropout
        self.dropout_seed = dropout_seed
        self._activation = tf.keras.activations.get(activation)
        self._dropouts = [StatelessDropout(dropout, dropout_seed + place * 2**32, name=f"dropout_{place}",
                                           dtype=self.dtype_policy) for place in range(len(units)) if dropout]

    def build(self, input_shape):
        """Creates kernels `[N, width, units[i]]` and biases `[N units[i]]`, which weight decay leaves alone."""
        width, self.kernels, self.biases = input_shape[-1], [], []
        for place, units in enumerate(self.units):
            limit = math.sqrt(6 / (width + units))
            self.kernels.append(self.add_weight(
                name=f"kernel_{place}", shape=[self.count, width, units],
                initializer=tf.keras.initializers.RandomUniform(-limit, limit)))
            self.biases.append(self.add_weight(name=f"bias_{place}", shape=[self.count * units], initializer="zeros"))
            width = units
        super().build(input_shape)

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Inputs `[B, C, W]` -> `[B, C, N, U]`."""
        hidden = inputs
        for place, (kernel, bias) in enumerate(zip(self.kernels, self.biases, strict=True)):
            product = tf.einsum("bcw,nwu->bcnu" if place == 0 else "bcnw,nwu->bcnu", hidden, kernel)
            hidden = self._activation(product + tf.reshape(bias, [self.count, self.units[place]]))
            if self._dropouts:
                hidden = self._dropouts[place](hidden, training=training)
        return hidden

    def compute_output_shape(self, input_shape):
        """`[B, C, W]` -> `[B, C, N, U]`."""
        return (*tuple(input_shape)[:-1], self.count, self.units[-1])

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        names = ("count", "units", "activation", "dropout", "dropout_seed")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def mixture(gate_logits: tf.Tensor, experts: tf.Tensor) -> tf.Tensor:
    """Sum of experts `[B, C, N, U]` weighted by a float32 softmax of their gate `[B, C, N]`: `[B, C, U]`."""
    weights = tf.nn.softmax(tf.cast(gate_logits, tf.float32))
    return tf.einsum("bcn,bcnu->bcu", tf.cast(weights, experts.dtype), experts)
