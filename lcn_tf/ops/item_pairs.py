"""CRP's pairs of items: two of one user for every candidate, and pairs of two users that all candidates share.

Shapes: B requests, C candidates, S events of a short history, P = B C candidates with their padding, N counted
candidates, M negative pairs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import tensorflow as tf

from lcn_tf.ops.pair_sampling import (
    EventWindows,
    draw_events,
    event_windows,
    fold_seed,
    sample_events,
    sample_negative_pairs,
)

CRP_TERMS = ("pt", "ps", "pc")

Ids = Mapping[str, tf.Tensor]


class ItemHistory(NamedTuple):
    """Items of a short history, most recent first.

    Attributes:
      ids: int64 `[B, S]` by item field.
      mask: bool `[B, S]`, True = real.
      offset: int `[B, C]`, the newest events that each candidate may not see; None hides nothing.
      length: events that a candidate sees from its offset on; None for all.

    Example:
      >>> from lcn_tf.layers import ItemHistory
      >>> brand = tf.constant([[3, 9, 0], [5, 0, 0]])  # of 2 users; 0 is padding
      >>> ItemHistory({"brand": brand}, mask=brand != 0).mask.numpy().sum(axis=1).tolist()
      [2, 1]
    """

    ids: Ids
    mask: tf.Tensor
    offset: tf.Tensor | None = None
    length: int | None = None


class PairSample(NamedTuple):
    """Sampled items of one CRP term.

    Attributes:
      first, second: ids of the positives, `[N]` by field.
      valid: bool `[N]`, candidates that have a positive pair.
      negative_first, negative_second: ids of the negatives, `[M]` by field.
      negative_valid: bool `[M]`.
    """

    first: Ids
    second: Ids
    valid: tf.Tensor
    negative_first: Ids
    negative_second: Ids
    negative_valid: tf.Tensor


def sample_pairs(term: str, short_target: ItemHistory, short_source: ItemHistory, group_key: tf.Tensor,
                 counted: tf.Tensor, num_negatives: int, mask_same_id: bool, seed: tf.Tensor) -> PairSample:
    """Positives and negatives of one term: `pt` within the target history, `ps` within the source, `pc` across.

    The draws of a term depend on `seed` and the term alone, never on which other terms are in use.

    Args:
      term: of `CRP_TERMS`.
      short_target, short_source: as in `crp_loss`.
      group_key: `[B, C]`, which candidates may form a negative pair: those of different keys.
      counted: bool `[B, C]`, the N candidates that take part.
      num_negatives: M.
      mask_same_id: as in `crp_loss`.
      seed: int32 or int64 `[2]`.
    """
    seed = fold_seed(seed, CRP_TERMS.index(term))
    history_a = short_source if term == "ps" else short_target
    history_b = short_target if term == "pt" else short_source
    seen_a, seen_b = (_windows(history, counted) for history in (history_a, history_b))
    counted = tf.reshape(counted, [-1])  # [P]
    own = tf.cast(tf.where(counted)[:, 0], tf.int32)  # [N]
    if term == "pc":
        (event_a,), valid_a = sample_events(seen_a, own, fold_seed(seed, 0), 1)
        (event_b,), valid_b = sample_events(seen_b, own, fold_seed(seed, 1), 1)
        valid = valid_a & valid_b
    else:
        (event_a, event_b), valid = sample_events(seen_a, own, fold_seed(seed, 0), 2)
    first, second = _items(history_a, event_a), _items(history_b, event_b)
    a, b, negative_valid = sample_negative_pairs(
        counted, seen_a.count > 0, seen_b.count > 0, tf.reshape(group_key, [-1]), num_negatives, fold_seed(seed, 2))
    negative_first = _items(history_a, draw_events(seen_a, a, fold_seed(seed, 3)))
    negative_second = _items(history_b, draw_events(seen_b, b, fold_seed(seed, 4)))
    if mask_same_id:
        valid &= ~same_items(first, second)
        negative_valid &= ~same_items(negative_first, negative_second)
    return PairSample(first, second, valid, negative_first, negative_second, negative_valid)


def _windows(history: ItemHistory, candidates: tf.Tensor) -> EventWindows:
    """What each of `[B, C]` candidates sees of a history."""
    offset = tf.zeros(tf.shape(candidates), tf.int32) if history.offset is None else history.offset
    return event_windows(history.mask, offset, history.length)


def _items(history: ItemHistory, events: tf.Tensor) -> dict[str, tf.Tensor]:
    """Ids `[K]` of the events at some places of the flattened history, `[K]`."""
    return {field: tf.gather(tf.reshape(values, [-1]), events) for field, values in history.ids.items()}


def same_items(first: Ids, second: Ids) -> tf.Tensor:
    """Which pairs are of items with equal ids in all fields, bool."""
    return tf.reduce_all(tf.stack([tf.equal(first[field], second[field]) for field in first]), axis=0)
