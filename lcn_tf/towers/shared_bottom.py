"""Hidden layers that all labels share under hidden layers of each label (Caruana, Machine Learning 28, 1997).

Not part of LCN; an alternative tower for a head of several labels. Shape letters: B requests, C candidates, W input
width.
"""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from lcn_tf.contracts import TowerSpec
from lcn_tf.towers import mlp

VERSION = 1


@dataclasses.dataclass(frozen=True)
class Config(mlp.LabelConfig):
    """Options of the hidden layers: with the defaults, the way to each label is LCN's tower."""

    units: tuple[int, ...] = dataclasses.field(
        default=(256,), metadata={"help": "widths of the hidden layers that the labels share; empty: they share none"})

    def __post_init__(self):
        if self.units:
            super().__post_init__()
        else:
            dataclasses.replace(self, units=(1,))  # checks the other options


@tf.keras.utils.register_keras_serializable("lcn_tf")
class SharedBottomTower(mlp.LabelTower):
    """One multilayer perceptron for all labels, and one for each above it.

    Without shared layers, the labels share what the tower reads: the embeddings and interests (as in ESMM, Ma et al.,
    SIGIR 2018).

    Args, call arguments, returns: as of `mlp.LabelTower`; `units` may be empty.
    """

    def __init__(self, labels, units=(256,), **options):
        super().__init__(labels, units, **options)
        self._bottom = self.network(units, len(self.labels), "bottom") if units else None

    def shared(self, inputs: tf.Tensor, training: bool) -> dict[str, tf.Tensor]:
        """Inputs `[B, C, W]` -> the same vectors `[B, C, units[-1]]` for each label."""
        hidden = inputs if self._bottom is None else self._bottom(inputs, training=training)
        return dict.fromkeys(self.labels, hidden)

    @property
    def last_shared(self) -> list[tf.Variable]:
        """The kernel of the last shared layer; [] where there is none."""
        return [] if self._bottom is None else self._bottom.last_shared


def build(config: Config, spec: TowerSpec) -> SharedBottomTower:
    """The layer of a configuration, for the labels of a schema."""
    return SharedBottomTower([label.name for label in spec.labels], **dataclasses.asdict(config), name="tower")
