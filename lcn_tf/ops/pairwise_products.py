"""Inner products of many pairs of few vectors, in memory that does not grow with the width times the pairs.

Shapes: K pairs or ids, U distinct items or vectors, D width.
"""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow as tf


def distinct_items(ids: Mapping[str, tf.Tensor]) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
    """Every item once, however often it is given; two items are the same if all their fields are.

    Args:
      ids: integers `[K]` by field, K at least 1.

    Returns:
      items: `[U]` by field, in the order of their first appearance.
      numbers: int64 `[K]`, which of the items each given one is.
    """
    items: dict[str, tf.Tensor] = {}
    numbers = None
    for field, values in ids.items():
        different, places = tf.unique(values, tf.int64)
        if numbers is None:
            items[field], numbers = different, places
            continue
        count = tf.size(different, tf.int64)
        pairs, numbers = tf.unique(numbers * count + places, tf.int64)
        items = {name: tf.gather(kept, pairs // count) for name, kept in items.items()}
        items[field] = tf.gather(different, pairs % count)
    return items, numbers


def pairwise_products(vectors: tf.Tensor, first: tf.Tensor, second: tf.Tensor, chunk_size: int) -> tf.Tensor:
    """Inner products of pairs of rows, some pairs at a time.

    Forward and backward hold `[chunk_size, D]` values of the pairs, beside `vectors` and one gradient of its size.

    Args:
      vectors: float `[U, D]`, U at least 1.
      first, second: int `[K]`, rows of `vectors`.
      chunk_size: pairs at a time.

    Returns:
      Like `vectors`, `[K]`.
    """
    @tf.custom_gradient
    def products(vectors: tf.Tensor, first: tf.Tensor, second: tf.Tensor):
        firsts, seconds = _chunks(first, chunk_size), _chunks(second, chunk_size)

        def multiply(pairs: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
            return tf.reduce_sum(tf.gather(vectors, pairs[0]) * tf.gather(vectors, pairs[1]), axis=-1)

        def gradient(upstream: tf.Tensor):
            def add(total: tf.Tensor, pairs: tuple[tf.Tensor, tf.Tensor, tf.Tensor]) -> tf.Tensor:
                first, second, weight = pairs
                rows = tf.concat([first, second], axis=0)[:, tf.newaxis]
                others = tf.gather(vectors, tf.concat([second, first], axis=0))
                return tf.tensor_scatter_nd_add(total, rows, tf.tile(weight, [2])[:, tf.newaxis] * others)

            pairs = (firsts, seconds, _chunks(upstream, chunk_size))
            return tf.foldl(add, pairs, tf.zeros_like(vectors), parallel_iterations=1), None, None

        values = tf.map_fn(multiply, (firsts, seconds), fn_output_signature=vectors.dtype, parallel_iterations=1)
        return tf.reshape(values, [-1])[:tf.shape(first)[0]], gradient

    return products(vectors, first, second)


def _chunks(values: tf.Tensor, chunk_size: int) -> tf.Tensor:
    """Rows of `chunk_size`, the last one filled up with zeros; a pair of zeros has the gradient zero."""
    missing = -tf.shape(values)[0] % chunk_size
    return tf.reshape(tf.pad(values, [[0, missing]]), [-1, chunk_size])
