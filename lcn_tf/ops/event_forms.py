"""Vectors of events in every form that an attention reads, and its two products with them.

Shapes: B requests, C candidates, K or L events, H heads, G buckets, U rows, E width of an event's vector.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import tensorflow as tf

from lcn_tf.ops.compact_events import Compact
from lcn_tf.ops.row_gradients import sum_outer_products


class Gathered(NamedTuple):
    """Vectors that were gathered from rows; their gradient goes to the rows alone, without one of their own size.

    Attributes:
      vectors: `rows[places]`, `[B, L, E]` or `[B, C, K, E]`; carries no gradient.
      rows: `[U, E]`.
      places: int32 `[B, L]` or `[B, C, K]`.

    Example:
      >>> from lcn_tf.layers import CSA, Gathered
      >>> rows, places = tf.ones([100, 16]), tf.zeros([2, 300], tf.int32)
      >>> history = Gathered(tf.stop_gradient(tf.gather(rows, places)), rows, places)
      >>> CSA()(tf.ones([2, 5, 16]), history, mask=tf.ones([2, 300], tf.bool))[0].shape
      TensorShape([2, 5, 16])
    """

    vectors: tf.Tensor
    rows: tf.Tensor
    places: tf.Tensor


class Bucketed(NamedTuple):
    """Vectors that are one of a few rows each, such as that of the time between event and candidate; never gathered.

    Attributes:
      rows: `[G, E]`.
      buckets: integers `[B, C, K]` in 0 ... G - 1, or `[B, 1, K]` for all candidates.

    Example:
      >>> from lcn_tf.layers import LAP, Bucketed
      >>> gap = Bucketed(rows=tf.ones([8, 4]), buckets=tf.zeros([2, 5, 300], tf.int32))  # of candidate and event
      >>> candidate, history = tf.ones([2, 5, 16]), tf.ones([2, 300, 16])
      >>> LAP(fsa_top_k=None)(candidate, history, context=gap, mask=tf.ones([2, 300], tf.bool)).shape
      TensorShape([2, 5, 80])
    """

    rows: tf.Tensor
    buckets: tf.Tensor

    def membership(self) -> tf.Tensor:
        """Float32 `[B, C or 1, G, K]`, 1 where an event is in a bucket."""
        return tf.one_hot(self.buckets, tf.shape(self.rows)[0], axis=2)


class Beside(NamedTuple):
    """Vectors whose columns come in parts of different forms, side by side.

    Attributes:
      parts: at least one, of the same events.

    Example:
      >>> from lcn_tf.layers import TargetMHA, Beside, Bucketed
      >>> gap = Bucketed(rows=tf.ones([8, 4]), buckets=tf.zeros([2, 5, 300], tf.int32))  # of candidate and event
      >>> events = Beside((tf.ones([2, 300, 16]), gap))  # as if [2, 5, 300, 20]
      >>> TargetMHA()(tf.ones([2, 5, 16]), events, mask=tf.ones([2, 300], tf.bool))[0].shape
      TensorShape([2, 5, 16])
    """

    parts: tuple[Any, ...]


Vectors: TypeAlias = tf.Tensor | Gathered | Bucketed | Beside | Compact


def as_vectors(vectors: Any) -> Vectors:
    """Vectors as they are; anything else as a tensor."""
    return vectors if isinstance(vectors, (Gathered, Bucketed, Beside, Compact)) else tf.convert_to_tensor(vectors)


def beside(*vectors: Vectors | None) -> Vectors:
    """The columns of several vectors of the same events; None is left out."""
    parts: list[Vectors] = []
    for one in vectors:
        if isinstance(one, Beside):
            parts += one.parts
        elif one is not None:
            parts.append(as_vectors(one))
    return parts[0] if len(parts) == 1 else Beside(tuple(parts))


def parts_of(vectors: Vectors | None) -> tuple[Vectors, ...]:
    """The parts side by side; one that is not `Beside` is its own, None has none."""
    if isinstance(vectors, Beside):
        return vectors.parts
    return () if vectors is None else (vectors,)


def width_of(vectors: Any) -> int:
    """E, of vectors or of their shapes in the same structure, as Keras hands them to `build`."""
    if isinstance(vectors, Beside):
        return sum(width_of(part) for part in vectors.parts)
    if isinstance(vectors, Compact):
        return sum(width_of(rows) for rows in vectors.rows)
    if isinstance(vectors, (Gathered, Bucketed)):
        return width_of(vectors.rows)
    return int(getattr(vectors, "shape", vectors)[-1])


def num_requests(vectors: Vectors) -> tf.Tensor:
    """B, int32 scalar."""
    if isinstance(vectors, Beside):
        return num_requests(vectors.parts[0])
    if isinstance(vectors, (Gathered, Compact)):
        return tf.shape(vectors.places if isinstance(vectors, Gathered) else vectors.columns)[0]
    return tf.shape(vectors.buckets if isinstance(vectors, Bucketed) else vectors)[0]


def gather(vectors: Vectors, indices: tf.Tensor) -> Vectors:
    """The events at `indices [B, C, K]`, in the same form."""
    if isinstance(vectors, Beside):
        return Beside(tuple(gather(part, indices) for part in vectors.parts))
    if isinstance(vectors, Gathered):
        places = _at(vectors.places, indices)
        return Gathered(tf.stop_gradient(tf.gather(vectors.rows, places)), vectors.rows, places)
    if isinstance(vectors, Bucketed):
        return vectors._replace(buckets=_at_views(vectors.buckets, indices))
    if isinstance(vectors, Compact):
        return vectors._replace(columns=gather(vectors.columns, indices))
    return tf.gather(vectors, indices, batch_dims=vectors.shape.rank - 2)


def as_tensor(vectors: Vectors) -> tf.Tensor:
    """`[B, C, K, E]` or, where no part has a candidate's axis, `[B, L, E]`; with a gradient of that size."""
    if isinstance(vectors, Beside):
        parts = [as_tensor(part) for part in vectors.parts]
        rank = max(part.shape.rank for part in parts)
        parts = [part if part.shape.rank == rank else part[:, tf.newaxis] for part in parts]
        events = functools.reduce(_common_sizes, [tf.shape(part)[:-1] for part in parts])
        return tf.concat([tf.broadcast_to(tf.cast(part, parts[0].dtype), tf.concat([events, tf.shape(part)[-1:]], 0))
                          for part in parts], -1)
    if isinstance(vectors, Gathered):
        return tf.gather(vectors.rows, vectors.places)
    if isinstance(vectors, Compact):
        return vectors.times_rows(vectors.columns)
    return tf.gather(vectors.rows, vectors.buckets) if isinstance(vectors, Bucketed) else vectors


def compact(vectors: Vectors) -> Vectors | None:
    """The same events with the first parts that all candidates of a request share, `[B, L]` or `[B, 1, L]`, `Compact`.

    Parts that may differ between candidates, as far as static shapes tell, stay as they are; None where the first does.
    """
    parts = list(parts_of(vectors))
    columns: list[tf.Tensor] = []
    rows: list[tf.Tensor] = []
    while parts and (shared := _compact(parts[0])) is not None:
        columns.append(shared.columns)
        rows += shared.rows
        del parts[0]
    if not columns:
        return None
    return beside(Compact(columns[0] if len(columns) == 1 else tf.concat(columns, -1), tuple(rows)), *parts)


def _compact(part: Vectors) -> Compact | None:
    """One part, if it is shared."""
    if isinstance(part, Compact):
        return part
    if isinstance(part, Bucketed):
        if part.buckets.shape[1] != 1:
            return None
        if part.rows.shape[0] is not None and part.rows.shape[0] < part.rows.shape[1]:
            return Compact(tf.one_hot(part.buckets[:, 0], part.rows.shape[0]), (tf.cast(part.rows, tf.float32),))
    part = as_tensor(part)
    if part.shape.rank == 4:
        if part.shape[1] != 1:
            return None
        part = part[:, 0]
    return Compact(tf.cast(part, tf.float32), (_identity(width_of(part)),))


def narrow(vectors: Vectors, kernel: tf.Tensor) -> tuple[Vectors, tf.Tensor]:
    """Events and kernel `[E, U]` with the same product, of fewer columns where some are `Compact`; others stay."""
    parts = parts_of(vectors)
    if not any(isinstance(part, Compact) for part in parts):
        return vectors, kernel
    kernels = tf.split(kernel, [width_of(part) for part in parts])
    found = []
    for place, part in enumerate(parts):
        if isinstance(part, Compact):
            found.append(part.columns)
            kernels[place] = part.fold(kernels[place])
        elif isinstance(part, Bucketed) and part.rows.shape[0] is not None:
            found.append(part._replace(rows=_identity(part.rows.shape[0])))
            kernels[place] = tf.matmul(tf.cast(part.rows, kernel.dtype), kernels[place])
        else:
            found.append(part)
    return beside(*found), tf.concat(kernels, 0)


def _identity(width: int) -> tf.Tensor:
    """A constant: not every runtime has the operation."""
    return tf.constant(np.eye(width), tf.float32)


def split(vectors: Vectors, width: int) -> tuple[Vectors, Vectors]:
    """The first `width` columns and the others; parts are cut between blocks only, except that a tensor alone is.

    Raises:
      ValueError: no part and no block ends at that column.
    """
    if isinstance(vectors, (Gathered, Bucketed)):
        raise ValueError(f"vectors of one part and {width_of(vectors)} columns cannot be cut at column {width}")
    if not isinstance(vectors, (Beside, Compact)):
        return vectors[..., :width], vectors[..., width:]
    parts: list[Vectors] = []
    for part in parts_of(vectors):
        before = sum(map(width_of, parts))
        parts += part.cut(width - before) if isinstance(part, Compact) else (part,)
    ends = list(itertools.accumulate(map(width_of, parts)))
    if width not in ends:
        raise ValueError(f"vectors whose parts end at columns {ends} cannot be cut at column {width}")
    place = ends.index(width) + 1
    return beside(*parts[:place]), beside(*parts[place:])


def products(queries: tf.Tensor, vectors: Vectors) -> tf.Tensor:
    """Inner products of every query with its request's or candidate's events.

    Args:
      queries: float32 `[B, C, H, E]`, or `[B, 1, H, E]` for all candidates.
      vectors: of events `[B, C, K]`, `[B, 1, K]` or `[B, K]`, in any form.

    Returns:
      Float32 `[B, C, H, K]`; `[B, 1, H, K]` where neither queries nor events are of a candidate.
    """
    if isinstance(vectors, Beside):
        parts = tf.split(queries, [width_of(part) for part in vectors.parts], -1)
        total = products(parts[0], vectors.parts[0])
        for query, part in zip(parts[1:], vectors.parts[1:], strict=True):
            total += products(query, part)
        return total
    if isinstance(vectors, Bucketed):
        of_buckets = tf.tensordot(queries, tf.cast(vectors.rows, tf.float32), [[3], [1]])  # [B, C, H, G]
        return tf.matmul(of_buckets, vectors.membership())
    if isinstance(vectors, Compact):
        parts = tf.split(queries, [width_of(rows) for rows in vectors.rows], -1)
        folded = tf.concat([tf.tensordot(part, rows, [[3], [1]])
                            for part, rows in zip(parts, vectors.rows, strict=True)], -1)  # [B, C, H, N]
        return _products(folded, vectors.columns)
    if not isinstance(vectors, Gathered):
        return _products(queries, vectors)

    if queries.shape[1] == 1 and vectors.places.shape.rank == 3:
        queries = tf.repeat(queries, tf.shape(vectors.places)[1], axis=1)

    @tf.custom_gradient
    def multiply(queries: tf.Tensor, rows: tf.Tensor):
        def gradient(upstream: tf.Tensor):
            of_rows = sum_outer_products(vectors.places, upstream, queries, tf.shape(rows)[0])
            return _weighted_sums(upstream, vectors.vectors), tf.cast(of_rows, rows.dtype)

        return _products(queries, vectors.vectors), gradient

    return multiply(queries, vectors.rows)


def weighted_sums(weights: tf.Tensor, vectors: Vectors) -> tf.Tensor:
    """Sums over the events.

    Args:
      weights: float32 `[B, C, H, K]`.
      vectors: as in `products`.

    Returns:
      Float32 `[B, C, H, E]`.
    """
    if isinstance(vectors, Beside):
        return tf.concat([weighted_sums(weights, part) for part in vectors.parts], -1)
    if isinstance(vectors, Bucketed):
        of_buckets = tf.matmul(weights, vectors.membership(), transpose_b=True)  # [B, C, H, G]
        return tf.tensordot(of_buckets, tf.cast(vectors.rows, tf.float32), 1)
    if isinstance(vectors, Compact):
        return vectors.times_rows(_weighted_sums(weights, vectors.columns))
    if not isinstance(vectors, Gathered):
        return _weighted_sums(weights, vectors)

    @tf.custom_gradient
    def add(weights: tf.Tensor, rows: tf.Tensor):
        def gradient(upstream: tf.Tensor):
            of_rows = sum_outer_products(vectors.places, weights, upstream, tf.shape(rows)[0])
            return _products(upstream, vectors.vectors), tf.cast(of_rows, rows.dtype)

        return _weighted_sums(weights, vectors.vectors), gradient

    return add(weights, vectors.rows)


def project(vectors: Vectors, kernel: tf.Tensor) -> tf.Tensor:
    """`vectors @ kernel` without the wide tensor of all parts.

    Args:
      vectors: of events `[B, C, K]`, `[B, 1, K]` or `[B, K]`, in any form.
      kernel: `[E, U]`; its type is that of the result.

    Returns:
      `[B, C, K, U]`, or `[B, 1, K, U]` where no part is of a candidate.
    """
    if isinstance(vectors, Beside):
        kernels = tf.split(kernel, [width_of(part) for part in vectors.parts])
        total = project(vectors.parts[0], kernels[0])
        for part, own in zip(vectors.parts[1:], kernels[1:], strict=True):
            total += project(part, own)
        return total
    if isinstance(vectors, Bucketed):  # a product, for the gradient of gathering is a slow sum of segments
        of_buckets = tf.matmul(tf.cast(vectors.rows, kernel.dtype), kernel)  # [G, U]
        return tf.tensordot(tf.one_hot(vectors.buckets, tf.shape(of_buckets)[0], dtype=kernel.dtype), of_buckets, 1)
    if isinstance(vectors, Compact):
        vectors, kernel = vectors.columns, vectors.fold(kernel)
    vectors = tf.cast(as_tensor(vectors), kernel.dtype)
    projected = tf.tensordot(vectors, kernel, 1)
    return projected if vectors.shape.rank == 4 else projected[:, tf.newaxis]


def leading_sizes(tensor: tf.Tensor, count: int = 2) -> list[Any]:
    """The sizes of the first axes, B and C by default, static where known."""
    dynamic = tf.shape(tensor)
    return [tensor.shape[axis] if tensor.shape[axis] is not None else dynamic[axis] for axis in range(count)]


def _at_views(values: tf.Tensor, indices: tf.Tensor) -> tf.Tensor:
    """Values `[B, 1 or C, L]` at `indices [B, C, K]`, without a copy of one view for every candidate."""
    if values.shape[1] is not None and values.shape[1] == indices.shape[1]:
        return _at(values, indices)
    batch, views, length = leading_sizes(values, 3)
    view = tf.minimum(tf.range(tf.shape(indices)[1]), views - 1)  # [C]
    first = (tf.range(batch)[:, tf.newaxis] * views + view) * length  # [B, C]
    return tf.gather(tf.reshape(values, [-1]), first[..., tf.newaxis] + tf.cast(indices, tf.int32))


def _common_sizes(sizes: tf.Tensor, others: tf.Tensor) -> tf.Tensor:
    """What two shapes broadcast to; `tf.broadcast_dynamic_shape` in operations that converters know."""
    return tf.where(tf.equal(sizes, 1), others, sizes)


def _at(values: tf.Tensor, indices: tf.Tensor) -> tf.Tensor:
    """Values `[B, L]` or `[B, C, L]` at `indices [B, C, K]`."""
    return tf.gather(values, indices, batch_dims=values.shape.rank - 1)


def _products(queries: tf.Tensor, vectors: tf.Tensor) -> tf.Tensor:
    vectors = tf.cast(vectors, tf.float32)
    if vectors.shape.rank == 4:
        return tf.matmul(queries, vectors, transpose_b=True)
    return _over_heads_and_candidates(queries, lambda flat: tf.matmul(flat, vectors, transpose_b=True))


def _weighted_sums(weights: tf.Tensor, vectors: tf.Tensor) -> tf.Tensor:
    vectors = tf.cast(vectors, tf.float32)
    if vectors.shape.rank == 4:
        return tf.matmul(weights, vectors)
    return _over_heads_and_candidates(weights, lambda flat: tf.matmul(flat, vectors))


def _over_heads_and_candidates(rows: tf.Tensor, product: Callable[[tf.Tensor], tf.Tensor]) -> tf.Tensor:
    """Applies a `[B, N, x] -> [B, N, y]` product to `[B, C, H, x]` with the axes C and H flattened into N."""
    batch, candidates, heads, width = leading_sizes(rows, 4)
    result = product(tf.reshape(rows, [batch, candidates * heads, width]))  # [B, C H, y]
    return tf.reshape(result, [batch, candidates, heads, leading_sizes(result, 3)[-1]])
