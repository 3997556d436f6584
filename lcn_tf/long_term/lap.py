"""The Lifelong Attention Pyramid as a long-term model (LCN paper, section 4.3)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Literal

import tensorflow as tf

from lcn_tf.contracts import History, SearchTables
from lcn_tf.layers import LAP
from lcn_tf.layers.lap import check_levels
from lcn_tf.ops.compact_events import Compact
from lcn_tf.ops.event_forms import beside, compact

VERSION = 1

_EVERY = tf.int32.max


@dataclasses.dataclass(frozen=True)
class Config:
    """Options of LAP: the paper's LCN-200-50 as docs/readings.md reads it, with levels of one size (`level_norm`)."""

    msa_top_k: int | Literal["all"] | None = dataclasses.field(
        default=200, metadata={"help": "events CSA passes to MSA (K1); all: every one; none leaves MSA out"})
    fsa_top_k: int | Literal["all"] | None = dataclasses.field(
        default=50, metadata={"help": "events MSA passes to FSA (K2); all: every one; none leaves FSA out"})
    csa_pool: Literal["sum", "mean", "softmax", "abs_norm"] = dataclasses.field(
        default="sum", metadata={"help": "reading: how CSA pools all events; sum is eq. 8 as printed"})
    csa_scale: bool = dataclasses.field(
        default=False, metadata={"help": "reading: divide CSA's scores by sqrt(item width)"})
    msa_norm: Literal["softmax", "none"] = dataclasses.field(
        default="softmax", metadata={"help": "reading: normalisation of MSA's scores; none is eq. 10 as printed"})
    attention_dim: int = dataclasses.field(default=64, metadata={"help": "width of MSA's and FSA's projections"})
    num_heads: int = dataclasses.field(default=4, metadata={"help": "heads of FSA"})
    ffn_dim: int | None = dataclasses.field(
        default=None, metadata={"help": "hidden width of FSA's feed-forward net; none: 4 * attention_dim"})
    fsa_pool: Literal["query", "per_item"] = dataclasses.field(
        default="query", metadata={"help": "reading: mean of eq. 13, of the query's one output or of one per event"})
    fsa_residual: bool = dataclasses.field(default=False, metadata={"help": "reading: residual connections in FSA"})
    fsa_layer_norm: bool = dataclasses.field(default=False, metadata={"help": "reading: layer normalisation in FSA"})
    fsa_dropout: float = dataclasses.field(default=0.0, metadata={"help": "dropout rate in FSA"})
    integration: Literal["concat", "last", "sum"] = dataclasses.field(
        default="concat", metadata={"help": "reading: how the levels' interests are combined; last: FSA's alone"})
    level_norm: Literal["none", "rms", "candidate"] = dataclasses.field(
        default="candidate", metadata={"help": "reading: size of the levels' interests: the candidate embedding's, 0.1 "
                                               "(rms), as printed (none)", "before": "none"})
    share_msa_fsa: bool = dataclasses.field(
        default=False, metadata={"help": "reading: MSA ranks with FSA's projections"})

    def __post_init__(self):
        try:
            check_levels(**self.levels, integration=self.integration, share_msa_fsa=self.share_msa_fsa)
        except ValueError as error:
            raise ValueError(f"lap: {error}") from error
        if self.num_heads < 1 or self.attention_dim < 1 or self.attention_dim % self.num_heads:
            raise ValueError("lap.attention_dim must be a positive multiple of lap.num_heads, got "
                             f"{self.attention_dim} and {self.num_heads}")

    @property
    def levels(self) -> dict[str, int | None]:
        """`msa_top_k` and `fsa_top_k` as the layer takes them: a number beyond every history stands for `all`."""
        msa_top_k = _EVERY if self.msa_top_k == "all" else self.msa_top_k
        fsa_top_k = (msa_top_k or _EVERY) if self.fsa_top_k == "all" else self.fsa_top_k
        return {"msa_top_k": msa_top_k, "fsa_top_k": fsa_top_k}


class LAPInterest(tf.keras.layers.Layer):
    """LAP over an embedded history; MSA and FSA look the events they are passed up by id.

    Attributes:
      search_tables, pretrained: see `lcn_tf.contracts.SearchesTables`; CSA's scores read them.
      keeps_state: see `lcn_tf.contracts.KeepsState`.
    """

    search_tables: SearchTables = "objective"
    pretrained = None
    keeps_state = True

    def __init__(self, config: Config, **kwargs):
        super().__init__(**kwargs)
        self.lap = LAP(**{**dataclasses.asdict(config), **config.levels}, name="lap")

    def call(self, candidate: tf.Tensor, history: History, training: bool = False) -> tf.Tensor:
        """Candidates `[B, C, D]` -> interest `[B, C, D_z]`."""
        if history.common_mask is not None and not training:
            return self.lap(candidate, history.items, history.context, history.common_mask, search=history.search,
                            training=training, longest=history.longest)
        items = history.vectors
        if history.search is None and self.lap.shares_passes(candidate, items, history.context, history.longest):
            return self.lap(candidate, items, history.context, history.mask, training=training, longest=history.longest)
        return self.lap(candidate, items, None, history.mask, select=history.select, search=history.search,
                        training=training)

    def state_of(self, history: History) -> dict[str, tf.Tensor]:
        """The events, embedded: `columns [B, L, N]` of items and context, and what tells real ones and time gaps."""
        mask = history.common_mask
        columns = _compact(history).columns
        state = {"columns": columns, "mask": mask, "timestamp": history.timestamps,
                 "events": tf.reduce_sum(tf.cast(mask, tf.int32), -1)}
        return state if history.search is None else {**state, "search": history.search[1]}

    def from_state(self, candidate: tf.Tensor, state: Mapping[str, tf.Tensor], history: History) -> tf.Tensor:
        """Candidates `[B, C, D]` and what `state_of` kept -> interest `[B, C, D_z]`."""
        of_items, *of_context = _compact(history).rows
        items, columns = tf.split(state["columns"], [of_items.shape[0], sum(rows.shape[0] for rows in of_context)], -1)
        gap = history.time_gap(state["timestamp"])
        stored = Compact(columns, tuple(of_context)) if of_context else None
        context = None if stored is None and gap is None else beside(stored, gap)
        search = None if history.search is None else (history.search[0], state["search"])
        return self.lap(candidate, items, context, state["mask"], search=search, longest=history.longest)

    def stage_scores(self, candidate: tf.Tensor, history: History) -> dict[str, tf.Tensor]:
        """Scores `[B, C, L]` of each level over the whole history, for the consistency of stages."""
        return self.lap.stage_scores(candidate, history.items, history.context, history.mask, search=history.search)

    def explain(self, candidate: tf.Tensor, history: History) -> dict[str, tf.Tensor]:
        """Positions and weights `[B, C, K]` of the events MSA and FSA attended to; position -1 where there is none."""
        if history.common_mask is not None:
            return self.lap.explain(candidate, history.items, history.context, history.common_mask,
                                    search=history.search, longest=history.longest)
        return self.lap.explain(candidate, history.items, None, history.mask, select=history.select,
                                search=history.search)


def _compact(history: History) -> Compact:
    """Items and stored context of all events."""
    events = compact(beside(history.items, history.stored_context))
    if not isinstance(events, Compact):
        raise ValueError("stored context must be of events alone, got one of candidates")
    return events


def build(config: Config) -> LAPInterest:
    """The layer of a configuration."""
    return LAPInterest(config, name="lap")
