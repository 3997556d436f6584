"""Target attention with the candidate as query (DIN, KDD 2018, section 4.3)."""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from lcn_tf.contracts import History
from lcn_tf.layers import DINAttention

VERSION = 1


@dataclasses.dataclass(frozen=True)
class Config:
    """Options of DIN; the defaults are the authors' code."""

    hidden_units: tuple[int, ...] = dataclasses.field(
        default=(80, 40), metadata={"help": "hidden layers of the attention net"})
    softmax: bool = dataclasses.field(
        default=True, metadata={"help": "reading: normalise the attention (false: the paper)"})
    scale: bool = dataclasses.field(default=True, metadata={"help": "reading: divide the logits by sqrt(item width)"})


class DINInterest(tf.keras.layers.Layer):
    """DIN pooling of an embedded history."""

    def __init__(self, config: Config, **kwargs):
        super().__init__(**kwargs)
        self.attention = DINAttention(config.hidden_units, use_softmax=config.softmax, scale=config.scale)

    def call(self, candidate: tf.Tensor, history: History, training: bool = False) -> tf.Tensor:
        """Candidates `[B, C, D]` -> interest `[B, C, D]`."""
        return self.attention(candidate, history.items, history.mask)


def build(config: Config) -> DINInterest:
    """The layer of a configuration."""
    return DINInterest(config, name="din")
