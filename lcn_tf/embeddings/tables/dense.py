"""The ordinary table: a trained float32 vector for every id."""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from lcn_tf.contracts import TableSpec

VERSION = 1


@dataclasses.dataclass(frozen=True)
class Config:
    """No options beyond those of all tables."""


class DenseTable(tf.keras.layers.Layer):
    """A weight `[rows, width]`.

    Attributes:
      vectors: the weight.
      row_weights: see `lcn_tf.contracts.HasRowWeights`.
    """

    def __init__(self, spec: TableSpec, **kwargs):
        super().__init__(**kwargs)
        self.vectors = self.add_weight(name=f"{spec.name}_table", shape=(spec.rows, spec.width),
                                       initializer=spec.initializer)

    @property
    def row_weights(self) -> list[tf.Variable]:
        """The weight, in parts where it is divided over parameter servers; [] where it is frozen."""
        return self.trainable_weights

    def rows(self, ids: tf.Tensor) -> tf.Tensor:
        """Vectors `[..., width]` of ids `[...]`, in the type of the weights.

        Raises:
          tf.errors.InvalidArgumentError: on the CPU, an id outside the table (a GPU returns zeros).
        """
        return tf.nn.embedding_lookup(self.vectors, ids)


def build(config: Config, spec: TableSpec) -> DenseTable:
    """The table of a configuration."""
    return DenseTable(spec, name=spec.name)
