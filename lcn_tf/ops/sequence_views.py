"""Altered views of sequences of events: crop, mask and reorder, as in CL4SRec (Xie et al., ICDE 2022, section 3.2).

Draws are functions of a seed and a row's ids: they depend neither on the row's place in the batch nor on other rows nor
on padding. Shapes: N rows, T events, F ids of a row.
"""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from lcn_tf.ops.row_random import child_states, row_states, uniform

OPERATORS = ("crop", "mask", "reorder")

_ROUNDING = 1e-9  # a share of 0.29 of 100 events is 29 of them


@dataclasses.dataclass(frozen=True)
class SequenceView:
    """A view of sequences whose real events come first.

    Attributes:
      places: int32 `[N, T]`, which event of the sequence stands at each position.
      mask: bool `[N, T]`, True = real.
      hidden: bool `[N, T]`, positions whose item is hidden.
    """

    places: tf.Tensor
    mask: tf.Tensor
    hidden: tf.Tensor


def draw_view(mask: tf.Tensor, operator: tf.Tensor, row_ids: tf.Tensor, seed: tf.Tensor, crop: float = 0.6,
              hide: float = 0.3, reorder: float = 0.6) -> SequenceView:
    """One view of each sequence.

    Of n events *crop* keeps a run of `floor(crop n)`, *mask* hides `floor(hide n)`, *reorder* shuffles a run of
    `floor(reorder n)`; but at least one, of a sequence that has any. Runs begin anywhere, and events are chosen and
    shuffled uniformly.

    Args:
      mask: bool `[N, T]`, real events first.
      operator: int32 `[N]`, of each row, an index into `OPERATORS`.
      row_ids: int64 `[N, F]`, what identifies a row.
      seed: int32 or int64 `[2]`.
      crop, hide, reorder: shares of the events, in (0, 1].

    Returns:
      The views.
    """
    size = tf.reduce_sum(tf.cast(mask, tf.int32), axis=1)  # [N]
    length = tf.shape(mask)[1]
    position = tf.broadcast_to(tf.range(length), tf.shape(mask))  # [N, T]
    start_state, event_states = tf.unstack(child_states(row_states(row_ids, seed), 2), axis=-1)
    draws = uniform(child_states(event_states, length))  # [N, T]

    def count(share: float) -> tf.Tensor:  # of each row, `[N, 1]`
        wanted = tf.cast(tf.floor(share * tf.cast(size, tf.float64) + _ROUNDING), tf.int32)
        return tf.minimum(tf.maximum(wanted, 1), size)[:, tf.newaxis]

    def start(run: tf.Tensor) -> tf.Tensor:  # uniform in 0 ... n - run
        room = tf.cast(size[:, tf.newaxis] - run + 1, tf.float32)
        return tf.minimum(tf.cast(uniform(start_state)[:, tf.newaxis] * room, tf.int32), size[:, tf.newaxis] - run)

    kept, hidden, shuffled = count(crop), count(hide), count(reorder)
    cropped = tf.minimum(position + start(kept), length - 1)
    of_lowest = tf.argsort(tf.argsort(tf.where(mask, draws, 2.0), axis=1, stable=True), axis=1) < hidden
    begin = start(shuffled)
    in_run = (position >= begin) & (position < begin + shuffled)
    keys = tf.where(in_run, tf.cast(begin, tf.float32) + draws, tf.cast(position, tf.float32))
    reordered = tf.argsort(keys, axis=1, stable=True)  # a run's keys lie between its beginning and the next position
    crops, masks, reorders = (tf.equal(operator, number)[:, tf.newaxis] for number in range(len(OPERATORS)))
    places = tf.where(crops, cropped, tf.where(reorders, reordered, position))
    return SequenceView(places, tf.where(crops, position < kept, mask), masks & mask & of_lowest)


def draw_operators(row_ids: tf.Tensor, seed: tf.Tensor, distinct: bool = True) -> tuple[tf.Tensor, tf.Tensor]:
    """Two operators for each row, int32 `[N]` each, uniform over pairs: of different ones, or of any."""
    draws = uniform(child_states(row_states(row_ids, seed), 2))  # [N, 2]
    number = len(OPERATORS)
    first = tf.minimum(tf.cast(draws[:, 0] * number, tf.int32), number - 1)
    if not distinct:
        return first, tf.minimum(tf.cast(draws[:, 1] * number, tf.int32), number - 1)
    further = 1 + tf.minimum(tf.cast(draws[:, 1] * (number - 1), tf.int32), number - 2)
    return first, (first + further) % number
