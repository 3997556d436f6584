"""The memory traffic that a training step must do, to compare step times with."""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow as tf

from experiments.benchmarks.synthetic_batches import ITEM


class MemoryFloor:
    """The lifelong history read once forward, read and added up once backward, as plainly as TensorFlow allows.

    Rows are D float32 wide; of the history's B L ids, U are different.

    - Forward: one gather of all B L rows from the table (B L rows read at random, as many written one after the
      other), and one read of them: their inner products with a vector for each request, of which a sum is kept.
    - Backward: one more read of the B L rows, as the contributions of all positions to the gradient, and their
      scatter-add into U rows (B L rows read and written at random).

    In all six times B L D numbers, beside them B L ids twice. Which ids are different is known beforehand. A kernel
    that does everything at once would not write the gathered rows; operations of TensorFlow must.

    Args:
      batch: of `synthetic_batches`.
      table: `[rows, D]`.
    """

    def __init__(self, batch: Mapping[str, tf.Tensor], table: tf.Variable):
        self._ids = batch[f"lifelong_source_{ITEM}"]  # [B, L]
        unique, places = tf.unique(tf.reshape(self._ids, [-1]), tf.int64)
        self._places = places  # [B L]
        self._table = table
        self.gradient = tf.Variable(tf.zeros([tf.size(unique), table.shape[1]]))  # [U, D]
        self._queries = tf.ones([tf.shape(self._ids)[0], table.shape[1], 1])
        self._run = tf.function(self._pass)

    def _pass(self) -> tf.Tensor:
        history = tf.gather(self._table, self._ids)  # [B, L, D]
        products = tf.matmul(history, self._queries)  # [B, L, 1]
        contributions = tf.reshape(history, [-1, history.shape[-1]])
        self.gradient.scatter_add(tf.IndexedSlices(contributions, self._places))
        return tf.reduce_sum(products)

    def __call__(self) -> float:
        """All of it once; returns when it is done."""
        return float(self._run())
