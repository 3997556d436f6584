"""The click head: the logit of the schema's first label (LCN paper, eq. 2).

Shape letters: B requests, C candidates, U hidden width.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import tensorflow as tf

from lcn_tf.layers.logit import Logit
from lcn_tf.schema import Label

VERSION = 1

_TERM = "ctr_loss"


@dataclasses.dataclass(frozen=True)
class Config:
    """No options."""


class ClickHead(tf.keras.layers.Layer):
    """One logit for every candidate, trained on all of them.

    Attributes:
      labels, terms: see `lcn_tf.contracts.Head`.
    """

    def __init__(self, label: str, **kwargs):
        super().__init__(**kwargs)
        self.labels = (label,)
        self.terms = {_TERM: 1.0}
        self.logit = Logit(name="logit")

    def call(self, hidden: tf.Tensor | Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Hidden `[B, C, U]`, or label -> hidden, of which the others are left -> label -> logit `[B, C]`."""
        name = self.labels[0]
        return {name: self.logit(hidden[name] if isinstance(hidden, Mapping) else hidden)}

    def counted(self, labels: Mapping[str, tf.Tensor], mask: tf.Tensor) -> dict[str, tf.Tensor]:
        """Every real candidate, `[B, C]`."""
        return {_TERM: mask}

    def targets(self, logits: Mapping[str, tf.Tensor], labels: Mapping[str, tf.Tensor]
                ) -> dict[str, tuple[tf.Tensor, tf.Tensor]]:
        """The click and its logit."""
        return {_TERM: (labels[self.labels[0]], logits[self.labels[0]])}


def build(config: Config, labels: Sequence[Label]) -> ClickHead:
    """The head of a configuration, for the first of a schema's labels."""
    return ClickHead(labels[0].name, name="click")
