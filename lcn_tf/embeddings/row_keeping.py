"""Which ids lose their rows in a table that has fewer rows than ids.

A keeper notes the reads of the rows and says whose turn it is. All of it is a function of what the global batches read
and of the steps' seeds, so that every replica comes to the same end. Shape letters: S rows, N of them in a step.
"""

from __future__ import annotations

import math

import tensorflow as tf


class RecentRows(tf.keras.layers.Layer):
    """The row whose id was read longest ago passes to another id first.

    Args:
      rows: S.

    Attributes:
      forced: whether an id that waits takes the row of another when none is free.
      last_read: step in which each row was last read, int64 `[S]`.
    """

    forced = True

    def __init__(self, rows: int, **kwargs):
        super().__init__(dtype="float32", **kwargs)
        self.last_read = self.state("last_read", [rows], tf.int64)

    def state(self, name: str, shape: list[int], dtype: tf.DType, value: float = 0) -> tf.Variable:
        """A variable of what a keeper has noted."""
        return self.add_weight(name=name, shape=shape, dtype=dtype, trainable=False,
                               initializer=tf.keras.initializers.Constant(value))

    def note(self, rows: tf.Tensor, norms: tf.Tensor, now: tf.Tensor) -> None:
        """Rows were read.

        Args:
          rows: integers `[N]`, distinct.
          norms: of the loss's gradient by each of them, float32 `[N]`.
          now: the step, int64 scalar.
        """
        self.last_read.scatter_update(tf.IndexedSlices(tf.fill(tf.shape(rows), now), rows))

    def begin(self, rows: tf.Tensor, reads: tf.Tensor, now: tf.Tensor) -> None:
        """Rows `[N]` have new ids, which have been read in `reads` (int32 `[N]`) steps so far."""
        self.last_read.scatter_update(tf.IndexedSlices(tf.fill(tf.shape(rows), now), rows))

    def ranks(self) -> tf.Tensor:
        """Of rows that are not read now, those of the lowest ranks pass to other ids first; float64 `[S]`."""
        return tf.cast(self.last_read, tf.float64)

    def lost(self, owned: tf.Tensor, reads: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Rows that the step takes from their ids without another that waits; called at the end of every step.

        Args:
          owned: bool `[S]`, rows that have an id.
          reads: int32 `[S]`, steps in which that was read.
          seed: int64 `[2]`, the second of which is the step.

        Returns:
          int64 `[N]`, distinct.
        """
        return tf.zeros([0], tf.int64)


class FrequentRows(RecentRows):
    """The row whose id is read least often: reads count half after each `half_life` steps.

    Args:
      rows: S.
      half_life: in steps.
    """

    def __init__(self, rows: int, half_life: int, **kwargs):
        super().__init__(rows, **kwargs)
        self.half_life = half_life
        self.reads = self.state("reads", [rows], tf.float32)  # as they counted when the row was last read

    def note(self, rows: tf.Tensor, norms: tf.Tensor, now: tf.Tensor) -> None:
        """As of the parent."""
        waited = tf.cast(now - tf.gather(self.last_read, rows), tf.float32)
        reads = 1 + tf.gather(self.reads, rows) * 0.5 ** (waited / self.half_life)
        self.reads.scatter_update(tf.IndexedSlices(reads, rows))
        super().note(rows, norms, now)

    def begin(self, rows: tf.Tensor, reads: tf.Tensor, now: tf.Tensor) -> None:
        """As of the parent."""
        self.reads.scatter_update(tf.IndexedSlices(tf.cast(reads, tf.float32), rows))
        super().begin(rows, reads, now)

    def ranks(self) -> tf.Tensor:
        """The logarithm of what the reads count today, but for a number that all rows share."""
        return super().ranks() / self.half_life + tf.math.log(tf.cast(self.reads, tf.float64)) / math.log(2)
