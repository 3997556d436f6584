"""Frozen content vectors of ids, such as text embeddings of items, and a trained projection to the table's width.

The schema names their files (`FeatureSchema.vectors`); `python -m data_prep.content_vectors` and `python -m
data_prep.graph_vectors` write them. Ids that have none, as those that are new on the day, have a vector of zeros, and
all ids share what the projection learns. A trained vector of each id may stand beside it. Shape letters: V width of the
frozen vectors.
"""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import tensorflow as tf

from lcn_tf.contracts import TableSpec
from lcn_tf.embeddings.tables import dense

VERSION = 1


@dataclasses.dataclass(frozen=True)
class Config:
    """Options of the projection."""

    projection_units: int = dataclasses.field(
        default=0, metadata={"help": "width of a hidden layer of the projection; 0: a linear one"})
    scale: float = dataclasses.field(
        default=0.1, metadata={"help": "norm, on average, that the frozen vectors are brought to before it"})
    beside: bool = dataclasses.field(
        default=False, metadata={"help": "add a trained vector of every id to the projected frozen one"})

    def __post_init__(self):
        if self.projection_units < 0:
            raise ValueError(f"pretrained.projection_units must not be negative, got {self.projection_units}")
        if not 0 < self.scale < float("inf"):
            raise ValueError(f"pretrained.scale must be a positive number, got {self.scale}")


class PretrainedTable(tf.keras.layers.Layer):
    """`projection(vectors[id])`; the vectors are part of checkpoints and exports, and nothing trains them.

    With `beside`, `projection(vectors[id]) + trained[id]`, where the second is an ordinary table.

    Attributes:
      row_weights: see `lcn_tf.contracts.HasRowWeights`: those of that table, or none.
    """

    def __init__(self, config: Config, spec: TableSpec, **kwargs):
        super().__init__(**kwargs)
        if spec.vectors is None:
            raise ValueError(f"model.tables={spec.name}:pretrained needs vectors of the table {spec.name!r}, and the "
                             "schema names none: python -m data_prep.content_vectors adds them to prepared data, and "
                             "data_prep.graph_vectors those of its own training records")
        vectors = np.asarray(spec.vectors, np.float32)
        if vectors.shape[0] != spec.rows:
            raise ValueError(f"table {spec.name!r} has {spec.rows} rows, its vectors have {vectors.shape[0]} (with "
                             "embeddings.per_domain, a table of vectors cannot keep rows of its own for each domain)")
        norms = np.linalg.norm(vectors, axis=1)
        factor = config.scale / norms[norms > 0].mean() if norms.any() else 1.0
        self.frozen = self.add_weight(
            name=f"{spec.name}_vectors", shape=vectors.shape, trainable=False,
            initializer=tf.keras.initializers.Constant(factor * vectors))
        self.width = spec.width
        layer = functools.partial(tf.keras.layers.Dense, dtype="float32")
        hidden = [layer(config.projection_units, "relu", name="hidden")] if config.projection_units else []
        output = layer(spec.width, name="output", use_bias=bool(hidden))
        self.projection = tf.keras.Sequential([*hidden, output], name="projection")
        self.projection.build([None, vectors.shape[1]])
        self.trained = dense.build(dense.Config(), spec) if config.beside else None

    @property
    def row_weights(self) -> list[tf.Variable]:
        """Those of the table beside it."""
        return [] if self.trained is None else self.trained.row_weights

    def rows(self, ids: tf.Tensor) -> tf.Tensor:
        """Ids `[...]` -> vectors `[..., width]` float32."""
        vectors = tf.nn.embedding_lookup(self.frozen, ids)  # [..., V]
        projected = self.projection(tf.reshape(vectors, [-1, self.frozen.shape[1]]))
        shape = tf.concat([tf.shape(ids), [self.width]], 0)  # not -1, which is 1 where there are no ids
        found = tf.ensure_shape(tf.reshape(projected, shape), [*ids.shape, self.width])
        return found if self.trained is None else found + self.trained.rows(ids)


def build(config: Config, spec: TableSpec) -> PretrainedTable:
    """The table of a configuration."""
    return PretrainedTable(config, spec, name=spec.name)
