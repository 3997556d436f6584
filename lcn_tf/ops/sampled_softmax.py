"""Softmax cross entropy over a positive and sampled negatives, and which negatives are none.

The arithmetic is apart from Keras. All of it is in float32. Shapes: M queries, K negatives, E events, D width.
"""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow as tf

from lcn_tf.ops.masking import mask_scores
from lcn_tf.ops.pairwise_products import distinct_items


def sampled_softmax_loss(queries: tf.Tensor, positives: tf.Tensor, negatives: tf.Tensor, negative_mask: tf.Tensor,
                         temperature: float = 1.0, positive_log_q: tf.Tensor | None = None,
                         negative_log_q: tf.Tensor | None = None) -> tf.Tensor:
    """`-log(exp l_+ / (exp l_+ + sum_k exp l_k))` of each query, with logits `l = <query, item> / temperature - log q`.

    For cosines, normalise the vectors first. In-batch negatives are the other rows' keys: `inbatch_softmax_loss`.

    Args:
      queries: floating `[..., M, D]`.
      positives: floating `[..., M, D]`, each query's own.
      negatives: floating `[..., K, D]`, shared by the M queries, or `[..., M, K, D]`, each query's own.
      negative_mask: bool `[K]`, or up to `[..., M, K]`, True for the negatives that count; see `accidental_hits`.
      temperature: above 0.
      positive_log_q, negative_log_q: log-probabilities of being sampled, to correct for popularity: `[..., M]`, and
        `[K]` or up to `[..., M, K]`; see `log_draw_rate`. None for no correction.

    Returns:
      Float32 `[..., M]`, not negative; 0 with zero gradients for a query without a negative.

    Raises:
      ValueError: a temperature that is not above 0, or one of the log-probabilities without the other.

    Example:
      >>> from lcn_tf.layers import sampled_softmax_loss
      >>> queries, items = tf.constant([[1.0, 0.5]]), tf.constant([[1.0, 0.0], [0.0, 1.0], [-1.0, 1.0]])
      >>> loss = sampled_softmax_loss(queries, items[:1], items[1:], negative_mask=tf.constant([True, True]))
      >>> [round(value, 3) for value in loss.numpy().tolist()]  # of logits 1, 0.5 and -0.5
      [0.604]
    """
    if not temperature > 0:
        raise ValueError(f"temperature must be above 0, got {temperature}")
    if (positive_log_q is None) != (negative_log_q is None):
        raise ValueError("positive_log_q and negative_log_q must be given both or neither")
    queries, positives, negatives = (tf.cast(vectors, tf.float32) for vectors in (queries, positives, negatives))
    positive = tf.reduce_sum(queries * positives, axis=-1) / temperature  # [..., M]
    if negatives.shape.rank == queries.shape.rank:
        negative = tf.matmul(queries, negatives, transpose_b=True) / temperature  # [..., M, K]
    else:
        negative = tf.linalg.matvec(negatives, queries) / temperature
    if positive_log_q is not None:
        positive -= tf.cast(positive_log_q, tf.float32)
        negative -= tf.cast(negative_log_q, tf.float32)
    log_sum = tf.reduce_logsumexp(mask_scores(negative, negative_mask), axis=-1)
    counts = tf.broadcast_to(tf.reduce_any(negative_mask, axis=-1), tf.shape(log_sum))
    return tf.where(counts, tf.nn.softplus(log_sum - positive), 0.0)


def inbatch_softmax_loss(queries: tf.Tensor, keys: tf.Tensor, negative_mask: tf.Tensor, temperature: float = 1.0,
                         log_q: tf.Tensor | None = None) -> tf.Tensor:
    """`sampled_softmax_loss` of each query against its own key and the keys of other rows.

    Args:
      queries: floating `[M, D]`.
      keys: floating `[M, D]`, row i's positive is key i.
      negative_mask: bool `[M, M]`, which keys are negatives of which query; the diagonal is ignored.
      temperature: above 0.
      log_q: `[M]`, log-probabilities of the keys; None for no correction.

    Returns:
      Float32 `[M]`.

    Example:
      >>> from lcn_tf.layers import inbatch_softmax_loss
      >>> loss = inbatch_softmax_loss(tf.eye(2), tf.eye(2), negative_mask=tf.ones([2, 2], tf.bool))
      >>> [round(value, 3) for value in loss.numpy().tolist()]  # log(1 + e^(0 - 1))
      [0.313, 0.313]
    """
    others = tf.linalg.set_diag(negative_mask, tf.zeros(tf.shape(queries)[:1], tf.bool))
    return sampled_softmax_loss(queries, keys, keys, others, temperature, log_q, log_q)


def accidental_hits(positives: Mapping[str, tf.Tensor], negatives: Mapping[str, tf.Tensor]) -> tf.Tensor:
    """Which sampled negatives are the query's positive itself: equal in every field.

    With the fields of a user instead of those of an item it tells the events of the query's own user.

    Args:
      positives: integers `[M]` by field.
      negatives: integers `[K]`, or `[M, K]`, by field.

    Returns:
      Bool `[M, K]`.

    Raises:
      ValueError: they have different fields, or none.

    Example:
      >>> from lcn_tf.layers import accidental_hits
      >>> positives, negatives = {"item": tf.constant([7, 8])}, {"item": tf.constant([8, 9, 7])}
      >>> accidental_hits(positives, negatives).numpy().tolist()
      [[False, False, True], [True, False, False]]
    """
    if not positives or set(positives) != set(negatives):
        raise ValueError("positives and negatives must have the same fields, at least one, got "
                         f"{sorted(positives)} and {sorted(negatives)}")
    equal = [tf.equal(values[:, tf.newaxis], negatives[field]) for field, values in positives.items()]
    return tf.reduce_all(tf.stack(equal), axis=0) if len(equal) > 1 else equal[0]


def log_draw_rate(items: Mapping[str, tf.Tensor], drawn: Mapping[str, tf.Tensor], mask: tf.Tensor) -> tf.Tensor:
    """Logarithm of how often each item was drawn, estimated from the draws: (times it is among them + 1) / (K + 1).

    Args:
      items: integers `[E]` by field; two items are the same if all their fields are.
      drawn: integers `[K]` by field.
      mask: bool `[K]`, the draws that count.

    Returns:
      Float32 `[E]`.

    Example:
      >>> from lcn_tf.layers import log_draw_rate
      >>> drawn, mask = {"item": tf.constant([5, 6, 5, 5])}, tf.constant([True, True, True, False])
      >>> tf.exp(log_draw_rate({"item": tf.constant([5, 6, 7])}, drawn, mask)).numpy().tolist()
      [0.75, 0.5, 0.25]
    """
    different, numbers = distinct_items({field: tf.concat([drawn[field], ids], 0) for field, ids in items.items()})
    of_drawn, of_items = tf.split(numbers, [tf.size(mask), tf.size(numbers) - tf.size(mask)])
    counted = tf.cast(mask, tf.float32)
    counts = tf.math.unsorted_segment_sum(counted, of_drawn, tf.size(next(iter(different.values()))))  # [U]
    return tf.math.log((tf.gather(counts, of_items) + 1.0) / (tf.reduce_sum(counted) + 1.0))
