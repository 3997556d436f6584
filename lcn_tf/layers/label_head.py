"""What heads of several labels have in common: their losses' weights, what these count, linear logits.

Shape letters: B requests, C candidates, U hidden width.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import tensorflow as tf

from lcn_tf.layers.logit import Logit
from lcn_tf.ops.label_terms import loss_factors
from lcn_tf.schema_entries import Label


@dataclasses.dataclass(frozen=True)
class LossWeights:
    """Options of the losses, for the `Config` of a head to extend; flags begin with the name of its module."""

    weights: tuple[float, ...] = dataclasses.field(
        default=(), metadata={"help": "weights of the labels' losses, in the order of the schema; none given: 1 each"})

    def __post_init__(self):
        if any(not 0 < weight < float("inf") for weight in self.weights):
            prefix = type(self).__module__.rpartition(".")[2]
            raise ValueError(f"{prefix}.weights must be positive numbers, got {self.weights}")


class LabelHead(tf.keras.layers.Layer):
    """Losses of labels, each a cross-entropy; that of one which is given another counts where that other is 1.

    Args:
      weights: of the labels' losses; none for 1 each.
      labels: of the schema.
      name: as `model.head` has it.

    Attributes:
      labels, terms: see `lcn_tf.contracts.Head`; "ctr_loss" is the first label's term, "<label>_loss" each other one's.

    Raises:
      ValueError: fewer than two labels, or weights of another number.
    """

    def __init__(self, weights: Sequence[float], labels: Sequence[Label], name: str, **kwargs):
        super().__init__(name=name, **kwargs)
        self.terms = loss_factors(name, labels, weights)
        self.labels = tuple(label.name for label in labels)
        self._given = {label.name: label.given for label in labels}

    def counted(self, labels: Mapping[str, tf.Tensor], mask: tf.Tensor) -> dict[str, tf.Tensor]:
        """Real candidates whose given label, if there is one, is 1, `[B, C]`."""
        return {term: mask if (given := self._given[name]) is None else mask & (labels[given] > 0)
                for term, name in zip(self.terms, self.labels, strict=True)}

    def targets(self, logits: Mapping[str, tf.Tensor], labels: Mapping[str, tf.Tensor]
                ) -> dict[str, tuple[tf.Tensor, tf.Tensor]]:
        """Each label and its logit."""
        return {term: (labels[name], logits[name]) for term, name in zip(self.terms, self.labels, strict=True)}


class LinearLabelHead(LabelHead):
    """Linear logits over one hidden vector, or over each label's own where the tower has one for each.

    Args, attributes, errors: as of `LabelHead`.
    """

    def __init__(self, weights: Sequence[float], labels: Sequence[Label], name: str, **kwargs):
        super().__init__(weights, labels, name, **kwargs)
        self.logits = {label: Logit(name=f"{label}_logit") for label in self.labels}

    def call(self, hidden: tf.Tensor | Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Hidden `[B, C, U]`, or label -> hidden, -> label -> logit `[B, C]`."""
        return {name: logit(hidden[name] if isinstance(hidden, Mapping) else hidden)
                for name, logit in self.logits.items()}
