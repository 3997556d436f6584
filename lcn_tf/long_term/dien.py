"""DIEN over the lifelong history, without a search (Zhou et al., AAAI 2019).

Shape letters: B requests, C candidates, L events, D item width.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

import tensorflow as tf

from lcn_tf.contracts import History, TrainingInputs
from lcn_tf.layers import InterestEvolution
from lcn_tf.layers.interest_evolution import next_event_loss
from lcn_tf.ops.masking import mask_scores
from lcn_tf.ops.recent_events import recency, recent_events

VERSION = 1


@dataclasses.dataclass(frozen=True)
class Config:
    """Options of DIEN over long histories; time and memory grow with every event that is read."""

    top_k: int | None = dataclasses.field(
        default=100, metadata={"help": "most recent events that are read (K; the authors: 100); none: all"})
    hidden_units: tuple[int, ...] = dataclasses.field(
        default=(80, 40), metadata={"help": "hidden layers of the attention net"})
    augru: Literal["paper", "code"] = dataclasses.field(
        default="paper", metadata={"help": "reading: attentional update gate of the paper, or of the authors' code"})
    context: bool = dataclasses.field(
        default=True, metadata={"help": "reading: read items with their context, as SIM does (false, the paper: items "
                                        "alone)", "before": False})
    aux_weight: float = dataclasses.field(
        default=1.0, metadata={"help": "weight of the loss by which each state of the first recurrence tells the next "
                                       "event from a random one (alpha; the authors: 1); 0: none", "before": 0.0})

    def __post_init__(self):
        if self.top_k is not None and self.top_k < 1:
            raise ValueError(f"lifelong_dien.top_k must be at least 1 or none, got {self.top_k}")
        if self.aux_weight < 0:
            raise ValueError(f"lifelong_dien.aux_weight must not be negative, got {self.aux_weight}")
        if any(units < 1 for units in self.hidden_units):
            raise ValueError(f"lifelong_dien.hidden_units must all be at least 1, got {self.hidden_units}")


class DIENInterest(tf.keras.layers.Layer):
    """Interest evolution over the `top_k` most recent events that a candidate may see.

    Attributes:
      own_terms, contrasted_events: see `lcn_tf.contracts.OwnLoss`.
    """

    def __init__(self, config: Config, **kwargs):
        super().__init__(**kwargs)
        self.config = config
        self.own_terms: tuple[str, ...] = ("next_event",) if config.aux_weight else ()
        self.contrasted_events = config.top_k
        self.evolution: InterestEvolution | None = None

    def call(self, candidate: tf.Tensor, history: History, training: bool = False) -> tf.Tensor:
        """Candidates `[B, C, D]` -> interest `[B, C, D]`."""
        events = recent_events(history, self.config.top_k, self.config.context)
        return self._evolution(history)(candidate, events.items, mask=events.mask, context=events.context)

    def interest_and_losses(self, candidate: tf.Tensor, history: History, inputs: TrainingInputs, training: bool = True
                            ) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """The interest of a call, and each candidate's loss on the next event, `[B, C]` or `[B, 1]`, weight applied.

        See `next_event_loss`; the negatives are `history.negatives()`.
        """
        events = recent_events(history, self.config.top_k, self.config.context)
        interest, states = self._evolution(history)(candidate, events.items, mask=events.mask, context=events.context,
                                                    return_states=True)
        negatives, valid = history.negatives()
        if events.indices is not None:
            indices = tf.minimum(events.indices, tf.shape(valid)[1] - 1)  # those of masked events may be larger
            negatives, valid = (tf.gather(values, indices, batch_dims=1) for values in (negatives, valid))
        loss = next_event_loss(states, events.items, negatives, events.mask, valid)
        return interest, {"next_event": self.config.aux_weight * loss}

    def stage_scores(self, candidate: tf.Tensor, history: History) -> dict[str, tf.Tensor]:
        """Scores `[B, C, L]` over the whole history: `final`, the attention; `gsu`, minus the position or `final`."""
        mask, context = history.mask, history.context if self.config.context else None
        final = self._evolution(history).attention_scores(candidate, history.items, mask, context)
        gsu = final if self.config.top_k is None else mask_scores(recency(mask), mask)
        return {"gsu": gsu, "final": final}

    def _evolution(self, history: History) -> InterestEvolution:
        """The recurrences, made when the width of the context is known."""
        if self.evolution is None:
            config = self.config
            self.evolution = InterestEvolution(config.hidden_units, config.augru,
                                               history.context_width if config.context else 0, name="evolution")
        return self.evolution


def build(config: Config) -> DIENInterest:
    """The layer of a configuration."""
    return DIENInterest(config, name="dien")
