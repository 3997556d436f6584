"""Softmax losses on a row's several intents: DSS's from sequence to item, and from sequence to sequence.

Ma et al., KDD 2020, sections 3.3 and 3.4; natural logarithms. All of it is in float32. Shapes: R rows, A rows to tell
them from, I intents, W width.
"""

from __future__ import annotations

import math

import tensorflow as tf

from lcn_tf.ops.masking import mask_scores

_ROUNDING = 1e-6  # of equal losses that were computed in different places


def seq2item_loss(intents: tf.Tensor, own_item: tf.Tensor, items: tf.Tensor, log_weights: tf.Tensor) -> tf.Tensor:
    """`-log(max_k exp l_k / (sum_k exp l_k + sum_k,u exp l_ku))`: a row's next item is to suit one of its intents.

    Args:
      intents: `[R, I, W]`.
      own_item: `[R, W]`, each row's next item.
      items: `[A, W]`, items of other rows.
      log_weights: `[R, A]`, logarithm of how often an item counts for a row; -inf for not at all.

    Returns:
      Float32 `[R]`.
    """
    scale = math.sqrt(intents.shape[-1])
    own = tf.einsum("riw,rw->ri", intents, own_item) / scale
    others = tf.einsum("riw,aw->ria", intents, items) / scale + log_weights[:, tf.newaxis]
    every = tf.concat([own, _flat(_finite(others))], -1)
    return tf.reduce_logsumexp(every, -1) - tf.reduce_max(own, -1)


def seq2seq_loss(intents: tf.Tensor, own_future: tf.Tensor, futures: tf.Tensor, log_weights: tf.Tensor) -> tf.Tensor:
    """`-log(exp l_kk / (sum_j exp l_kj + sum_u,j exp l_kuj))`: an intent is to find itself in the row's future.

    Args:
      intents: `[R, I, W]`, of the past.
      own_future: `[R, I, W]`.
      futures: `[A, I, W]`, of other rows.
      log_weights: `[R, A]`, as of `seq2item_loss`.

    Returns:
      Float32 `[R, I]`.
    """
    scale = math.sqrt(intents.shape[-1])
    own = tf.einsum("riw,rjw->rij", intents, own_future) / scale
    others = tf.einsum("riw,ajw->riaj", intents, futures) / scale + log_weights[:, tf.newaxis, :, tf.newaxis]
    shape = tf.shape(others)
    every = tf.concat([own, tf.reshape(_finite(others), [shape[0], shape[1], -1])], -1)
    return tf.reduce_logsumexp(every, -1) - tf.linalg.diag_part(own)


def confident(losses: tf.Tensor, everyones_losses: tf.Tensor, weights: tf.Tensor, share: float) -> tf.Tensor:
    """Which losses are among the smallest: `floor(share n)` of all n.

    Args:
      losses: float32, any shape.
      everyones_losses: float32 `[A, I]`.
      weights: float32 `[A]`, how often each row of them counts.
      share: in (0, 1].

    Returns:
      Bool, of the shape of `losses`.
    """
    counted = tf.reshape(tf.broadcast_to(weights[:, tf.newaxis], tf.shape(everyones_losses)), [-1])
    values = tf.where(counted > 0, tf.reshape(everyones_losses, [-1]), math.inf)
    order = tf.argsort(values)
    before = tf.cumsum(tf.gather(counted, order), exclusive=True)
    kept = tf.reduce_sum(tf.cast(before < tf.floor(share * tf.reduce_sum(counted) + _ROUNDING), tf.int32))
    padded = tf.concat([[-math.inf], tf.gather(values, order)], 0)
    threshold = tf.stop_gradient(padded[tf.minimum(kept, tf.size(values))])
    return losses <= threshold + _ROUNDING


def _finite(logits: tf.Tensor) -> tf.Tensor:
    return mask_scores(logits, tf.math.is_finite(logits))


def _flat(values: tf.Tensor) -> tf.Tensor:
    return tf.reshape(values, [tf.shape(values)[0], -1])
