"""Attention over the whole lifelong history: the upper bound of every model that retrieves first.

Shape letters: B requests, C candidates, L events, D item width.
"""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from lcn_tf.contracts import History
from lcn_tf.layers.top_k_attention import TopKAttention

VERSION = 1


@dataclasses.dataclass(frozen=True)
class Config:
    """Options of the attention."""

    attention_dim: int = dataclasses.field(default=64, metadata={"help": "width of the attention's projections"})
    num_heads: int = dataclasses.field(default=1, metadata={"help": "heads of the attention"})


class FullAttentionInterest(tf.keras.layers.Layer):
    """Attention over every visible event, context included."""

    def __init__(self, config: Config, **kwargs):
        super().__init__(**kwargs)
        self.attention = TopKAttention(None, config.attention_dim, config.num_heads, name="attention")

    def call(self, candidate: tf.Tensor, history: History, training: bool = False) -> tf.Tensor:
        """Candidates `[B, C, D]` -> interest `[B, C, D]`."""
        return self.attention(candidate, history)

    def stage_scores(self, candidate: tf.Tensor, history: History) -> dict[str, tf.Tensor]:
        """Scores `[B, C, L]` of the attention, which is `gsu` and `final` in one."""
        final = self.attention.final_scores(candidate, history)
        return {"gsu": final, "final": final}


def build(config: Config) -> FullAttentionInterest:
    """The layer of a configuration."""
    return FullAttentionInterest(config, name="full_attention")
