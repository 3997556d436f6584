"""One logit per candidate (LCN paper, eq. 2).

Shape letters: B requests, C candidates, U hidden width.
"""

from __future__ import annotations

import tensorflow as tf


@tf.keras.utils.register_keras_serializable("lcn_tf")
class Logit(tf.keras.layers.Layer):
    """A linear layer from hidden vectors to logits, in float32 under mixed precision too.

    The probability is the sigmoid of the logit; losses take the logit itself, which stays exact where the
    probability would round to 0 or 1.

    Call arguments:
      hidden: `[B, C, U]` float.

    Returns:
      Logits `[B, C]` float32.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self._dense = tf.keras.layers.Dense(1, dtype="float32", name="logit")

    def build(self, input_shape):
        """Builds the linear layer for vectors of width `input_shape[-1]`."""
        with tf.name_scope(self._dense.name):
            self._dense.build((None, None, input_shape[-1]))
        super().build(input_shape)

    def call(self, hidden: tf.Tensor) -> tf.Tensor:
        """Hidden `[B, C, U]` -> logit `[B, C]`."""
        return self._dense(hidden)[..., 0]

    def compute_output_shape(self, input_shape):
        """`[B, C, U]` -> `[B, C]`."""
        return tuple(input_shape)[:-1]
