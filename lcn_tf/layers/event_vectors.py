"""Vectors of events in every form that an attention reads, and its two products with them.

Shapes: B requests, C candidates, K or L events, H heads, G buckets, E width of an event's vector, E_g of a bucket's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import tensorflow as tf


class BucketedVectors(NamedTuple):
    """Vectors `[B, C, L, E]` that candidates share but for their last part, which is one of a few rows.

    The vector of event l for candidate c is `shared[l]` followed by `rows[buckets[c, l]]`: what depends on both is the
    bucket of the time between them. `[B, C, L, E]` itself is never built.

    Attributes:
      shared: `[B, L, E - E_g]`.
      rows: `[G, E_g]`.
      buckets: integers `[B, C, L]` in 0 ... G - 1.
    """

    shared: tf.Tensor
    rows: tf.Tensor
    buckets: tf.Tensor

    def gather(self, indices: tf.Tensor) -> tf.Tensor:
        """Vectors `[B, C, K, E]` of the events at `indices [B, C, K]`."""
        chosen = tf.gather(self.rows, tf.gather(self.buckets, indices, batch_dims=2))  # [B, C, K, E_g]
        return tf.concat([tf.gather(self.shared, indices, batch_dims=1), tf.cast(chosen, self.shared.dtype)], -1)

    def membership(self) -> tf.Tensor:
        """Float32 `[B, C, G, L]`, 1 where an event is in a bucket."""
        return tf.one_hot(self.buckets, tf.shape(self.rows)[0], axis=2)


Vectors: TypeAlias = tf.Tensor | BucketedVectors


def width_of(shape: Any) -> int:
    """E, of the shapes that Keras hands to `build`: one, or one for each part of `BucketedVectors`."""
    if isinstance(shape, BucketedVectors):
        return int(shape.shared[-1]) + int(shape.rows[-1])
    return int(shape[-1])


def beside(first: tf.Tensor, vectors: Vectors) -> Vectors:
    """Vectors of events with columns `[B, L, x]` before their own.

    Args:
      first: shared by the candidates.
      vectors: `[B, L, E]`, `[B, C, L, E]` or bucketed; cast to the type of `first`.

    Returns:
      The same form, E + x wide.
    """
    if isinstance(vectors, BucketedVectors):
        return vectors._replace(shared=beside(first, vectors.shared), rows=tf.cast(vectors.rows, first.dtype))
    vectors = tf.cast(vectors, first.dtype)
    width = first.shape[-1] + vectors.shape[-1]
    if vectors.shape.rank == 4:
        shape = tf.concat([tf.shape(vectors)[:3], tf.shape(first)[-1:]], axis=0)
        first = tf.broadcast_to(first[:, tf.newaxis], shape)
    return tf.ensure_shape(tf.concat([first, vectors], -1), [None] * (vectors.shape.rank - 1) + [width])


def split(vectors: Vectors, width: int) -> tuple[tf.Tensor, Vectors]:
    """The first `width` columns, which bucketed vectors share among candidates, and the others in the same form."""
    if isinstance(vectors, BucketedVectors):
        return vectors.shared[..., :width], vectors._replace(shared=vectors.shared[..., width:])
    return vectors[..., :width], vectors[..., width:]


def products(queries: tf.Tensor, vectors: Vectors) -> tf.Tensor:
    """Inner products of every query with its request's or candidate's events.

    Args:
      queries: float32 `[B, C, H, E]`, or `[B, 1, H, E]` for all candidates.
      vectors: `[B, C, K, E]`, `[B, 1, K, E]`, `[B, K, E]` or bucketed.

    Returns:
      Float32 `[B, C, H, K]`; `[B, 1, H, K]` where neither queries nor events are of a candidate.
    """
    if isinstance(vectors, BucketedVectors):
        width, rows = vectors.shared.shape[-1], tf.cast(vectors.rows, tf.float32)
        of_buckets = tf.tensordot(queries[..., width:], rows, [[3], [1]])  # [B, C, H, G]
        return products(queries[..., :width], vectors.shared) + tf.matmul(of_buckets, vectors.membership())
    vectors = tf.cast(vectors, tf.float32)
    if vectors.shape.rank == 4:
        return tf.matmul(queries, vectors, transpose_b=True)
    return _over_heads_and_candidates(queries, lambda flat: tf.matmul(flat, vectors, transpose_b=True))


def weighted_sums(weights: tf.Tensor, vectors: Vectors) -> tf.Tensor:
    """Sums over the events.

    Args:
      weights: float32 `[B, C, H, K]`.
      vectors: as in `products`.

    Returns:
      Float32 `[B, C, H, E]`.
    """
    if isinstance(vectors, BucketedVectors):
        of_buckets = tf.matmul(weights, vectors.membership(), transpose_b=True)  # [B, C, H, G]
        last = tf.tensordot(of_buckets, tf.cast(vectors.rows, tf.float32), 1)  # [B, C, H, E_g]
        return tf.concat([weighted_sums(weights, vectors.shared), last], -1)
    vectors = tf.cast(vectors, tf.float32)
    if vectors.shape.rank == 4:
        return tf.matmul(weights, vectors)
    return _over_heads_and_candidates(weights, lambda flat: tf.matmul(flat, vectors))


def leading_sizes(tensor: tf.Tensor) -> list[Any]:
    """The sizes B and C, static where known."""
    dynamic = tf.shape(tensor)
    return [tensor.shape[axis] if tensor.shape[axis] is not None else dynamic[axis] for axis in (0, 1)]


def _over_heads_and_candidates(rows: tf.Tensor, product: Callable[[tf.Tensor], tf.Tensor]) -> tf.Tensor:
    """Applies a `[B, N, x] -> [B, N, y]` product to `[B, C, H, x]` with the axes C and H flattened into N."""
    batch, candidates = leading_sizes(rows)
    heads, width = rows.shape[2], rows.shape[3] if rows.shape[3] is not None else tf.shape(rows)[3]
    result = product(tf.reshape(rows, [batch, candidates * heads, width]))  # [B, C H, y]
    width = result.shape[-1] if result.shape[-1] is not None else tf.shape(result)[-1]
    return tf.reshape(result, [batch, candidates, heads, width])
