"""The short histories of both domains as one sequence in time, for losses on sequences.

Shapes: N rows, S events of a history, T events of the sequence.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import tensorflow as tf

HISTORY_MODES = ("merged", "target", "source", "both_separately")
TARGET_DOMAIN, SOURCE_DOMAIN = 0, 1


@dataclasses.dataclass(frozen=True)
class DomainHistory:
    """A history of one domain, most recent first.

    Attributes:
      ids: integers `[N, S]` by field: what identifies an item, and whatever else is to travel with the events.
      timestamp: integers `[N, S]`, seconds.
      mask: bool `[N, S]`, True = real; newer events may be hidden, so that a row need not begin with a real one.

    Example:
      >>> from lcn_tf.layers import DomainHistory
      >>> brand = tf.constant([[3, 9, 0], [5, 0, 0]])  # of 2 users; 0 is padding
      >>> DomainHistory({"brand": brand}, timestamp=100 * brand, mask=brand != 0).mask.numpy().sum(axis=1).tolist()
      [2, 1]
    """

    ids: Mapping[str, tf.Tensor]
    timestamp: tf.Tensor
    mask: tf.Tensor


@dataclasses.dataclass(frozen=True)
class EventSequence:
    """Events of one or two domains, most recent first, padding at the end; everything is 0 there.

    Attributes:
      ids: integers `[N, T]` by field.
      timestamp: int64 `[N, T]`.
      domain: int32 `[N, T]`, `TARGET_DOMAIN` or `SOURCE_DOMAIN`.
      position: int32 `[N, T]`, 0 for the most recent event of a row.
      mask: bool `[N, T]`, True = real.

    Example:
      >>> from lcn_tf.layers import EventSequence
      >>> brand, zeros = tf.constant([[3, 9, 0]]), tf.zeros([1, 3], tf.int32)
      >>> events = EventSequence({"brand": brand}, tf.cast(brand, tf.int64), zeros, zeros, mask=brand != 0)
      >>> events.mask.numpy().tolist()
      [[True, True, False]]
    """

    ids: Mapping[str, tf.Tensor]
    timestamp: tf.Tensor
    domain: tf.Tensor
    position: tf.Tensor
    mask: tf.Tensor


def event_sequences(short_target: DomainHistory, short_source: DomainHistory, mode: str = "merged"
                    ) -> tuple[EventSequence, ...]:
    """The sequences that a loss on sequences reads.

    Events are ordered by time. Those of one second keep the order of their history, and the target domain's come first,
    as if they were more recent.

    Args:
      short_target, short_source: of the same rows; equal fields.
      mode: `merged`: one sequence of T = S_t + S_s events of both domains. `target`, `source`: one of that domain's
        events alone. `both_separately`: two sequences, the target domain's and the source domain's.

    Returns:
      One sequence, or two with `both_separately`.

    Raises:
      ValueError: an unknown `mode`, or histories of different fields.

    Example:
      >>> from lcn_tf.layers import DomainHistory, event_sequences
      >>> target, source, real = tf.constant([[3, 4]]), tf.constant([[8, 9]]), tf.constant([[True, True]])
      >>> (events,) = event_sequences(DomainHistory({"item": target}, tf.constant([[70, 50]]), real),
      ...                             DomainHistory({"item": source}, tf.constant([[60, 0]]), real & (source < 9)))
      >>> events.ids["item"].numpy().tolist(), events.domain.numpy().tolist(), events.mask.numpy().tolist()
      ([[3, 8, 4, 0]], [[0, 1, 0, 0]], [[True, True, True, False]])
    """
    if mode not in HISTORY_MODES:
        raise ValueError(f"mode must be one of {HISTORY_MODES}, got {mode!r}")
    if set(short_target.ids) != set(short_source.ids):
        raise ValueError("both histories must have the same fields, got "
                         f"{sorted(short_target.ids)} and {sorted(short_source.ids)}")
    target, source = (short_target, TARGET_DOMAIN), (short_source, SOURCE_DOMAIN)
    chosen = {"merged": [[target, source]], "target": [[target]], "source": [[source]],
              "both_separately": [[target], [source]]}
    return tuple(_in_time(parts) for parts in chosen[mode])


def _in_time(parts: Sequence[tuple[DomainHistory, int]]) -> EventSequence:
    """The real events of the parts, the most recent one first; among equals the first given comes first."""
    mask = tf.concat([tf.cast(history.mask, tf.bool) for history, _ in parts], axis=1)  # [N, T]
    timestamp = tf.concat([tf.cast(history.timestamp, tf.int64) for history, _ in parts], axis=1)
    domain = tf.concat([tf.fill(tf.shape(history.mask), number) for history, number in parts], axis=1)
    # The sort is one of ranks 0 ... T - 1 at last, so that padding comes after real events of any timestamp.
    newest_first = tf.argsort(timestamp, axis=1, direction="DESCENDING", stable=True)
    real_first = tf.argsort(tf.cast(~tf.gather(mask, newest_first, batch_dims=1), tf.int32), axis=1, stable=True)
    places = tf.gather(newest_first, real_first, batch_dims=1)  # [N, T]
    sorted_mask = tf.gather(mask, places, batch_dims=1)

    def ordered(values: tf.Tensor) -> tf.Tensor:
        found = tf.gather(values, places, batch_dims=1)
        return tf.where(sorted_mask, found, tf.zeros_like(found))

    ids = {field: ordered(tf.concat([history.ids[field] for history, _ in parts], axis=1)) for field in parts[0][0].ids}
    position = tf.broadcast_to(tf.range(tf.shape(mask)[1]), tf.shape(mask))
    return EventSequence(ids, ordered(timestamp), ordered(domain), tf.where(sorted_mask, position, 0), sorted_mask)
