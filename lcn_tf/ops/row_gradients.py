"""Sums by row: the gradient of rows that many events were gathered from.

Both are products with the sparse matrix of rows and events, which TensorFlow computes several times as fast as a sum of
segments. Shapes: B requests, C candidates, K or L events, H heads, N vectors, U rows, E width.
"""

from __future__ import annotations

import tensorflow as tf

SCOPE = "row_gradients"  # of the operations

def sum_rows(places: tf.Tensor, vectors: tf.Tensor, num_rows: tf.Tensor) -> tf.Tensor:
    """For each row, the sum of the vectors at its place; like `tf.math.unsorted_segment_sum`.

    Args:
      places: integers, any shape of N elements, in 0 ... U - 1.
      vectors: float32, the shape of `places` and `[E]`.
      num_rows: int32 scalar, U.

    Returns:
      Float32 `[U, E]`.
    """
    vectors = tf.reshape(vectors, [-1, vectors.shape[-1]])
    count = tf.shape(vectors)[0]
    return _product(tf.range(count), places, tf.ones([count]), vectors, num_rows)


def sum_outer_products(places: tf.Tensor, weights: tf.Tensor, vectors: tf.Tensor, num_rows: tf.Tensor) -> tf.Tensor:
    """For each row, the sum of `weights[b, c, h, k] vectors[b, c, h]` over the events that were gathered from it.

    The outer products are never built, except where several queries share events: there they are first summed by event.

    Args:
      places: integers `[B, C, K]`, or `[B, L]` of events that all candidates share.
      weights: float32 `[B, C, H, K]`.
      vectors: float32 `[B, C, H, E]`.
      num_rows: int32 scalar, U.

    Returns:
      Float32 `[U, E]`.
    """
    width, shape = vectors.shape[-1], tf.shape(weights)
    if places.shape.rank == 2 and weights.shape[1:3] != [1, 1]:
        outer = tf.matmul(tf.reshape(weights, [shape[0], -1, shape[3]]), tf.reshape(vectors, [shape[0], -1, width]),
                          transpose_a=True)  # [B, L, E]
        return sum_rows(places, outer, num_rows)
    if places.shape.rank == 3:
        places = tf.broadcast_to(places[:, :, tf.newaxis], shape)
    queries = tf.reduce_prod(shape[:3])
    return _product(tf.repeat(tf.range(queries), shape[3]), places, weights, tf.reshape(vectors, [-1, width]), num_rows)


def _product(numbers: tf.Tensor, places: tf.Tensor, weights: tf.Tensor, vectors: tf.Tensor, num_rows: tf.Tensor
             ) -> tf.Tensor:
    """The sparse `[U, N]` of the weights at (place, number), times vectors `[N, E]`; numbers ascend."""
    with tf.name_scope(SCOPE):
        return _sparse_product(numbers, places, weights, vectors, num_rows)


def _sparse_product(numbers: tf.Tensor, places: tf.Tensor, weights: tf.Tensor, vectors: tf.Tensor, num_rows: tf.Tensor
                    ) -> tf.Tensor:
    entries = tf.stack([tf.cast(numbers, tf.int64), tf.cast(tf.reshape(places, [-1]), tf.int64)], axis=1)
    rows = tf.maximum(num_rows, 1)  # TensorFlow divides by their number, with none the process would die
    matrix = tf.raw_ops.SparseTensorToCSRSparseMatrix(
        indices=entries, values=tf.reshape(weights, [-1]), dense_shape=tf.cast([tf.shape(vectors)[0], rows], tf.int64))
    matrix = tf.raw_ops.SparseMatrixTranspose(input=matrix, type=tf.float32)
    return tf.ensure_shape(tf.raw_ops.SparseMatrixMatMul(a=matrix, b=vectors)[:num_rows], [None, vectors.shape[1]])
