"""Attention over the most recent events: what a model that retrieves must beat with as many events.

Shape letters: B requests, C candidates, L events, D item width.
"""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from lcn_tf.contracts import History
from lcn_tf.layers.top_k_attention import TopKAttention
from lcn_tf.ops.recent_events import recency

VERSION = 1


@dataclasses.dataclass(frozen=True)
class Config:
    """Options of the attention."""

    top_k: int = dataclasses.field(default=50, metadata={"help": "most recent events that are attended to (K)"})
    attention_dim: int = dataclasses.field(default=64, metadata={"help": "width of the attention's projections"})
    num_heads: int = dataclasses.field(default=1, metadata={"help": "heads of the attention"})


class RecentInterest(tf.keras.layers.Layer):
    """Attention over the `top_k` most recent events that a candidate may see, context included."""

    def __init__(self, config: Config, **kwargs):
        super().__init__(**kwargs)
        self.attention = TopKAttention(config.top_k, config.attention_dim, config.num_heads, name="attention")

    def call(self, candidate: tf.Tensor, history: History, training: bool = False) -> tf.Tensor:
        """Candidates `[B, C, D]` -> interest `[B, C, D]`."""
        return self.attention(candidate, history, recency(history.mask))

    def stage_scores(self, candidate: tf.Tensor, history: History) -> dict[str, tf.Tensor]:
        """Scores `[B, C, L]` over the whole history: `gsu`, minus the position; `final`, the attention."""
        return self.attention.stage_scores(candidate, history, recency(history.mask))

    def explain(self, candidate: tf.Tensor, history: History) -> dict[str, tf.Tensor]:
        """Positions and weights `[B, C, K]` of the events attended to, see `TopKAttention.explain`."""
        return self.attention.explain(candidate, history, recency(history.mask))


def build(config: Config) -> RecentInterest:
    """The layer of a configuration."""
    return RecentInterest(config, name="recent_k")
