"""No lifelong history at all: the lower bound of every lifelong model."""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from lcn_tf.contracts import History

VERSION = 1


@dataclasses.dataclass(frozen=True)
class Config:
    """No options."""


class NoInterest(tf.keras.layers.Layer):
    """An interest of width 0."""

    def call(self, candidate: tf.Tensor, history: History, training: bool = False) -> tf.Tensor:
        """Candidates `[B, C, D]` -> `[B, C, 0]`."""
        return candidate[:, :, :0]


def build(config: Config) -> NoInterest:
    """The layer of a configuration."""
    return NoInterest(name="none")
