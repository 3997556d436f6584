"""Attention over random events: what a search is worth beyond looking at as many events.

Shape letters: B requests, C candidates, L events, D item width.
"""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from lcn_tf.contracts import History
from lcn_tf.layers.top_k_attention import TopKAttention
from lcn_tf.ops.event_hash import uniform_of_ids

VERSION = 1


@dataclasses.dataclass(frozen=True)
class Config:
    """Options of the choice and the attention."""

    top_k: int = dataclasses.field(default=50, metadata={"help": "random events that are attended to (K)"})
    choice_seed: int = dataclasses.field(default=0, metadata={"help": "seed of the choice of events"})
    attention_dim: int = dataclasses.field(default=64, metadata={"help": "width of the attention's projections"})
    num_heads: int = dataclasses.field(default=1, metadata={"help": "heads of the attention"})


class RandomInterest(tf.keras.layers.Layer):
    """Attention over `top_k` random events among those that a candidate may see, context included.

    Which events is decided by a hash of their item ids and timestamps and the seed: the same in every pass, layout and
    process, whatever the candidate, and in the exported model.
    """

    def __init__(self, config: Config, **kwargs):
        super().__init__(**kwargs)
        self.choice_seed = config.choice_seed
        self.attention = TopKAttention(config.top_k, config.attention_dim, config.num_heads, name="attention")

    def call(self, candidate: tf.Tensor, history: History, training: bool = False) -> tf.Tensor:
        """Candidates `[B, C, D]` -> interest `[B, C, D]`."""
        return self.attention(candidate, history, self._draws(history))

    def stage_scores(self, candidate: tf.Tensor, history: History) -> dict[str, tf.Tensor]:
        """Scores `[B, C, L]` over the whole history: `gsu`, the random numbers; `final`, the attention."""
        return self.attention.stage_scores(candidate, history, self._draws(history))

    def explain(self, candidate: tf.Tensor, history: History) -> dict[str, tf.Tensor]:
        """Positions and weights `[B, C, K]` of the events attended to, see `TopKAttention.explain`."""
        return self.attention.explain(candidate, history, self._draws(history))

    def _draws(self, history: History) -> tf.Tensor:
        """A random number for each event, `[B, 1, L]`."""
        return uniform_of_ids(history.event_ids(), self.choice_seed)[:, tf.newaxis]


def build(config: Config) -> RandomInterest:
    """The layer of a configuration."""
    return RandomInterest(config, name="random_k")
