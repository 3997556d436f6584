"""Item pairs for CRP: events a candidate may see and pairs of candidates of different users, drawn statelessly.

Candidates are numbered through the batch, request after request. A draw belongs to a candidate, not to a request, and
is a rank among what the candidate sees, not a position. A batch of request groups and the batch of its single
candidates in the same order therefore draw, with one seed, the very same events.

Shapes: B requests, C candidates of a request, S events of a short history, P = B C candidates with their padding,
N counted candidates, M negative pairs, E unmasked events of the batch.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

_MAX_DRAW = tf.int32.max


class EventWindows(NamedTuple):
    """What each candidate may see of a history: a range of the batch's unmasked events in the order of their places.

    Attributes:
      places: int32 `[E + 1]`, where the unmasked events are in the flattened history `[B S]`; the last is no event and
        only there to be read where there is none.
      first: int32 `[P]`, number of the first event that the candidate sees.
      count: int32 `[P]`, how many it sees.
    """

    places: tf.Tensor
    first: tf.Tensor
    count: tf.Tensor


def fold_seed(seed: tf.Tensor, index: int) -> tf.Tensor:
    """An independent seed `[2]` for the `index`-th draw of a computation seeded with `seed`."""
    return tf.random.experimental.stateless_fold_in(tf.convert_to_tensor(seed), index)


def event_windows(mask: tf.Tensor, offset: tf.Tensor, length: int | None = None) -> EventWindows:
    """The unmasked events at positions `offset ... offset + length - 1` of each candidate's history.

    Args:
      mask: bool `[B, S]`.
      offset: int `[B, C]`, at least 0.
      length: None for all events from `offset` on.

    Example:
      >>> from lcn_tf.layers import event_windows
      >>> mask = tf.constant([[True, True, True, False]])
      >>> event_windows(mask, offset=tf.constant([[0, 1]])).count.numpy().tolist()  # 1 hidden from the 2nd candidate
      [3, 2]
    """
    size = tf.shape(mask, offset.dtype)[1]
    real = tf.reshape(mask, [-1])  # [B S]
    places = tf.cast(tf.where(real)[:, 0], tf.int32)  # [E]
    before = tf.concat([[0], tf.cumsum(tf.cast(real, tf.int32))], axis=0)  # [B S + 1], unmasked events before a place
    begin = size * tf.range(tf.shape(mask, offset.dtype)[0])[:, tf.newaxis]  # [B, 1]
    first = tf.gather(before, begin + tf.minimum(offset, size))  # [B, C]
    end = tf.gather(before, begin + (size if length is None else tf.minimum(offset + length, size)))
    return EventWindows(tf.concat([places, [0]], axis=0), tf.reshape(first, [-1]), tf.reshape(end - first, [-1]))


def draw_events(windows: EventWindows, candidates: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """One uniform visible event of each given candidate.

    Args:
      windows: what candidates see.
      candidates: int32 `[M]`, indices into P; one may be repeated.
      seed: int32 or int64 `[2]`.

    Returns:
      int32 `[M]`, places in the flattened history `[B S]`; meaningless for a candidate that sees no event.
    """
    draws = tf.random.stateless_uniform(tf.shape(candidates), seed, 0, _MAX_DRAW, tf.int32)
    return _places(windows, candidates, draws % tf.maximum(tf.gather(windows.count, candidates), 1))


def sample_events(windows: EventWindows, candidates: tf.Tensor, seed: tf.Tensor, num: int
                  ) -> tuple[list[tf.Tensor], tf.Tensor]:
    """`num` distinct visible events of each given candidate, uniform over ordered tuples.

    The law is that of a Gumbel top-`num` under the mask; here ranks are drawn, so that the draw does not depend on S
    (padding changes nothing) and needs N instead of N S random numbers.

    Args:
      windows: what candidates see.
      candidates: int32 `[N]`, indices into P.
      seed: int32 or int64 `[2]`.
      num: 1 or 2.

    Returns:
      events: `num` tensors int32 `[N]`, places in the flattened history `[B S]`; meaningless where not valid.
      valid: bool `[N]`, True where at least `num` events are visible.

    Raises:
      ValueError: `num` is neither 1 nor 2.

    Example:
      >>> from lcn_tf.layers import event_windows, sample_events
      >>> windows = event_windows(tf.constant([[True, True, False], [True, False, False]]), tf.zeros([2, 1], tf.int32))
      >>> (first, second), valid = sample_events(windows, tf.constant([0, 1]), seed=tf.constant([0, 1]), num=2)
      >>> sorted([int(first[0]), int(second[0])]), valid.numpy().tolist()  # the second user has a single event
      ([0, 1], [True, False])
    """
    if num not in (1, 2):
        raise ValueError(f"num must be 1 or 2, got {num}")
    counts = tf.gather(windows.count, candidates)
    draws = tf.random.stateless_uniform([tf.shape(candidates)[0], 2], seed, 0, _MAX_DRAW, tf.int32)
    first = draws[:, 0] % tf.maximum(counts, 1)  # [N]
    ranks = [first]
    if num == 2:
        second = draws[:, 1] % tf.maximum(counts - 1, 1)
        ranks.append(second + tf.cast(second >= first, tf.int32))
    return [_places(windows, candidates, rank) for rank in ranks], counts >= num


def sample_negative_pairs(counted: tf.Tensor, valid_a: tf.Tensor, valid_b: tf.Tensor, group_key: tf.Tensor,
                          num_negatives: int, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Pairs of candidates of different groups (users).

    a is uniform over the counted candidates valid for a; if it is the i-th counted one, b is counted candidate
    `(i + r) mod N` with r uniform in 1 ... N - 1.

    Args:
      counted: bool `[P]`, the N candidates to draw from.
      valid_a, valid_b: bool `[P]`, whether the candidate has an item for the first, the second place of a pair.
      group_key: `[P]`; a pair needs two different keys.
      num_negatives: M.
      seed: int32 or int64 `[2]`.

    Returns:
      a, b: int32 `[M]`, always within P.
      valid: bool `[M]`, False where the keys are equal, b has no item, or nothing could be drawn.

    Example:
      >>> from lcn_tf.layers import sample_negative_pairs
      >>> users, every = tf.constant([7, 7, 8]), tf.constant([True, True, True])  # of 3 candidates
      >>> a, b, valid = sample_negative_pairs(every, every, every, users, num_negatives=100, seed=tf.constant([0, 1]))
      >>> sorted({(int(i), int(j)) for i, j, ok in zip(a, b, valid) if ok})
      [(0, 2), (1, 2), (2, 0), (2, 1)]
    """
    numbers = tf.cumsum(tf.cast(counted, tf.int32))  # [P], the i-th counted candidate is the first with number i + 1
    numbers_a = tf.cumsum(tf.cast(counted & valid_a, tf.int32))
    total, total_a = numbers[-1], numbers_a[-1]
    draws = tf.random.stateless_uniform([2, num_negatives], seed, 0, _MAX_DRAW, tf.int32)
    a = numbered(numbers_a, draws[0] % tf.maximum(total_a, 1))
    partner = (tf.gather(numbers, a) + draws[1] % tf.maximum(total - 1, 1)) % tf.maximum(total, 1)
    b = numbered(numbers, partner)
    different = tf.not_equal(tf.gather(group_key, a), tf.gather(group_key, b))
    return a, b, different & tf.gather(valid_b, b) & (total_a > 0)


def first_of_each_group(counted: tf.Tensor, group_key: tf.Tensor) -> tf.Tensor:
    """The first counted candidate of each group, bool `[P]`; arguments as in `sample_negative_pairs`."""
    size = tf.shape(group_key)[0]
    place = tf.where(counted, tf.range(size), size)  # [P]
    _, groups = tf.unique(group_key)
    first = tf.math.unsorted_segment_min(place, groups, size)  # [P], by group
    return counted & tf.equal(tf.gather(first, groups), tf.range(size))


def _places(windows: EventWindows, candidates: tf.Tensor, ranks: tf.Tensor) -> tf.Tensor:
    """Places of the events of some ranks within the candidates' windows."""
    numbers = tf.gather(windows.first, candidates) + ranks
    return tf.gather(windows.places, tf.minimum(numbers, tf.shape(windows.places)[0] - 1))


def at_least_one(values: tf.Tensor) -> tf.Tensor:
    """A tensor of requests with at least one of them, candidate and event: zeros, which count for nothing.

    A replica's share of a batch may be empty, and draws need something to read.
    """
    missing = tf.maximum(1 - tf.shape(values), 0)
    return tf.pad(values, tf.stack([tf.zeros_like(missing), missing], axis=1))


def numbered(numbers: tf.Tensor, index: tf.Tensor) -> tf.Tensor:
    """The candidates whose running number `[P]` first exceeds `index`, always within P."""
    return tf.minimum(tf.searchsorted(numbers, index, side="right"), tf.shape(numbers)[0] - 1)
