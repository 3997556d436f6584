"""Explicit feature crosses under the hidden layers (DCN-V2, WWW 2021, "stacked" form, figure 1a).

Not part of LCN; an alternative tower for any long-term model. Shape letters: B requests, C candidates, W input width.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tensorflow_recommenders as tfrs

from lcn_tf.contracts import TowerSpec
from lcn_tf.towers import mlp

VERSION = 1


@dataclasses.dataclass(frozen=True)
class Config(mlp.Config):
    """Options of the cross layers, and those of the hidden layers above them."""

    num_layers: int = dataclasses.field(
        default=2, metadata={"help": "number of cross layers; n of them form products of up to n + 1 features"})
    projection_dim: int | None = dataclasses.field(
        default=64, metadata={"help": "rank of each cross layer's kernel; none: full rank"})


@tf.keras.utils.register_keras_serializable("lcn_tf")
class CrossTower(tf.keras.layers.Layer):
    """Cross layers `x_{i+1} = x_0 * (W_i x_i + b_i) + x_i` (eq. 1; low rank: eq. 2), then an `MLPTower`.

    The crosses are `tfrs.layers.dcn.Cross`.

    Args:
      num_layers: number of cross layers, at least 1.
      projection_dim: rank of `W_i`, or None for full rank.
      units: as of `MLPTower`.
      input_norm: as of `MLPTower`; applied before the crosses.
      activation: as of `MLPTower`.
      dropout: as of `MLPTower`; the crosses have none.
      input_dropout: as of `MLPTower`; applied before the crosses, both of whose factors see what it leaves.
      dropout_seed: as of `MLPTower`.

    Call arguments:
      inputs: `[B, C, W]` float.
      mask: `[B, C]` bool, True for real candidates; None if all are.
      training: whether batch statistics are used and collected, and dropout is active.

    Returns:
      `[B, C, units[-1]]`; rows of padded candidates hold finite values without meaning.

    Raises:
      ValueError: fewer than one cross layer, a rank below 1, or what `MLPTower` refuses.
    """

    def __init__(self, num_layers: int = 2, projection_dim: int | None = 64, units: Sequence[int] = (256, 128),
                 input_norm: str = "none", activation: str = "relu", dropout: float = 0.0, input_dropout: float = 0.0,
                 dropout_seed: int = 0, **kwargs):
        super().__init__(**kwargs)
        if num_layers < 1:
            raise ValueError(f"num_layers must be at least 1, got {num_layers}")
        if projection_dim is not None and projection_dim < 1:
            raise ValueError(f"projection_dim must be at least 1 or None, got {projection_dim}")
        self.num_layers = num_layers
        self.projection_dim = projection_dim
        self.input_norm = input_norm
        self.input_dropout = input_dropout
        self._norm = mlp.normalization(input_norm)
        self._input_dropout = mlp.dropout_layer(input_dropout, dropout_seed, 0, self.dtype_policy)
        self._crosses = [tfrs.layers.dcn.Cross(projection_dim, name=f"cross_{index}", dtype=self.dtype_policy)
                         for index in range(num_layers)]
        self._mlp = mlp.MLPTower(units, "none", activation, dropout, dropout_seed=dropout_seed, name="mlp",
                                 dtype=self.dtype_policy)

    def call(self, inputs: tf.Tensor, mask: tf.Tensor | None = None, training: bool = False) -> tf.Tensor:
        """Inputs `[B, C, W]` -> hidden `[B, C, units[-1]]`."""
        first = tf.cast(mlp.normalize(self._norm, inputs, mask, training), self.compute_dtype)  # [B, C, W]
        first = mlp.drop(self._input_dropout, first, training)
        crossed = first
        for layer in self._crosses:
            crossed = layer(first, crossed)  # [B, C, W]
        return self._mlp(crossed, mask=mask, training=training)

    @property
    def last_shared(self) -> list[tf.Variable]:
        """Of the hidden layers, see `lcn_tf.contracts.SharesLastLayer`."""
        return self._mlp.last_shared

    def compute_output_shape(self, input_shape):
        """`[B, C, W]` -> `[B, C, units[-1]]`."""
        return self._mlp.compute_output_shape(input_shape)

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        config = {"num_layers": self.num_layers, "projection_dim": self.projection_dim, "units": self._mlp.units,
                  "input_norm": self.input_norm, "activation": self._mlp.activation, "dropout": self._mlp.dropout,
                  "input_dropout": self.input_dropout, "dropout_seed": self._mlp.dropout_seed}
        return {**super().get_config(), **config}


def build(config: Config, spec: TowerSpec) -> CrossTower:
    """The layer of a configuration."""
    return CrossTower(**dataclasses.asdict(config), name="tower")
