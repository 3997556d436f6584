"""DIN's target attention over the lifelong history, without a search (Zhou et al., KDD 2018, section 4.3).

Shape letters: B requests, C candidates, L events, D item width, D_c context width.
"""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from lcn_tf.contracts import History
from lcn_tf.layers import DINAttention
from lcn_tf.ops.masking import mask_scores, masked_softmax
from lcn_tf.ops.recent_events import recency, recent_events

VERSION = 1


@dataclasses.dataclass(frozen=True)
class Config:
    """Options of DIN over long histories; the attention's defaults are the authors' code."""

    top_k: int | None = dataclasses.field(
        default=None, metadata={"help": "most recent events that are attended to (K); none: all; TWIN's protocol: 100"})
    hidden_units: tuple[int, ...] = dataclasses.field(
        default=(80, 40), metadata={"help": "hidden layers of the attention net"})
    softmax: bool = dataclasses.field(
        default=True, metadata={"help": "reading: normalise the attention (false: the paper)"})
    scale: bool = dataclasses.field(default=True, metadata={"help": "reading: divide the logits by sqrt(item width)"})
    context: bool = dataclasses.field(
        default=True, metadata={"help": "reading: attend to items with their context, as SIM does (false, the paper: "
                                        "items alone)", "before": False})

    def __post_init__(self):
        if self.top_k is not None and self.top_k < 1:
            raise ValueError(f"lifelong_din.top_k must be at least 1 or none, got {self.top_k}")
        if any(units < 1 for units in self.hidden_units):
            raise ValueError(f"lifelong_din.hidden_units must all be at least 1, got {self.hidden_units}")


class DINInterest(tf.keras.layers.Layer):
    """DIN pooling of the events; the attention net has activations of `[B, C, L, hidden_units]`.

    The candidate is compared with the items; the context is an additional input of the attention net and is pooled
    beside the items, see `DINAttention`.
    """

    def __init__(self, config: Config, **kwargs):
        super().__init__(**kwargs)
        self.config = config
        self.attention: DINAttention | None = None

    def call(self, candidate: tf.Tensor, history: History, training: bool = False) -> tf.Tensor:
        """Candidates `[B, C, D]` -> interest `[B, C, D + D_c]`, or `[B, C, D]` without context."""
        events = recent_events(history, self.config.top_k, self.config.context)
        return self._attention(history)(candidate, events.items, mask=events.mask, context=events.context)

    def stage_scores(self, candidate: tf.Tensor, history: History) -> dict[str, tf.Tensor]:
        """Scores `[B, C, L]` over the whole history: `final`, the attention; `gsu`, minus the position or `final`."""
        mask, context = history.mask, history.context if self.config.context else None
        logits = self._attention(history).attention_logits(candidate, history.items, context)
        final = mask_scores(masked_softmax(logits, mask) if self.config.softmax else logits, mask)
        return {"gsu": final if self.config.top_k is None else mask_scores(recency(mask), mask), "final": final}

    def _attention(self, history: History) -> DINAttention:
        """The attention, made when the width of the context is known."""
        if self.attention is None:
            config = self.config
            self.attention = DINAttention(config.hidden_units, use_softmax=config.softmax, scale=config.scale,
                                          context_width=history.context_width if config.context else 0,
                                          name="attention")
        return self.attention


def build(config: Config) -> DINInterest:
    """The layer of a configuration."""
    return DINInterest(config, name="din")
