"""DIEN over the lifelong history, without a search (Zhou et al., AAAI 2019; SPEC B.6).

Shape letters: B requests, C candidates, L events, D item width.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

import tensorflow as tf

from lcn_tf.embeddings import EmbeddedHistory
from lcn_tf.layers import InterestEvolution
from lcn_tf.layers.masking import mask_scores
from lcn_tf.layers.recent_events import recency, recent_events

VERSION = 1


@dataclasses.dataclass(frozen=True)
class Config:
    """Options of DIEN over long histories; time and memory grow with every event that is read."""

    top_k: int | None = dataclasses.field(
        default=100, metadata={"help": "most recent events that are read (K; the authors: 100); none: all"})
    hidden_units: tuple[int, ...] = dataclasses.field(
        default=(80, 40), metadata={"help": "hidden layers of the attention net"})
    augru: Literal["paper", "code"] = dataclasses.field(
        default="paper", metadata={"help": "attentional update gate of the paper, or of the authors' code"})

    def __post_init__(self):
        if self.top_k is not None and self.top_k < 1:
            raise ValueError(f"lifelong_dien.top_k must be at least 1 or none, got {self.top_k}")


class DIENInterest(tf.keras.layers.Layer):
    """Interest evolution over the items of the `top_k` most recent events that a candidate may see."""

    def __init__(self, config: Config, **kwargs):
        super().__init__(**kwargs)
        self.top_k = config.top_k
        self.evolution = InterestEvolution(config.hidden_units, config.augru, name="evolution")

    def call(self, candidate: tf.Tensor, history: EmbeddedHistory, training: bool = False) -> tf.Tensor:
        """Candidates `[B, C, D]` -> interest `[B, C, D]`."""
        return self.evolution(candidate, *recent_events(history, self.top_k))

    def stage_scores(self, candidate: tf.Tensor, history: EmbeddedHistory) -> dict[str, tf.Tensor]:
        """Scores `[B, C, L]` over the whole history: `final`, the attention; `gsu`, minus the position or `final`."""
        final = self.evolution.attention_scores(candidate, history.items, history.mask)
        gsu = final if self.top_k is None else mask_scores(recency(history.mask), history.mask)
        return {"gsu": gsu, "final": final}


def build(config: Config) -> DIENInterest:
    """The layer of a configuration."""
    return DIENInterest(config, name="dien")
