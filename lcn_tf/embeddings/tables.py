"""One weight per table, shared by every feature that reads it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Literal

import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class EmbeddingConfig:
    """How ids become vectors (SPEC A.8)."""

    embedding_dim: int = dataclasses.field(default=64, metadata={"help": "width of every feature's embedding"})
    initializer: Literal["glorot_uniform", "uniform_0.05"] = dataclasses.field(
        default="glorot_uniform", metadata={"help": "initial tables: the paper's Xavier, or uniform in +-0.05 (A-40)"})
    l2: float = dataclasses.field(
        default=0.0, metadata={"help": "L2 penalty on the rows that a batch reads: this times half the sum of their "
                                       "squares, each distinct row of the global batch once"})
    exclude: tuple[str, ...] = dataclasses.field(
        default=(), metadata={"help": "user, candidate and request features that the model does not read"})

    def __post_init__(self):
        if self.embedding_dim < 1:
            raise ValueError(f"embeddings.embedding_dim must be at least 1, got {self.embedding_dim}")
        if self.initializer not in ("glorot_uniform", "uniform_0.05"):
            raise ValueError(f"embeddings.initializer must be glorot_uniform or uniform_0.05, got {self.initializer!r}")
        if not 0 <= self.l2 < math.inf:
            raise ValueError(f"embeddings.l2 must be a number of at least 0, got {self.l2}")


class EmbeddingTables(tf.keras.layers.Layer):
    """Tables `[rows, embedding_dim]` by name.

    Row 0 belongs to padding: whoever reads padded ids masks what comes back, so it is never trained.

    Args:
      rows: table name -> number of rows.
      config: width and initialisation.
    """

    def __init__(self, rows: Mapping[str, int], config: EmbeddingConfig, **kwargs):
        super().__init__(**kwargs)
        self.config = config
        initializers = {
            "glorot_uniform": lambda: tf.keras.initializers.GlorotUniform(),
            "uniform_0.05": lambda: tf.keras.initializers.RandomUniform(-0.05, 0.05),
        }
        self.tables = {
            name: self.add_weight(name=f"{name}_table", shape=(size, config.embedding_dim),
                                  initializer=initializers[config.initializer]())
            for name, size in rows.items()
        }

    def call(self, table: str, ids: tf.Tensor) -> tf.Tensor:
        """Looks ids `[...]` (integer) up: `[..., embedding_dim]` in the compute type.

        Raises:
          tf.errors.InvalidArgumentError: on the CPU, an id outside the table (a GPU returns zeros).
        """
        return tf.cast(self.rows(table, ids), self.compute_dtype)

    def rows(self, table: str, ids: tf.Tensor) -> tf.Tensor:
        """As a call, in the type of the weights."""
        return tf.nn.embedding_lookup(self.tables[table], ids)
