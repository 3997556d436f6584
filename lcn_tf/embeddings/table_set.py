"""The tables of a model by name, each shared by every feature that reads it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import tensorflow as tf

from lcn_tf.contracts import HasRowWeights, Table, TableSpec
from lcn_tf.embeddings.config import EmbeddingConfig
from lcn_tf.embeddings.tables import dense

TableBuilder = Callable[[TableSpec], Table]


class EmbeddingTables(tf.keras.layers.Layer):
    """Tables by name, dense ones of `[rows, width]` where no other kind is asked for.

    Row 0 belongs to padding: whoever reads padded ids masks what comes back, so it is never trained.

    Args:
      rows: table name -> number of rows.
      config: widths and initial values.
      builders: table name -> what builds a table of another kind.

    Attributes:
      tables: name -> `lcn_tf.contracts.Table`.
    """

    def __init__(self, rows: Mapping[str, int], config: EmbeddingConfig,
                 builders: Mapping[str, TableBuilder] | None = None, **kwargs):
        super().__init__(**kwargs)
        self.config = config
        self.tables: dict[str, Table] = {}
        builders = builders or {}
        for name, size in rows.items():
            spec = TableSpec(name, size, config.width(name), config.initializer_of(name))
            self.tables[name] = builders[name](spec) if name in builders else dense.build(dense.Config(), spec)

    @property
    def vectors(self) -> dict[str, tf.Variable]:
        """The weights `[rows, width]` of dense tables by name."""
        return {name: table.vectors for name, table in self.tables.items() if isinstance(table, dense.DenseTable)}

    @property
    def row_weights(self) -> list[tf.Variable]:
        """The trained rows as optimisers see them, of dense tables and within others."""
        return [weight for table in self.tables.values() if isinstance(table, HasRowWeights)
                for weight in table.row_weights]

    def call(self, table: str, ids: tf.Tensor) -> tf.Tensor:
        """Looks ids `[...]` (integer) up: `[..., width]` in the compute type.

        Raises:
          tf.errors.InvalidArgumentError: on the CPU, an id outside a dense table (a GPU returns zeros).
        """
        return tf.cast(self.rows(table, ids), self.compute_dtype)

    def rows(self, table: str, ids: tf.Tensor) -> tf.Tensor:
        """As a call, in the type of the weights."""
        return self.tables[table].rows(ids)
