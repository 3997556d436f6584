"""DIN's target attention over the lifelong history, without a search (Zhou et al., KDD 2018; SPEC B.5).

Shape letters: B requests, C candidates, L events, D item width.
"""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from lcn_tf.embeddings import EmbeddedHistory
from lcn_tf.layers import DINAttention
from lcn_tf.layers.masking import mask_scores, masked_softmax
from lcn_tf.layers.recent_events import recency, recent_events

VERSION = 1


@dataclasses.dataclass(frozen=True)
class Config:
    """Options of DIN over long histories; the attention's defaults are the authors' code."""

    top_k: int | None = dataclasses.field(
        default=None, metadata={"help": "most recent events that are attended to (K); none: all; TWIN's protocol: 100"})
    hidden_units: tuple[int, ...] = dataclasses.field(
        default=(80, 40), metadata={"help": "hidden layers of the attention net"})
    softmax: bool = dataclasses.field(default=True, metadata={"help": "normalise the attention (false: the paper)"})
    scale: bool = dataclasses.field(default=True, metadata={"help": "divide the logits by sqrt(item width)"})

    def __post_init__(self):
        if self.top_k is not None and self.top_k < 1:
            raise ValueError(f"lifelong_din.top_k must be at least 1 or none, got {self.top_k}")


class DINInterest(tf.keras.layers.Layer):
    """DIN pooling of the items; the attention net has activations of `[B, C, L, hidden_units]`."""

    def __init__(self, config: Config, **kwargs):
        super().__init__(**kwargs)
        self.top_k = config.top_k
        self.attention = DINAttention(config.hidden_units, use_softmax=config.softmax, scale=config.scale,
                                      name="attention")

    def call(self, candidate: tf.Tensor, history: EmbeddedHistory, training: bool = False) -> tf.Tensor:
        """Candidates `[B, C, D]` -> interest `[B, C, D]`."""
        return self.attention(candidate, *recent_events(history, self.top_k))

    def stage_scores(self, candidate: tf.Tensor, history: EmbeddedHistory) -> dict[str, tf.Tensor]:
        """Scores `[B, C, L]` over the whole history: `final`, the attention; `gsu`, minus the position or `final`."""
        logits, mask = self.attention.attention_logits(candidate, history.items), history.mask
        final = mask_scores(masked_softmax(logits, mask) if self.attention.use_softmax else logits, mask)
        return {"gsu": final if self.top_k is None else mask_scores(recency(mask), mask), "final": final}


def build(config: Config) -> DINInterest:
    """The layer of a configuration."""
    return DINInterest(config, name="din")
