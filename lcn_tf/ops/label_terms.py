"""What heads of several labels share: the terms of their losses, and logits of several labels at once.

Shape letters: B requests, C candidates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import tensorflow as tf

from lcn_tf.schema_entries import Label


def loss_factors(head: str, labels: Sequence[Label], weights: Sequence[float]) -> dict[str, float]:
    """Term -> its factor in the loss, in the order of the labels: "ctr_loss", then "<label>_loss" of each other one.

    Args:
      head: its name, for messages.
      labels: of the schema.
      weights: of each label; none for 1 each.

    Raises:
      ValueError: a single label, or another number of weights than of labels.
    """
    if len(labels) < 2:
        raise ValueError(f"model.head={head} needs a schema of two labels or more, got {labels[0].name}")
    if weights and len(weights) != len(labels):
        raise ValueError(f"{head}.weights needs a weight for each of the labels "
                         f"{', '.join(label.name for label in labels)}, got {len(weights)}")
    names = ("ctr_loss", *(f"{label.name}_loss" for label in labels[1:]))
    return dict(zip(names, weights or [1.0] * len(labels), strict=True))


def product_logit(first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
    """The logit of the product of two probabilities, from their logits a and b of one shape.

    The odds of the product are 1 / (exp(-a) + exp(-b) + exp(-a-b)). So its logit is a log-sum-exp, which neither
    overflows nor loses the digits of a probability near 0 or 1.
    """
    return -tf.reduce_logsumexp(tf.stack([-first, -second, -first - second], -1), -1)


def joint_logits(logits: Mapping[str, tf.Tensor], labels: Sequence[Label]) -> dict[str, tf.Tensor]:
    """Label -> logit `[B, C]` that it and all labels that it is given are 1, from logits given those.

    Args:
      logits: label -> logit `[B, C]`; of a label that is given another, given that.
      labels: of the schema; one that is given another stands behind it.
    """
    joint: dict[str, tf.Tensor] = {}
    for label in labels:
        own = logits[label.name]
        joint[label.name] = own if label.given is None else product_logit(joint[label.given], own)
    return joint
