"""Masked ranking and softmax: the operations every attention level shares.

Shapes: B requests, C candidates, L events of a history, K kept events. Masks are bool, True = real, and come per
history `[B, L]` or per candidate `[B, C, L]`.
"""

from __future__ import annotations

import tensorflow as tf

# What a masked position shows in scores handed to callers; ranking itself uses the smallest float32, so that a real
# event with a score below this one still comes before padding.
MASKED_SCORE = -1e9

_HEAP_SHARE = 16  # `tf.math.top_k`'s heap is the faster one as long as it keeps at most one in so many


def expand_mask(mask: tf.Tensor) -> tf.Tensor:
    """Gives a mask a candidate axis: `[B, L]` becomes `[B, 1, L]`, `[B, C, L]` stays.

    Raises:
      ValueError: the mask has another rank.
    """
    mask = tf.convert_to_tensor(mask)
    if mask.shape.rank == 2:
        return mask[:, tf.newaxis, :]
    if mask.shape.rank == 3:
        return mask
    raise ValueError(f"mask must be [B, L] or [B, C, L], got shape {mask.shape}")


def mask_scores(scores: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """Float32 scores with `MASKED_SCORE` where `mask` (broadcastable to them) is False; no gradient passes there."""
    scores = tf.cast(scores, tf.float32)
    return tf.where(mask, scores, tf.constant(MASKED_SCORE, tf.float32))


def masked_softmax(logits: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """Softmax over the last axis among unmasked positions, in float32.

    Args:
      logits: `[..., K]`, any floating type.
      mask: bool, broadcastable to `logits`.

    Returns:
      Float32 `[..., K]`; masked positions are 0, and a row without an unmasked position is all 0 with zero gradient.
    """
    logits = tf.cast(logits, tf.float32)
    probabilities = tf.nn.softmax(tf.where(mask, logits, tf.float32.min), axis=-1)
    return tf.where(mask, probabilities, 0.0)


def masked_top_k(scores: tf.Tensor, mask: tf.Tensor, k: int, ordered: bool = True) -> tuple[tf.Tensor, tf.Tensor]:
    """Indices of the `k` best unmasked events of each candidate.

    Masking comes before ranking: with `top_k(score * mask)` padding (0) would outrank real events of negative score.
    Histories are most recent first, and ties go to the smaller index, hence to the more recent event.

    Args:
      scores: `[B, C, L]`, any floating type, ranked in float32.
      mask: bool `[B, L]` or `[B, C, L]`.
      k: events to keep, at least 1; clipped to L, which may be unknown until run time.
      ordered: the best first, padding last; False is faster, and enough for attention (see `unordered_top_k`).

    Returns:
      indices: int32 `[B, C, min(k, L)]`.
      kept_mask: bool, the same shape, False where fewer than `k` events were unmasked.

    Raises:
      ValueError: `k` is below 1 or `mask` has the wrong rank.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    mask = tf.convert_to_tensor(mask)
    ranked = tf.stop_gradient(tf.where(expand_mask(mask), tf.cast(scores, tf.float32), tf.float32.min))  # [B, C, L]
    length = scores.shape[-1]
    kept = min(k, length) if length is not None else tf.minimum(k, tf.shape(scores)[-1])
    indices = tf.math.top_k(ranked, k=kept).indices if ordered else unordered_top_k(ranked, kept)  # [B, C, K]
    return indices, tf.gather(mask, indices, batch_dims=mask.shape.rank - 1)


def unordered_top_k(values: tf.Tensor, k: int | tf.Tensor) -> tf.Tensor:
    """Positions of the `k` largest values of each row, in no particular order; ties go to the smaller position.

    The same positions as `tf.math.top_k`. On a CPU, where that keeps a heap, and if `k` is more than a sixteenth of the
    row, they are found by the `k`-th largest value instead, in about two thirds of the time.

    Args:
      values: float32 `[..., L]`, rank at least 1; its gradient is not defined.
      k: 0 to L.

    Returns:
      int32 `[..., k]`.
    """
    on_cpu = tf.equal(tf.raw_ops.DeviceIndex(device_names=["CPU"]), 0)  # where it runs, not where it was traced
    many = k * _HEAP_SHARE > tf.shape(values)[-1]
    return tf.cond(on_cpu & many, lambda: _top_k_by_threshold(values, k),
                   lambda: tf.math.top_k(values, k=k, sorted=False).indices)


def _top_k_by_threshold(values: tf.Tensor, k: int | tf.Tensor) -> tf.Tensor:
    """As `unordered_top_k`, positions ascending, `L` at least 1; `NthElement` has a kernel for CPUs only."""
    length = tf.shape(values, tf.int64)[-1]
    bits = tf.bitcast(values, tf.int32)
    order = tf.where(bits < 0, tf.int32.min - bits, bits)  # integers in the order of the floats; 0 and -0 are equal
    keys = tf.cast(order, tf.int64) * length - tf.range(length)  # all different: ties have become positions
    threshold = tf.raw_ops.NthElement(input=keys, n=tf.maximum(k, 1) - 1, reverse=True)
    chosen = tf.where(tf.reshape(keys >= threshold[..., tf.newaxis], [-1, length]))[:, 1]  # k of each row
    return tf.reshape(tf.cast(chosen, tf.int32), tf.concat([tf.shape(values)[:-1], [k]], 0))
