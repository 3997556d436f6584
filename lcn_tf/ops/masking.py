"""Masked ranking and softmax: the operations every attention level shares.

Shapes: B requests, C candidates, L events of a history, K kept events. Masks are bool, True = real, and come per
history `[B, L]` or per candidate `[B, C, L]`. Numbers count as masks too, 0 = padding: Keras builds a model that it
loads from a file by calling it on float32 placeholders, also where masks will come.
"""

from __future__ import annotations

import math

import tensorflow as tf

# What a masked position shows in scores handed to callers; ranking itself uses the smallest float32, so that a real
# event with a score below this one still comes before padding.
MASKED_SCORE = -1e9


# `screened_top_k` looks at every 16th score first. Two standard deviations of what such a sample holds of the best
# leave one row in forty as slow as before; below 100 kept events, or six times as many in all, it saves nothing.
SCREEN_STRIDE = 16
SCREEN_DEVIATIONS = 2.0
SCREEN_FROM = 100
SCREEN_EVENTS = 6


def expand_mask(mask: tf.Tensor) -> tf.Tensor:
    """Gives a mask a candidate axis: `[B, L]` becomes `[B, 1, L]`, `[B, C, L]` stays.

    Raises:
      ValueError: the mask has another rank.

    Example:
      >>> from lcn_tf.layers import expand_mask
      >>> expand_mask(tf.ones([2, 300], tf.bool)).shape
      TensorShape([2, 1, 300])
    """
    mask = tf.cast(mask, tf.bool)
    if mask.shape.rank == 2:
        return mask[:, tf.newaxis, :]
    if mask.shape.rank == 3:
        return mask
    raise ValueError(f"mask must be [B, L] or [B, C, L], got shape {mask.shape}")


def mask_scores(scores: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """Float32 scores with `MASKED_SCORE` where `mask` (broadcastable to them) is False; no gradient passes there.

    Example:
      >>> from lcn_tf.layers import mask_scores
      >>> mask_scores(tf.constant([0.5, 2.0]), tf.constant([True, False])).numpy().tolist()
      [0.5, -1000000000.0]
    """
    scores = tf.cast(scores, tf.float32)
    return tf.where(mask, scores, tf.constant(MASKED_SCORE, tf.float32))


def masked_softmax(logits: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """Softmax over the last axis among unmasked positions, in float32.

    Args:
      logits: `[..., K]`, any floating type.
      mask: bool, broadcastable to `logits`.

    Returns:
      Float32 `[..., K]`; masked positions are 0, and a row without an unmasked position is all 0 with zero gradient.

    Example:
      >>> from lcn_tf.layers import masked_softmax
      >>> masked_softmax(tf.constant([0.0, 0.0, 9.0]), tf.constant([True, True, False])).numpy().tolist()
      [0.5, 0.5, 0.0]
    """
    logits = tf.cast(logits, tf.float32)
    probabilities = tf.nn.softmax(tf.where(mask, logits, tf.float32.min), axis=-1)
    return tf.where(mask, probabilities, 0.0)


def masked_top_k(scores: tf.Tensor, mask: tf.Tensor, k: int, ordered: bool = True,
                 ranked: tf.Tensor | None = None) -> tuple[tf.Tensor, tf.Tensor]:
    """Indices of the `k` best unmasked events of each candidate.

    Masking comes before ranking: with `top_k(score * mask)` padding (0) would outrank real events of negative score.
    Histories are most recent first, and ties go to the smaller index, hence to the more recent event.

    Args:
      scores: `[B, C, L]`, any floating type, ranked in float32.
      mask: bool `[B, L]` or `[B, C, L]`.
      k: events to keep, at least 1; clipped to L, which may be unknown until run time.
      ordered: the best first, padding last; False is faster, and enough for attention.
      ranked: bool `[B, C, L]`, unmasked events that hold the `k` best, or all; None for the mask.

    Returns:
      indices: int32 `[B, C, min(k, L)]`.
      kept_mask: bool, the same shape, False where fewer than `k` events were unmasked.

    Raises:
      ValueError: `k` is below 1 or `mask` has the wrong rank.

    Example:
      >>> from lcn_tf.layers import masked_top_k
      >>> scores, mask = tf.constant([[[-1.0, -3.0, -2.0, 0.0]]]), tf.constant([[True, True, True, False]])
      >>> indices, kept = masked_top_k(scores, mask, k=2)
      >>> indices.numpy().tolist(), kept.numpy().tolist()
      ([[[0, 2]]], [[[True, True]]])
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    mask = tf.cast(mask, tf.bool)
    considered = expand_mask(mask) if ranked is None else ranked
    ranking = tf.where(considered, tf.cast(scores, tf.float32), tf.float32.min)  # [B, C, L]
    length = scores.shape[-1]
    kept = min(k, length) if length is not None else tf.minimum(k, tf.shape(scores)[-1])
    indices = tf.math.top_k(tf.stop_gradient(ranking), k=kept, sorted=ordered).indices  # [B, C, K]
    return indices, tf.gather(mask, indices, batch_dims=mask.shape.rank - 1)


def best_mask(scores: tf.Tensor, mask: tf.Tensor, k: int) -> tf.Tensor:
    """Which events `masked_top_k` keeps of each candidate, bool `[B, C, L]`; its arguments."""
    mask = expand_mask(mask)
    ranking = tf.where(mask, tf.cast(tf.stop_gradient(scores), tf.float32), tf.float32.min)  # [B, C, L]
    length = tf.shape(ranking)[-1]
    best, indices = tf.math.top_k(ranking, tf.minimum(k, length), sorted=False)
    least = tf.reduce_min(best, -1, keepdims=True)
    last = tf.reduce_max(tf.where(tf.equal(best, least), indices, -1), -1, keepdims=True)  # of those alike, the oldest
    return ((ranking > least) | (tf.equal(ranking, least) & (tf.range(length) <= last))) & mask


def screened_top_k(scores: tf.Tensor, mask: tf.Tensor, k: int, ordered: bool = True) -> tuple[tf.Tensor, tf.Tensor]:
    """As `masked_top_k`, with the same result, faster for large `k` among many more events.

    A sample of each row's scores tells a score that more than `k` events very likely reach. Where they do, the others
    are masked before the best are searched, so that few of them are ever moved; rows where they do not keep all.

    Args, returns, raises: as of `masked_top_k`, the mask `[B, L]`.
    """
    scores, mask = tf.cast(tf.stop_gradient(scores), tf.float32), tf.cast(mask, tf.bool)
    share = k / SCREEN_STRIDE
    rank = math.ceil(share + SCREEN_DEVIATIONS * math.sqrt(share))
    own = mask[:, tf.newaxis]  # [B, 1, L]
    sample = tf.where(own[..., ::SCREEN_STRIDE], scores[..., ::SCREEN_STRIDE], tf.float32.min)  # [B, C, L / 16]
    best = tf.math.top_k(sample, tf.minimum(rank, tf.shape(sample)[-1]), sorted=False).values
    above = (scores >= tf.reduce_min(best, -1, keepdims=True)) & own  # [B, C, L]
    enough = tf.reduce_sum(tf.cast(above, tf.float32), -1, keepdims=True) >= k
    return masked_top_k(scores, mask, k, ordered, tf.where(enough, above, own))
