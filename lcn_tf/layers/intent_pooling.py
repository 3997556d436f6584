"""A sequence's intents: states pooled by how well each suits a prototype and how much it says of what comes.

Shapes: N rows, T events, W width, I intents.
"""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf

from lcn_tf.ops.masking import masked_softmax

_EPSILON = 1e-6  # of the layer normalisations
_STDDEV = 0.02  # of initial positions, prototypes and biases


class IntentPooling(tf.keras.layers.Layer):
    """DSS's intentions of a sequence (Ma et al., KDD 2020, section 3.2), computed in float32.

    With states z, prototypes c, positions a counted from the most recent event, biases b:

        p(k | i) = softmax over k of LN1(z_i) . LN2(c_k) / sqrt(W)
        key_i = x + ReLU(x A + a0) with x = LN3(z_i + a_i);  query = LN4(b' + a_0 + z_0)
        p(i) = softmax over i of key_i . query / sqrt(W);  intent_k = LN5(b_k + sum_i p(k | i) p(i) z_i)

    Args:
      num_intents: I.
      max_length: longest sequence.

    Call arguments:
      states: `[N, T, W]`, most recent first.
      mask: bool `[N, T]`, real events first.
      future: whether the sequences are what came after a cut, whose biases b are others.

    Returns:
      float32 `[N, I, W]`; of a row without events what the biases alone give.
    """

    def __init__(self, num_intents: int, max_length: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.num_intents, self.max_length = num_intents, max_length
        self.norms = {name: tf.keras.layers.LayerNormalization(epsilon=_EPSILON, name=f"norm_{name}", dtype="float32")
                      for name in ("state", "prototype", "key", "query", "intent")}

    def build(self, input_shape: Any) -> None:
        """Creates prototypes, positions and biases."""
        width = int(input_shape[-1])
        shapes = {"prototypes": (self.num_intents, width), "positions": (self.max_length, width),
                  "biases": (2, self.num_intents, width), "query_bias": (width,)}
        self.vectors = {name: self.add_weight(
            name=name, shape=shape, initializer=tf.keras.initializers.TruncatedNormal(stddev=_STDDEV))
            for name, shape in shapes.items()}
        self.key_layer = tf.keras.layers.Dense(width, "relu", name="key", dtype="float32")
        self.key_layer.build([None, width])
        for name, norm in self.norms.items():
            norm.build([None, width] if name in ("prototype", "query") else [None, None, width])
        self.built = True

    def call(self, states: tf.Tensor, mask: tf.Tensor, future: bool = False) -> tf.Tensor:
        """Pools the states; see the class."""
        states, scale = tf.cast(states, tf.float32), math.sqrt(states.shape[-1])
        vectors, norms = {name: tf.cast(value, tf.float32) for name, value in self.vectors.items()}, self.norms
        suits = tf.nn.softmax(tf.matmul(norms["state"](states), norms["prototype"](vectors["prototypes"]),
                                        transpose_b=True) / scale)  # [N, T, I]
        placed = norms["key"](states + vectors["positions"][:tf.shape(states)[1]])
        keys = placed + self.key_layer(placed)  # [N, T, W]
        query = norms["query"](vectors["query_bias"] + vectors["positions"][0] + states[:, 0])  # [N, W]
        weights = masked_softmax(tf.linalg.matvec(keys, query) / scale, mask)  # [N, T]
        pooled = tf.matmul(suits * weights[:, :, tf.newaxis], states, transpose_a=True)  # [N, I, W]
        return norms["intent"](vectors["biases"][int(future)] + pooled)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {**super().get_config(), "num_intents": self.num_intents, "max_length": self.max_length}
