"""A logit for every label of the schema; one that is given another learns where that other is 1.

The first label is the click; "long stay given click" is learnt from clicks alone, as in the usual conversion model that
ESMM (Ma et al., SIGIR 2018, section 2.1) is set against. Shape letters: B requests, C candidates, U hidden width.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import tensorflow as tf

from lcn_tf.layers.logit import Logit
from lcn_tf.ops.label_terms import check_weights, loss_factors
from lcn_tf.schema import Label

VERSION = 1


@dataclasses.dataclass(frozen=True)
class Config:
    """Options of the losses."""

    weights: tuple[float, ...] = dataclasses.field(
        default=(), metadata={"help": "weights of the labels' losses, in the order of the schema; none given: 1 each"})

    def __post_init__(self):
        check_weights("conditional.weights", self.weights)


class ConditionalHead(tf.keras.layers.Layer):
    """Linear logits over one hidden vector, or over each label's own where the tower has one for each.

    Attributes:
      labels, terms: see `lcn_tf.contracts.Head`; "ctr_loss" is the first label's term, "<label>_loss" each other one's.
    """

    def __init__(self, config: Config, labels: Sequence[Label], **kwargs):
        super().__init__(**kwargs)
        self.terms = loss_factors("conditional", labels, config.weights)
        self.labels = tuple(label.name for label in labels)
        self._given = {label.name: label.given for label in labels}
        self.logits = {name: Logit(name=f"{name}_logit") for name in self.labels}

    def call(self, hidden: tf.Tensor | Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Hidden `[B, C, U]`, or label -> hidden, -> label -> logit `[B, C]`."""
        return {name: logit(hidden[name] if isinstance(hidden, Mapping) else hidden)
                for name, logit in self.logits.items()}

    def counted(self, labels: Mapping[str, tf.Tensor], mask: tf.Tensor) -> dict[str, tf.Tensor]:
        """Real candidates whose given label, if there is one, is 1, `[B, C]`."""
        return {term: mask if (given := self._given[name]) is None else mask & (labels[given] > 0)
                for term, name in zip(self.terms, self.labels, strict=True)}

    def targets(self, logits: Mapping[str, tf.Tensor], labels: Mapping[str, tf.Tensor]
                ) -> dict[str, tuple[tf.Tensor, tf.Tensor]]:
        """Each label and its logit."""
        return {term: (labels[name], logits[name]) for term, name in zip(self.terms, self.labels, strict=True)}


def build(config: Config, labels: Sequence[Label]) -> ConditionalHead:
    """The head of a configuration, for the labels of a schema."""
    return ConditionalHead(config, labels, name="conditional")
