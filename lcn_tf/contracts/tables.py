"""What tables of vectors offer, and are given."""

from __future__ import annotations

from collections.abc import Sequence
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
      seed: of draws in training.
    """

    name: str
    rows: int
    width: int
    initializer: tf.keras.initializers.Initializer
    vectors: np.ndarray | None = None
    seed: int = 0


class Table(Protocol):
    """Vectors by id; a Keras layer. Each step looks its distinct ids up once."""

    def rows(self, ids: tf.Tensor) -> tf.Tensor:
        """Ids `[...]` (integer) -> vectors `[..., width]` float32; what is differentiated where it has weights."""


@runtime_checkable
class HasRowWeights(Protocol):
    """A table that trains vectors of ids, alone or with other weights.

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


class TableStep(NamedTuple):
    """A training step, as tables are told of it.

    Attributes:
      number: int64 scalar, how many steps of the optimiser came before.
      learning_rate: float32 scalar, of the step, of the optimiser that trains tables.
      impressions: float32 scalar, candidates of the global batch.
    """

    number: tf.Tensor
    learning_rate: tf.Tensor
    impressions: tf.Tensor


@runtime_checkable
class SecondPass(Protocol):
    """A table that learns from the loss at the rows that a step read, and at those that it is about to store.

    In each step, after the optimiser, it is asked what it wants to store. The losses of the same batch are then
    computed again, with `nearest` in place of the rows that the step read, new weights, the same draws of the
    objectives, and other tables as they were read; what a forward pass changes beside, such as counters of dropout, is
    put back. All that needs the gradient of these losses is done in `store`. `ids` are int64 `[U]`, distinct ones of
    the global batch and the same on every replica; see `AfterUpdate` for state.

    Attributes:
      every: the losses are computed again in steps whose number is a multiple of this alone.
    """

    every: int

    def build_slots(self) -> None:
        """Creates the state that only training needs, unless it is there; `compile` asks for it."""

    def wanted(self, ids: tf.Tensor, gradient: tf.Tensor, step: TableStep) -> tf.Tensor:
        """What rows are to become by the gradient of the losses by their vectors, both float32 `[U, width]`.

        What is returned may be in another unit than vectors are.
        """

    def nearest(self, ids: tf.Tensor, wanted: tf.Tensor) -> tf.Tensor:
        """The vectors nearest to what is wanted that the table could store, float32 `[U, width]`."""

    def store(self, ids: tf.Tensor, wanted: tf.Tensor, gradient: tf.Tensor, step: TableStep) -> None:
        """Stores what is wanted.

        Args:
          ids: see the class.
          wanted: of `wanted`.
          gradient: of the losses by the vectors of `nearest`, `[U, width]`; zeros in a step without them.
          step: as in `wanted`.
        """


@runtime_checkable
class RowState(Protocol):
    """A table whose whole state belongs to its rows, in variables whose first axis they are."""

    @property
    def stored(self) -> Sequence[tf.Variable]:
        """What look-ups read."""

    @property
    def slots(self) -> Sequence[tf.Variable]:
        """What only training needs; none before it is built."""


@runtime_checkable
class GivesRows(Protocol):
    """A table with fewer rows than ids: who has one is decided in training, and the optimiser trains the rows.

    Attributes:
      own_rows: these rows, a weight `[S, width]`.
      by_id: variables with an entry for each id, `[rows, ...]`, whose first values are those of an id never seen.
    """

    own_rows: tf.Variable

    @property
    def by_id(self) -> tuple[tf.Variable, ...]: ...  # noqa: D102

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
