"""A first-in-first-out queue of items, as state of a training loss: one on all replicas, in checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from lcn_tf.schema import FIRST_ID

_NOBODY = -1  # who brought what the queue begins with


class ItemQueue(tf.keras.layers.Layer):
    """Items by their rows in the item tables, and which user brought each.

    It begins with items at random: of every feature, any row that is an id's. Every replica must push the same.

    Args:
      tables: item feature -> rows of its table.
      size: Q, items it holds.
      width: of vectors that are kept with the items; 0 for none.
    """

    def __init__(self, tables: Mapping[str, int], size: int, width: int = 0, **kwargs: Any):
        super().__init__(**kwargs)
        self.size, self.width = size, width
        starts = {name: tf.random.stateless_uniform([size], [number, 0], FIRST_ID, rows, tf.int64)
                  for number, (name, rows) in enumerate(tables.items())}
        self._rows = {name: self._state(f"queue_{name}", start) for name, start in starts.items()}
        self._users = self._state("queue_users", tf.fill([size], tf.constant(_NOBODY, tf.int64)))
        if width:
            start = tf.random.stateless_normal([size, width], [len(tables), 0])
            self._vectors = self._state("queue_vectors", tf.math.l2_normalize(start, -1))

    def _state(self, name: str, start: tf.Tensor) -> tf.Variable:
        return self.add_weight(
            name=name, shape=start.shape, dtype=start.dtype, initializer=lambda *_, **__: start, trainable=False,
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA)

    @property
    def rows(self) -> dict[str, tf.Tensor]:
        """Rows in the tables, int64 `[Q]` by item feature, the newest first."""
        return {name: rows.read_value() for name, rows in self._rows.items()}

    @property
    def users(self) -> tf.Tensor:
        """Who brought each item, int64 `[Q]`."""
        return self._users.read_value()

    @property
    def vectors(self) -> tf.Tensor:
        """What was kept with each item, float32 `[Q, width]`, of length 1 to begin with."""
        return self._vectors.read_value()

    def push(self, rows: Mapping[str, tf.Tensor], users: tf.Tensor, vectors: tf.Tensor | None = None) -> None:
        """Puts items in front; as many of the oldest leave.

        Args:
          rows: int64 `[P]` by item feature.
          users: int64 `[P]`.
          vectors: float32 `[P, width]`, where they are kept.
        """
        for name, kept in self._rows.items():
            kept.assign(self._pushed(rows[name], kept))
        self._users.assign(self._pushed(users, self._users))
        if self.width:
            self._vectors.assign(self._pushed(vectors, self._vectors))

    def _pushed(self, values: tf.Tensor, kept: tf.Variable) -> tf.Tensor:
        return tf.ensure_shape(tf.concat([values, kept.read_value()], 0)[:self.size], kept.shape)
