"""Mean of the visible events (docs/readings.md, short-term interest)."""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from lcn_tf.contracts import History

VERSION = 1


@dataclasses.dataclass(frozen=True)
class Config:
    """No options."""


class MeanInterest(tf.keras.layers.Layer):
    """Mean pooling of an embedded history; zeros for an empty one."""

    def call(self, candidate: tf.Tensor, history: History, training: bool = False) -> tf.Tensor:
        """Candidates `[B, C, D]` -> interest `[B, C, D]`."""
        mask = tf.cast(history.mask, candidate.dtype)  # [B, C, L]
        count = tf.maximum(tf.reduce_sum(mask, -1, keepdims=True), 1)
        return tf.einsum("bcl,bld->bcd", mask, history.items) / count


def build(config: Config) -> MeanInterest:
    """The layer of a configuration."""
    return MeanInterest(name="mean")
