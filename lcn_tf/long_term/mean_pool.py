"""The mean of the lifelong history: what a model knows that does not look at the candidate at all.

Shape letters: B requests, C candidates, L events, D item width.
"""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from lcn_tf.contracts import History
from lcn_tf.ops.event_forms import weighted_sums

VERSION = 1


@dataclasses.dataclass(frozen=True)
class Config:
    """No options."""


class MeanInterest(tf.keras.layers.Layer):
    """Mean of the items that a candidate may see; zeros where there is none. Nothing is ranked or trained."""

    def call(self, candidate: tf.Tensor, history: History, training: bool = False) -> tf.Tensor:
        """Candidates `[B, C, D]` -> interest `[B, C, D]`."""
        weights = tf.cast(history.mask, tf.float32)  # [B, C, L]
        total = weighted_sums(weights[:, :, tf.newaxis], history.vectors)[:, :, 0]  # [B, C, D]
        mean = tf.math.divide_no_nan(total, tf.reduce_sum(weights, axis=-1, keepdims=True))
        return tf.cast(mean, self.compute_dtype)


def build(config: Config) -> MeanInterest:
    """The layer of a configuration."""
    return MeanInterest(name="mean_pool")
