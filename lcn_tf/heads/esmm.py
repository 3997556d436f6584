"""A label that is given another learns over all candidates (ESMM: Ma et al., SIGIR 2018).

The first label is the click; of "long stay given click" p(click) p(long stay | click) is fitted to "clicked and stayed"
on every candidate, so that the candidates it learns from are those it is served on. Shape letters: B requests, C
candidates.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import tensorflow as tf

from lcn_tf.layers.label_head import LinearLabelHead, LossWeights
from lcn_tf.ops.label_terms import joint_logits
from lcn_tf.schema import Label

VERSION = 1


@dataclasses.dataclass(frozen=True)
class Config(LossWeights):
    """Options of the losses."""


class ESMMHead(LinearLabelHead):
    """Linear logits, of which the product of all that a label is given is trained on every candidate.

    The loss of a label that is given others is the cross-entropy of the product of all their probabilities; a chain
    of labels multiplies along it. Its served logit is that of the label given the others, which no loss sees by
    itself.

    Args:
      config: options.
      labels: of the schema.

    Raises:
      ValueError: what `LabelHead` refuses, or no label that is given another.
    """

    def __init__(self, config: Config, labels: Sequence[Label], **kwargs):
        super().__init__(config.weights, labels, "esmm", **kwargs)
        if all(label.given is None for label in labels):
            raise ValueError("model.head=esmm needs a label that is given another, got "
                             f"{', '.join(label.name for label in labels)}")
        self._schema_labels = tuple(labels)

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
    return ESMMHead(config, labels)
