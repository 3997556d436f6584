"""Multi-gate mixture of experts (MMoE: Ma et al., KDD 2018).

Not part of LCN; an alternative tower for a head of several labels. Shape letters: B requests, C candidates, W input
width, N experts.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import tensorflow as tf

from lcn_tf.contracts import TowerSpec
from lcn_tf.layers.experts import Experts, mixture
from lcn_tf.towers import mlp

VERSION = 1


@dataclasses.dataclass(frozen=True)
class Config(mlp.LabelConfig):
    """Options of the experts."""

    units: tuple[int, ...] = dataclasses.field(
        default=(256,), metadata={"help": "widths of the hidden layers of each expert"})
    num_experts: int = dataclasses.field(default=4, metadata={"help": "experts, which all labels share"})

    def __post_init__(self):
        super().__post_init__()
        if self.num_experts < 1:
            raise ValueError(f"mmoe.num_experts must be at least 1, got {self.num_experts}")


@tf.keras.utils.register_keras_serializable("lcn_tf")
class MMoETower(mlp.LabelTower):
    """Experts that all labels share; each label mixes them by a gate of its own.

        g^k(x) = softmax(W_gk x),   f^k(x) = sum_i g^k(x)_i f_i(x),   hidden of label k: h^k(f^k(x))

    The experts f_i are multilayer perceptrons. Gates read the tower's input and have no bias.

    Args:
      labels: as of `mlp.LabelTower`.
      units: widths of the hidden layers of each expert.
      num_experts: N.
      **options: as of `mlp.LabelTower`.

    Call arguments, returns: as of `mlp.LabelTower`.

    Raises:
      ValueError: no expert, or what `mlp.LabelTower` refuses.
    """

    def __init__(self, labels, units=(256,), num_experts: int = 4, **options):
        super().__init__(labels, units, **options)
        self.num_experts = num_experts
        self._experts = Experts(num_experts, units, self.activation, self.dropout, self.seed_of(len(self.labels)),
                                name="experts", dtype=self.dtype_policy)
        self._gates = {label: tf.keras.layers.Dense(num_experts, use_bias=False, name=f"{label}_gate",
                                                    dtype=self.dtype_policy) for label in self.labels}

    def shared(self, inputs: tf.Tensor, training: bool) -> dict[str, tf.Tensor]:
        """Inputs `[B, C, W]` -> label -> its mixture of the experts, `[B, C, units[-1]]`."""
        experts = self._experts(inputs, training=training)  # [B, C, N, units[-1]]
        return {label: mixture(gate(inputs), experts) for label, gate in self._gates.items()}

    @property
    def last_shared(self) -> list[tf.Variable]:
        """The kernels of the experts' last layer."""
        return [self._experts.kernels[-1]]

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        return {**super().get_config(), "num_experts": self.num_experts}


def build(config: Config, spec: TowerSpec) -> MMoETower:
    """The layer of a configuration, for the labels of a schema."""
    return MMoETower([label.name for label in spec.labels], **dataclasses.asdict(config), name="tower")
