"""A batch whose tables are looked up once: the rows of its distinct ids, and its id tensors as places among them.

What a step then gathers, sums and updates are a few rows in memory instead of a table that may be large, sharded or far
away; the gradient of a table names each id once. Shape letters: U distinct ids, D table width.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import tensorflow as tf

from lcn_tf.ops.row_gradients import sum_rows
from lcn_tf.ops.unique_ids import unique_ids

FEW_ROWS = 64  # of a table whose rows attention reads as `Bucketed`

Batch = Mapping[str, tf.Tensor]
Gradient: TypeAlias = tf.Tensor | tf.IndexedSlices


def rows_name(table: str) -> str:
    """Name, in such a batch, of a table's rows `[U, D]`."""
    return f"rows of {table}"


def attended_rows_name(table: str) -> str:
    """Name of the same rows as read by attention, whose gradient is a tensor; that of the others is `IndexedSlices`."""
    return f"attended {rows_name(table)}"


def search_rows_name(table: str) -> str:
    """Name of the rows of the same ids in a separate search table."""
    return f"search {rows_name(table)}"


def places_name(name: str) -> str:
    """Name, in such a batch, of the places (int32, shape of the ids) that an id tensor's ids have among the rows."""
    return f"places of {name}"


def add_rows(ids: Batch, size: int, lookups: Mapping[str, Callable[[tf.Tensor], tf.Tensor]]) -> dict[str, tf.Tensor]:
    """What a batch gains by looking a table, or several of the same ids, up once.

    Of a batch without ids, as a replica may get it, that is the row of padding: there is always one to read.

    Args:
      ids: name -> ids of this table, any shape.
      size: its number of rows.
      lookups: name of the rows -> what finds rows `[U, D]`, in the type of the weights, by their ids `[U]`.

    Returns:
      The rows and, for every tensor, the places.
    """
    tensors = list(ids.values())
    sizes = tf.stack([tf.size(tensor) for tensor in tensors])
    unique, places = unique_ids(tf.concat([tf.reshape(tensor, [-1]) for tensor in tensors], axis=0), size)
    unique = tf.pad(unique, [[0, tf.maximum(1 - tf.size(unique), 0)]])
    added = {name: lookup(unique) for name, lookup in lookups.items()}
    for name, tensor, part in zip(ids, tensors, tf.split(places, sizes), strict=True):
        added[places_name(name)] = tf.ensure_shape(tf.reshape(part, tf.shape(tensor)), tensor.shape)
    return added


def dense_gradient(gradient: Gradient | None, rows: tf.Tensor) -> tf.Tensor:
    """The gradient of a table's rows `[U, D]` as a float32 tensor of that shape, what several gathers name summed."""
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
