"""Multi-head target attention with the candidate as query, as the lifelong baselines' last stage."""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from lcn_tf.contracts import History
from lcn_tf.layers import TargetMHA

VERSION = 1


@dataclasses.dataclass(frozen=True)
class Config:
    """Options of multi-head target attention."""

    attention_dim: int = dataclasses.field(
        default=64, metadata={"help": "width of the projections, all heads together"})
    num_heads: int = dataclasses.field(default=1, metadata={"help": "heads of the attention"})


class MHTAInterest(tf.keras.layers.Layer):
    """`TargetMHA` over the items of an embedded history; zeros for an empty one."""

    def __init__(self, config: Config, **kwargs):
        super().__init__(**kwargs)
        self.attention = TargetMHA(config.attention_dim, config.num_heads, name="attention")

    def call(self, candidate: tf.Tensor, history: History, training: bool = False) -> tf.Tensor:
        """Candidates `[B, C, D]` -> interest `[B, C, D]`."""
        return self.attention(candidate, events=history.vectors, mask=history.mask)[0]


def build(config: Config) -> MHTAInterest:
    """The layer of a configuration."""
    return MHTAInterest(config, name="mhta")
