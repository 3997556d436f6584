"""What tables of vectors offer, and are given."""

from __future__ import annotations

from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import tensorflow as tf


class TableSpec(NamedTuple):
    """Which table to build.

    Attributes:
      name: of the table.
      rows: how many ids it has.
      width: of its vectors.
      initializer: of what is trained.
      vectors: frozen content vectors of its ids, `[rows, any width]`, where the schema names a file of them.
    """

    name: str
    rows: int
    width: int
    initializer: tf.keras.initializers.Initializer
    vectors: np.ndarray | None = None


class Table(Protocol):
    """Vectors by id; a Keras layer. Each step looks its distinct ids up once."""

    def rows(self, ids: tf.Tensor) -> tf.Tensor:
        """Ids `[...]` (integer) -> vectors `[..., width]` float32; what is differentiated where it has weights."""


@runtime_checkable
class HasRowWeights(Protocol):
    """A table that trains a vector for every id, alone or with other weights.

    Optimisers of tables take these weights: a step moves the rows that it read, without weight decay, where the
    optimiser is one for rows. What else the table trains, as a projection, counts among the network's weights.
    """

    @property
    def row_weights(self) -> list[tf.Variable]:
        """The trained weights `[rows, width]`; parts of one that is divided over parameter servers."""


@runtime_checkable
class OwnUpdate(Protocol):
    """A table whose vectors no optimiser trains: it takes the gradient of the rows that a step read."""

    def apply_gradient(self, ids: tf.Tensor, gradient: tf.Tensor) -> None:
        """Changes its state, once in each step, after the optimiser.

        Args:
          ids: int64 `[U]`, distinct ones of the global batch, the same on every replica; see `AfterUpdate` for state.
          gradient: of the loss by their vectors, float32 `[U, width]`.
        """
