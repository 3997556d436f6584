"""Products of user and item for each behaviour, mixed for each label (MESI, of CIGF: Guo et al., WWW 2023).

Behaviours are the histories: what a history's encoder made of it stands for the user. Shape letters: B requests, C
candidates, D item width, U hidden width, H histories, V width of the products.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import tensorflow as tf

from lcn_tf.contracts import TowerInputs
from lcn_tf.layers.experts import mixture
from lcn_tf.layers.label_head import LabelHead, LossWeights
from lcn_tf.schema import Label

VERSION = 1


@dataclasses.dataclass(frozen=True)
class Config(LossWeights):
    """Options of the products and the losses."""

    width: int = dataclasses.field(default=64, metadata={"help": "width of the vectors of user and item"})
    scale: float = dataclasses.field(
        default=1.0, metadata={"help": "reading: factor of the sum that makes the logit"})

    def __post_init__(self):
        super().__post_init__()
        if self.width < 1:
            raise ValueError(f"mesi.width must be at least 1, got {self.width}")
        if not 0 < self.scale < float("inf"):
            raise ValueError(f"mesi.scale must be a positive number, got {self.scale}")


class BehaviourProducts(tf.keras.layers.Layer):
    """Element-wise products of user and item by behaviour, linear maps of interest and candidate without bias.

    Args:
      width: V.

    Call arguments:
      interests: history name -> interest `[B, C, any width]`.
      candidate: `[B, C, D]`.

    Returns:
      `[B, C, H, V]`; zeros where an interest is zero, as that of an empty history is.
    """

    def __init__(self, width: int, **kwargs):
        super().__init__(**kwargs)
        self.width = width

    def build(self, shapes: Mapping[str, tf.TensorShape]):
        """A map of each interest; those of the candidate, which build themselves, are one."""
        self.users = {name: tf.keras.layers.Dense(self.width, use_bias=False, name=f"{name}_user",
                                                  dtype=self.dtype_policy) for name in shapes}
        self.items = tf.keras.layers.Dense(len(shapes) * self.width, use_bias=False, name="items",
                                           dtype=self.dtype_policy)
        super().build(shapes)

    def call(self, interests: Mapping[str, tf.Tensor], candidate: tf.Tensor) -> tf.Tensor:
        """Interests and candidates -> products."""
        items = tf.split(self.items(candidate), len(self.users), -1)  # H of [B, C, V]
        return tf.stack([user(interests[name]) * item for (name, user), item in
                         zip(self.users.items(), items, strict=True)], 2)


class GatedSum(tf.keras.layers.Layer):
    """The sum over experts and width, experts weighted by a softmax, all in float32.

    Call arguments:
      experts: `[B, C, N, V]`.
      read: what the gate reads, `[B, C, any width]`.

    Returns:
      `[B, C]` float32.
    """

    def __init__(self, **kwargs):
        super().__init__(dtype="float32", **kwargs)

    def build(self, shape):
        """The gate of N experts."""
        self.gate = tf.keras.layers.Dense(shape[2], dtype="float32", name="gate")
        super().build(shape)

    def call(self, experts: tf.Tensor, read: tf.Tensor) -> tf.Tensor:
        """Experts and what the gate reads -> their weighted sum."""
        return tf.reduce_sum(mixture(self.gate(read), experts), -1)


class MESIHead(LabelHead):
    """Experts of every label: the products of all behaviours, and the label's hidden vector.

    A label b has a vector of the user, u_b, a linear map of its hidden vector, and one of the item, i_b, a linear map
    of the candidate. One gate for all labels reads both:

        g_b = softmax(W [u_b, i_b] + c),   logit_b = scale * sum_v (sum_h g_bh x_h + g_b,H+1 u_b)_v + bias_b

    where x_h are the products of the behaviours (`BehaviourProducts`). Losses are cross-entropies, that of a label
    which is given another over the candidates where that is 1; see docs/readings.md, MESI's experts.

    Args:
      config: options.
      labels: of the schema.

    Attributes:
      reads_fields: it reads candidate and interests, see `lcn_tf.contracts.ReadsFields`.

    Raises:
      ValueError: what `LabelHead` refuses.
    """

    reads_fields = True

    def __init__(self, config: Config, labels: Sequence[Label], **kwargs):
        super().__init__(config.weights, labels, "mesi", **kwargs)
        self.scale = config.scale
        self.products = BehaviourProducts(config.width, name="products", dtype=self.dtype_policy)
        self.users, self.items = ({name: tf.keras.layers.Dense(config.width, name=f"{name}_{of}",
                                                               dtype=self.dtype_policy) for name in self.labels}
                                  for of in ("user", "item"))
        self.gated = GatedSum(name="gated")
        self.biases = {name: self.add_weight(name=f"{name}_bias", shape=[], initializer="zeros", dtype=tf.float32,
                                              experimental_autocast=False) for name in self.labels}

    def call(self, hidden: tf.Tensor | Mapping[str, tf.Tensor], inputs: TowerInputs) -> dict[str, tf.Tensor]:
        """Hidden `[B, C, U]`, or label -> hidden, and the tower's inputs -> label -> logit `[B, C]`."""
        products = tf.cast(self.products(inputs.interests, inputs.candidate), tf.float32)  # [B, C, H, V]
        logits = {}
        for name in self.labels:
            user = tf.cast(self.users[name](hidden[name] if isinstance(hidden, Mapping) else hidden), tf.float32)
            item = tf.cast(self.items[name](inputs.candidate), tf.float32)  # [B, C, V]
            experts = tf.concat([products, user[:, :, tf.newaxis]], 2)  # [B, C, H + 1, V]
            logits[name] = self.scale * self.gated(experts, tf.concat([user, item], -1)) + self.biases[name]
        return logits


def build(config: Config, labels: Sequence[Label]) -> MESIHead:
    """The head of a configuration, for the labels of a schema."""
    return MESIHead(config, labels)
