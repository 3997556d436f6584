"""Progressive layered extraction (PLE: Tang et al., RecSys 2020).

Not part of LCN; an alternative tower for a head of several labels. Shape letters: B requests, C candidates, W input
width, N and S experts of a label and shared ones, U their width, T labels.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from lcn_tf.contracts import TowerSpec
from lcn_tf.layers.experts import Experts, mixture
from lcn_tf.towers import mlp

VERSION = 1

_SHARED = "all labels"  # beside the names of labels


@dataclasses.dataclass(frozen=True)
class Config(mlp.LabelConfig):
    """Options of the levels."""

    units: tuple[int, ...] = dataclasses.field(
        default=(256,), metadata={"help": "widths of the hidden layers of each expert, at every level"})
    num_levels: int = dataclasses.field(
        default=2, metadata={"help": "levels of experts; 1 is customised gate control (CGC)"})
    label_experts: int = dataclasses.field(default=2, metadata={"help": "experts of each label, at every level"})
    shared_experts: int = dataclasses.field(
        default=2, metadata={"help": "experts that the labels share, at every level"})

    def __post_init__(self):
        super().__post_init__()
        for name in ("num_levels", "label_experts", "shared_experts"):
            if getattr(self, name) < 1:
                raise ValueError(f"ple.{name} must be at least 1, got {getattr(self, name)}")


class Level(tf.keras.layers.Layer):
    """Experts of each label and shared ones, mixed by gates (customised gate control; a shared gate between levels).

    The gate of a label chooses among its own experts and the shared ones, the shared gate among all. A gate is a linear
    map of what the experts of its name read, without bias.

    Call arguments:
      states: `_SHARED` and each label -> what its experts read, `[B, C, width]`.
      training: whether dropout is active.

    Returns:
      Each label, and `_SHARED` unless the level is the last -> its mixture `[B, C, U]`.
    """

    def __init__(self, labels: tuple[str, ...], label_experts: int, shared_experts: int, last: bool,
                 seeds: Mapping[str, int], options: Mapping[str, Any], **kwargs):
        super().__init__(**kwargs)
        sizes = {**dict.fromkeys(labels, label_experts), _SHARED: shared_experts}
        self.experts = {name: Experts(count, dropout_seed=seeds[name], name=_name(name, "experts"),
                                      dtype=self.dtype_policy, **options) for name, count in sizes.items()}
        mixed = dict.fromkeys(labels, label_experts + shared_experts)
        if not last:
            mixed[_SHARED] = len(labels) * label_experts + shared_experts
        self.gates = {name: tf.keras.layers.Dense(count, use_bias=False, name=_name(name, "gate"),
                                                  dtype=self.dtype_policy) for name, count in mixed.items()}

    def call(self, states: Mapping[str, tf.Tensor], training: bool = False) -> dict[str, tf.Tensor]:
        """Mixes the experts; see the class."""
        found = {name: experts(states[name], training=training) for name, experts in self.experts.items()}
        mixed = {}
        for name, gate in self.gates.items():
            read = found.values() if name == _SHARED else (found[name], found[_SHARED])
            mixed[name] = mixture(gate(states[name]), tf.concat(list(read), 2))  # [B, C, U]
        return mixed


def _name(of: str, part: str) -> str:
    return f"{'shared' if of == _SHARED else of}_{part}"


@tf.keras.utils.register_keras_serializable("lcn_tf")
class PLETower(mlp.LabelTower):
    """Levels of experts, some of a label alone and some shared, under hidden layers of each label.

    Args:
      labels: as of `mlp.LabelTower`.
      units: widths of the hidden layers of each expert.
      num_levels: at least 1.
      label_experts: N, at every level.
      shared_experts: S, at every level.
      **options: as of `mlp.LabelTower`.

    Call arguments, returns: as of `mlp.LabelTower`.

    Raises:
      ValueError: no level, no expert of a kind, or what `mlp.LabelTower` refuses.
    """

    def __init__(self, labels, units=(256,), num_levels: int = 2, label_experts: int = 2, shared_experts: int = 2,
                 **options):
        super().__init__(labels, units, **options)
        if num_levels < 1:
            raise ValueError(f"num_levels must be at least 1, got {num_levels}")
        self.num_levels = num_levels
        self.label_experts = label_experts
        self.shared_experts = shared_experts
        names = (*self.labels, _SHARED)
        experts = {"units": self.units, "activation": self.activation, "dropout": self.dropout}
        self._levels = []
        for level in range(num_levels):
            first = len(self.labels) + level * len(names)
            seeds = {name: self.seed_of(first + place) for place, name in enumerate(names)}
            self._levels.append(Level(self.labels, label_experts, shared_experts, level == num_levels - 1, seeds,
                                      experts, name=f"level_{level}", dtype=self.dtype_policy))

    def shared(self, inputs: tf.Tensor, training: bool) -> dict[str, tf.Tensor]:
        """Inputs `[B, C, W]` -> label -> its mixture of the last level, `[B, C, units[-1]]`."""
        states = dict.fromkeys((*self.labels, _SHARED), inputs)
        for level in self._levels:
            states = level(states, training=training)
        return states

    @property
    def last_shared(self) -> list[tf.Variable]:
        """The kernels of the last layer of the shared experts of the last level."""
        return [self._levels[-1].experts[_SHARED].kernels[-1]]

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        names = ("num_levels", "label_experts", "shared_experts")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def build(config: Config, spec: TowerSpec) -> PLETower:
    """The layer of a configuration, for the labels of a schema."""
    return PLETower([label.name for label in spec.labels], **dataclasses.asdict(config), name="tower")
