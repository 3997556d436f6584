"""The rows of a batch's distinct ids: each table is looked up once, and its gradient names each id once.

What a step then gathers, sums and updates are a few rows in memory instead of a table that may be large, sharded or far
away. Shape letters: U distinct ids, d table width.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeAlias

import tensorflow as tf

from lcn_tf.ops.row_gradients import sum_rows
from lcn_tf.ops.unique_ids import unique_ids

FEW_ROWS = 64  # of a table whose rows attention reads as `Bucketed`

Batch = Mapping[str, tf.Tensor]
Gradient: TypeAlias = tf.Tensor | tf.IndexedSlices
Find: TypeAlias = Callable[[tf.Tensor], tf.Tensor]


class TableRows(NamedTuple):
    """What a batch reads of a table.

    Attributes:
      ids: int64 `[U]`, in no particular order.
      gathered: `[U, d]`, in the type of the weights; its gradient is `IndexedSlices`.
      attended: the same rows as read by attention, whose gradient is a tensor.
      search: rows of the same ids in a separate search table, or None.
    """

    ids: tf.Tensor
    gathered: tf.Tensor
    attended: tf.Tensor
    search: tf.Tensor | None = None


def find_rows(ids: Batch, size: int, find: Find, search: Find | None = None) -> tuple[TableRows, dict[str, tf.Tensor]]:
    """Looks a table, or two of the same ids, up once.

    Of a batch without ids, as a replica may get it, that is the row of padding: there is always one to read.

    Args:
      ids: name -> ids of this table, any shape.
      size: its number of rows.
      find: rows `[U, d]` by their ids `[U]`.
      search: the same for a separate search table.

    Returns:
      The rows, and for every tensor the places of its ids among them, int32 of its shape.
    """
    tensors = list(ids.values())
    sizes = tf.stack([tf.size(tensor) for tensor in tensors])
    unique, places = unique_ids(tf.concat([tf.reshape(tensor, [-1]) for tensor in tensors], axis=0), size)
    unique = tf.pad(unique, [[0, tf.maximum(1 - tf.size(unique), 0)]])
    rows = find(unique)
    found = TableRows(unique, rows, tf.identity(rows), None if search is None else search(unique))
    split = tf.split(places, sizes)
    return found, {name: tf.ensure_shape(tf.reshape(part, tf.shape(tensor)), tensor.shape)
                   for (name, tensor), part in zip(ids.items(), split, strict=True)}


def dense_gradient(gradient: Gradient | None, rows: tf.Tensor) -> tf.Tensor:
    """The gradient of a table's rows `[U, d]` as a float32 tensor of that shape, what several gathers name summed."""
    if gradient is None:
        return tf.zeros_like(rows, tf.float32)
    if not isinstance(gradient, tf.IndexedSlices):
        return tf.cast(gradient, tf.float32)
    return sum_rows(gradient.indices, tf.cast(gradient.values, tf.float32), tf.shape(rows)[0])


def merged_gradient(first: Gradient | None, second: Gradient | None) -> Gradient | None:
    """The sum of two gradients of one weight, either of which may be missing; sparse ones stay sparse."""
    if first is None or second is None:
        return second if first is None else first
    if isinstance(first, tf.IndexedSlices) and isinstance(second, tf.IndexedSlices):
        values = [tf.cast(one.values, tf.float32) for one in (first, second)]
        indices = [tf.cast(one.indices, tf.int64) for one in (first, second)]
        return tf.IndexedSlices(tf.concat(values, 0), tf.concat(indices, 0), first.dense_shape)
    return tf.convert_to_tensor(first) + tf.convert_to_tensor(second)
