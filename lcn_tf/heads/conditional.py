"""A logit for every label of the schema; one that is given another learns where that other is 1.

The first label is the click; "long stay given click" is learnt from clicks alone, as in the usual conversion model that
ESMM (Ma et al., SIGIR 2018, section 2.1) is set against.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from lcn_tf.layers.label_head import LinearLabelHead, LossWeights
from lcn_tf.schema import Label

VERSION = 1


@dataclasses.dataclass(frozen=True)
class Config(LossWeights):
    """Options of the losses."""


def build(config: Config, labels: Sequence[Label]) -> LinearLabelHead:
    """The head of a configuration, for the labels of a schema."""
    return LinearLabelHead(config.weights, labels, "conditional")
