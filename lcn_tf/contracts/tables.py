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
class OwnUpdate(Protocol):
    """A table whose vectors no optimiser trains: it takes the gradient of the rows that a step read."""

    def apply_gradient(self, ids: tf.Tensor, gradient: tf.Tensor) -> None:
        """Changes its state, once in each step, after the optimiser.

        Args:
          ids: int64 `[U]`, distinct ones of the global batch, the same on every replica; see `AfterUpdate` for state.
          gradient: of the loss by their vectors, float32 `[U, width]`.
        """


@runtime_checkable
class GivesRows(Protocol):
    """A table with fewer rows than ids: who has one is decided in training, and the optimiser trains the rows.

    Attributes:
      own_rows: these rows, a weight `[S, width]`.
      by_id: variables with an entry for each id, `[rows, ...]`, whose first values are those of an id never seen.
      trainable_weights: `own_rows` and whatever else of its vectors is trained.
    """

    own_rows: tf.Variable

    @property
    def by_id(self) -> tuple[tf.Variable, ...]: ...  # noqa: D102
    @property
    def trainable_weights(self) -> list[tf.Variable]: ...  # noqa: D102

    def give_rows(self, ids: tf.Tensor, gradient: tf.Tensor, seen: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Changes who has rows, once in each step, after the optimiser; evaluation changes nothing.

        Args:
          ids: int64 `[U]`, distinct ones of the global batch, the same on every replica but for their order.
          gradient: of the loss by their vectors, float32 `[U, width]`.
          seen: bool `[U]`, whether a real candidate sees the id, and it stands for one value: not for padding, values
            out of vocabulary, or what a loss drew.
          seed: int64 `[2]`, the second of which is the number of steps before this one; decides every draw.

        Returns:
          Places `[N]` in `own_rows`, integers, that another id has now: the optimiser's slots of them begin anew.
        """
