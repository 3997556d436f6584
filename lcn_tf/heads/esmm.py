"""A label that is given another learns over all candidates (ESMM: Ma et al., SIGIR 2018).

The first label is the click; of "long stay given click" p(click) p(long stay | click) is fitted to "clicked and stayed"
on every candidate, so that the candidates it learns from are those it is served on. Shape letters: B requests, C
candidates, U hidden width.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import tensorflow as tf

from lcn_tf.layers.logit import Logit
from lcn_tf.ops.label_terms import check_weights, joint_logits, loss_factors
from lcn_tf.schema import Label

VERSION = 1


@dataclasses.dataclass(frozen=True)
class Config:
    """Options of the losses."""

    weights: tuple[float, ...] = dataclasses.field(
        default=(), metadata={"help": "weights of the labels' losses, in the order of the schema; none given: 1 each"})

    def __post_init__(self):
        check_weights("esmm.weights", self.weights)


class ESMMHead(tf.keras.layers.Layer):
    """Linear logits over one hidden vector, or over each label's own where the tower has one for each.

    The loss of a label that is given others is the cross-entropy of the product of all their probabilities; a chain
    of labels multiplies along it. Its served logit is that of the label given the others, which no loss sees by
    itself.

    Attributes:
      labels, terms: see `lcn_tf.contracts.Head`; "ctr_loss" is the first label's term, "<label>_loss" each other one's.

    Raises:
      ValueError: fewer than two labels, none that is given another, or weights of another number.
    """

    def __init__(self, config: Config, labels: Sequence[Label], **kwargs):
        super().__init__(**kwargs)
        self.terms = loss_factors("esmm", labels, config.weights)
        if all(label.given is None for label in labels):
            raise ValueError("model.head=esmm needs a label that is given another, got "
                             f"{', '.join(label.name for label in labels)}")
        self.labels = tuple(label.name for label in labels)
        self._schema_labels = tuple(labels)
        self.logits = {name: Logit(name=f"{name}_logit") for name in self.labels}

    def call(self, hidden: tf.Tensor | Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Hidden `[B, C, U]`, or label -> hidden, -> label -> logit `[B, C]`."""
        return {name: logit(hidden[name] if isinstance(hidden, Mapping) else hidden)
                for name, logit in self.logits.items()}

    def counted(self, labels: Mapping[str, tf.Tensor], mask: tf.Tensor) -> dict[str, tf.Tensor]:
        """Every real candidate, `[B, C]`."""
        return dict.fromkeys(self.terms, mask)

    def targets(self, logits: Mapping[str, tf.Tensor], labels: Mapping[str, tf.Tensor]
                ) -> dict[str, tuple[tf.Tensor, tf.Tensor]]:
        """Each label, 0 where one that it is given is 0, and the logit that all of them are 1."""
        joint, found = joint_logits(logits, self._schema_labels), dict[str, tf.Tensor]()
        for label in self._schema_labels:
            own = labels[label.name]
            found[label.name] = own if label.given is None else own * found[label.given]
        return {term: (found[name], joint[name]) for term, name in zip(self.terms, self.labels, strict=True)}


def build(config: Config, labels: Sequence[Label]) -> ESMMHead:
    """The head of a configuration, for the labels of a schema."""
    return ESMMHead(config, labels, name="esmm")
