"""SIM with hard search: attention over the most recent events of the candidate's key (Pi et al., CIKM 2020).

Shape letters: B requests, C candidates, L events, D item width.
"""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from lcn_tf.contracts import History
from lcn_tf.layers.top_k_attention import TopKAttention
from lcn_tf.ops.masking import mask_scores
from lcn_tf.ops.recent_events import recency

VERSION = 1


@dataclasses.dataclass(frozen=True)
class Config:
    """Options of SIM Hard (Pi et al., CIKM 2020, section 3.2)."""

    key: str | None = dataclasses.field(
        default=None, metadata={"help": "item field whose value an event must share with the candidate, one that both "
                                        "domains have in common; none: that of the fewest values, the category"})
    top_k: int = dataclasses.field(
        default=50, metadata={"help": "most recent events of the key that are attended to (K)"})
    attention_dim: int = dataclasses.field(default=64, metadata={"help": "width of the attention's projections"})
    num_heads: int = dataclasses.field(default=1, metadata={"help": "heads of the attention"})


class SIMHardInterest(tf.keras.layers.Layer):
    """Attention over the `top_k` most recent events of the candidate's key; zeros where there is none.

    The search has no weights and no loss. Where the domains share no value of the key, as categories of the paper's
    data, it finds nothing at all: choose a field that bridges them.
    """

    def __init__(self, config: Config, **kwargs):
        super().__init__(**kwargs)
        self.key = config.key
        self.attention = TopKAttention(config.top_k, config.attention_dim, config.num_heads, name="attention")

    def call(self, candidate: tf.Tensor, history: History, training: bool = False) -> tf.Tensor:
        """Candidates `[B, C, D]` -> interest `[B, C, D]`."""
        return self.attention(candidate, history, recency(history.mask), mask=self._found(history))

    def stage_scores(self, candidate: tf.Tensor, history: History) -> dict[str, tf.Tensor]:
        """Scores `[B, C, L]` over the whole history: `final`, the attention; `gsu`, the order of the search.

        `gsu` is minus the position, and less by L for the events of another key, which the search never finds.
        """
        found, mask = self._found(history), history.mask
        position = recency(mask)
        scores = tf.where(found, position, position - tf.cast(tf.shape(mask)[-1], tf.float32))
        return {"gsu": mask_scores(scores, mask), "final": self.attention.final_scores(candidate, history)}

    def explain(self, candidate: tf.Tensor, history: History) -> dict[str, tf.Tensor]:
        """Positions and weights `[B, C, K]` of the events attended to, see `TopKAttention.explain`."""
        return self.attention.explain(candidate, history, recency(history.mask), self._found(history))

    def _found(self, history: History) -> tf.Tensor:
        """Visible events of the candidate's key, bool `[B, C, L]`."""
        return history.shares(self.key) & history.mask


def build(config: Config) -> SIMHardInterest:
    """The layer of a configuration."""
    return SIMHardInterest(config, name="sim_hard")
