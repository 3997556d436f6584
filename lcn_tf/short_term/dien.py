"""DIEN: recurrent interests with the candidate as query (Zhou et al., AAAI 2019)."""

from __future__ import annotations

import dataclasses
from typing import Literal

import tensorflow as tf

from lcn_tf.contracts import History
from lcn_tf.layers import InterestEvolution

VERSION = 1


@dataclasses.dataclass(frozen=True)
class Config:
    """Options of DIEN; the attention's defaults are the authors' code."""

    hidden_units: tuple[int, ...] = dataclasses.field(
        default=(80, 40), metadata={"help": "hidden layers of the attention net"})
    augru: Literal["paper", "code"] = dataclasses.field(
        default="paper", metadata={"help": "reading: attentional update gate of the paper, or of the authors' code"})


class DIENInterest(tf.keras.layers.Layer):
    """Interest evolution over an embedded history."""

    def __init__(self, config: Config, **kwargs):
        super().__init__(**kwargs)
        self.evolution = InterestEvolution(config.hidden_units, config.augru, name="evolution")

    def call(self, candidate: tf.Tensor, history: History, training: bool = False) -> tf.Tensor:
        """Candidates `[B, C, D]` -> interest `[B, C, D]`."""
        return self.evolution(candidate, history.items, mask=history.views)


def build(config: Config) -> DIENInterest:
    """The layer of a configuration."""
    return DIENInterest(config, name="dien")
