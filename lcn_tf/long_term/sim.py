"""SIM with soft search: a scored search over all events, attention over the best (Pi et al., CIKM 2020, section 3.2).

Shape letters: B requests, C candidates, L events, K kept events, D item width.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Literal

import tensorflow as tf

from lcn_tf.contracts import History, SearchTables, TrainingInputs
from lcn_tf.layers.logit import Logit
from lcn_tf.layers.soft_search import SoftSearch
from lcn_tf.layers.top_k_attention import TopKAttention
from lcn_tf.towers.mlp import MLPTower

VERSION = 1


@dataclasses.dataclass(frozen=True)
class Config:
    """Options of SIM Soft; the paper keeps 100 (public) or 200 (industrial) events."""

    top_k: int = dataclasses.field(default=50, metadata={"help": "events the search passes to the attention (K)"})
    gsu: Literal["bilinear_aux", "inner", "pretrained"] = dataclasses.field(
        default="bilinear_aux", metadata={"help": "search score: bilinear, trained by a click loss of its own (the "
                                                  "paper), or the inner product of the item embeddings, the model's or "
                                                  "frozen ones of an earlier run"})
    gsu_pool: Literal["sum", "softmax"] = dataclasses.field(
        default="sum", metadata={"help": "reading: weights of the events in the search's click loss: its scores (the "
                                         "paper), or their softmax"})
    tables: Literal["shared", "separate"] = dataclasses.field(
        default="shared", metadata={"help": "reading: the search's item tables: the model's, or ones that its click "
                                            "loss alone trains"})
    pretrained: str | None = dataclasses.field(
        default=None, metadata={"help": "tables of gsu=pretrained: checkpoints of a run on the same prepared data, "
                                        "like <workdir>/checkpoints/best"})
    attention_dim: int = dataclasses.field(
        default=64, metadata={"help": "width of the search's and the attention's projections"})
    num_heads: int = dataclasses.field(default=1, metadata={"help": "heads of the attention"})
    aux_weight: float = dataclasses.field(
        default=1.0, metadata={"help": "weight of the search's click loss (alpha; the model's own has 1)"})
    aux_units: tuple[int, ...] = dataclasses.field(
        default=(256, 128), metadata={"help": "hidden layers of the search's click net; the paper: as the tower's"})

    def __post_init__(self):
        if self.tables == "separate" and self.gsu != "bilinear_aux":
            raise ValueError(f"sim.tables=separate needs sim.gsu=bilinear_aux, whose loss trains them, got {self.gsu}")
        if self.gsu_pool != "sum" and self.gsu != "bilinear_aux":
            raise ValueError(f"sim.gsu_pool={self.gsu_pool} needs sim.gsu=bilinear_aux, whose loss it is part of, got "
                             f"{self.gsu}")
        if (self.gsu == "pretrained") != bool(self.pretrained):
            raise ValueError("sim.pretrained must name checkpoints with sim.gsu=pretrained and nothing otherwise, got "
                             f"sim.gsu={self.gsu} and sim.pretrained={self.pretrained}")
        if self.gsu == "bilinear_aux" and not 0 < self.aux_weight < math.inf:
            raise ValueError("sim.aux_weight must be positive with sim.gsu=bilinear_aux, whose weights nothing else "
                             f"trains, got {self.aux_weight}")


class SIMInterest(tf.keras.layers.Layer):
    """Attention over the events whose search score is highest.

    The indices of the search carry no gradient. With `gsu="bilinear_aux"` the search learns from a click prediction of
    its own, which is no part of `call` and hence of an exported model; it reaches the embeddings too (no stop-gradient,
    as in FuxiCTR). `tables="separate"` gives the search item tables of its own, as the paper motivates: `call` never
    trains them. With `gsu="inner"` the search has no weights; it reads the separate search tables where an objective
    trains them. With `gsu="pretrained"` it reads tables of an earlier run that nothing trains any more.

    Attributes:
      own_terms, contrasted_events: see `lcn_tf.contracts.OwnLoss`.
      search_tables, pretrained: see `lcn_tf.contracts.SearchesTables`.
    """

    def __init__(self, config: Config, **kwargs):
        super().__init__(**kwargs)
        self.attention = TopKAttention(config.top_k, config.attention_dim, config.num_heads, name="attention")
        self.gsu = config.gsu
        self.search: SoftSearch | None = None
        tables: dict[str, SearchTables] = {"inner": "objective", "pretrained": "pretrained"}
        self.search_tables = "own" if config.tables == "separate" else tables.get(config.gsu, "model")
        self.pretrained = config.pretrained
        self.auxiliary_weight = config.aux_weight
        self.own_terms: tuple[str, ...] = ("gsu",) if config.gsu == "bilinear_aux" else ()
        self.contrasted_events = 0
        if config.gsu == "bilinear_aux":
            self.search = SoftSearch(config.attention_dim, config.gsu_pool, name="search")
            self.auxiliary_tower = MLPTower(config.aux_units, name="auxiliary_tower")
            self.auxiliary_head = Logit(name="auxiliary_click")

    def call(self, candidate: tf.Tensor, history: History, training: bool = False) -> tf.Tensor:
        """Candidates `[B, C, D]` -> interest `[B, C, D]`."""
        return self.attention(candidate, history, self._scores(candidate, history))

    def interest_and_losses(self, candidate: tf.Tensor, history: History, inputs: TrainingInputs, training: bool = True
                            ) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """The interest of a call, and the cross-entropy `[B, C]` of the search's click logit, weight applied."""
        interest = self(candidate, history, training=training)
        logit = self.auxiliary_logit(candidate, history, inputs, training)
        return interest, {"gsu": self.auxiliary_weight * tf.nn.sigmoid_cross_entropy_with_logits(inputs.label, logit)}

    def auxiliary_logit(self, candidate: tf.Tensor, history: History, inputs: TrainingInputs, training: bool = False
                        ) -> tf.Tensor:
        """Click logit `[B, C]` of the search: a net over all features and `U_r`, the events weighted by their scores.

        Raises:
          ValueError: this configuration has no such loss.
        """
        if self.search is None:
            raise ValueError(f"auxiliary_logit needs sim.gsu=bilinear_aux, got sim.gsu={self.gsu}")
        own = self.search_tables == "own"
        queries, events = history.trained_search() if own else (candidate, history.vectors)
        pooled, _ = self.search(queries, events, mask=history.mask)  # [B, C, D]
        hidden = self.auxiliary_tower(tf.concat([inputs.features, pooled], -1), mask=inputs.candidate_mask,
                                      training=training)
        return self.auxiliary_head(hidden)

    def stage_scores(self, candidate: tf.Tensor, history: History) -> dict[str, tf.Tensor]:
        """Scores `[B, C, L]` over the whole history: `gsu`, the search, and `final`, the attention."""
        return self.attention.stage_scores(candidate, history, self._scores(candidate, history))

    def explain(self, candidate: tf.Tensor, history: History) -> dict[str, tf.Tensor]:
        """Positions and weights `[B, C, K]` of the events attended to, see `TopKAttention.explain`."""
        return self.attention.explain(candidate, history, self._scores(candidate, history))

    def _scores(self, candidate: tf.Tensor, history: History) -> tf.Tensor:
        if self.search is None:
            queries, keys = history.search or (candidate, history.items)
            return tf.matmul(tf.cast(queries, tf.float32), tf.cast(keys, tf.float32), transpose_b=True)  # [B, C, L]
        own = history.search if self.search_tables == "own" else None
        queries, events = own or (candidate, history.vectors)
        mask = history.mask if history.common_mask is None else history.common_mask
        return self.search(queries, events, mask=mask)[1]


def build(config: Config) -> SIMInterest:
    """The layer of a configuration."""
    return SIMInterest(config, name="sim")
