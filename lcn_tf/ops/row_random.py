"""Pseudo-random numbers that belong to a row's ids, and dropout by them.

Masks that are drawn by a row's place in the batch change when the batch is divided among other replicas or parts. Here
every row has a stream of its own: a tree of 64-bit states whose children are the outputs of SplitMix64 (Steele, Lea,
Flood, OOPSLA 2014). A child depends on its parent and its number alone, so that more padding changes none.

Shapes: N rows, F ids of a row, K numbers.
"""

from __future__ import annotations

import math

import tensorflow as tf

from lcn_tf.ops.event_hash import INCREMENT, mixed

_PER_STATE = 4  # a 64-bit state gives four 16-bit numbers


def row_states(row_ids: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """A state for each row.

    Args:
      row_ids: int64 `[N, F]`, what identifies a row; rows of equal ids have equal states.
      seed: int32 or int64 `[2]`.

    Returns:
      int64 `[N]`.
    """
    columns = [*tf.unstack(tf.cast(seed, tf.int64)), *tf.unstack(tf.cast(row_ids, tf.int64), axis=-1)]
    state = tf.zeros_like(columns[-1])
    for column in columns:
        state = mixed(tf.bitwise.bitwise_xor(state, tf.broadcast_to(column, tf.shape(state))) + INCREMENT)
    return state


def child_states(states: tf.Tensor, count: int | tf.Tensor) -> tf.Tensor:
    """The first `count` children of each state, int64 `[..., count]`."""
    return mixed(states[..., tf.newaxis] + tf.range(1, tf.cast(count, tf.int64) + 1) * INCREMENT)


def uniform(states: tf.Tensor) -> tf.Tensor:
    """A float32 in [0, 1) for each state, a multiple of 2^-24."""
    bits = tf.bitwise.right_shift(states, tf.constant(40, tf.int64))
    return tf.cast(tf.bitwise.bitwise_and(bits, tf.constant(2**24 - 1, tf.int64)), tf.float32) * 2.0**-24


def drop_out(inputs: tf.Tensor, states: tf.Tensor, rate: float) -> tf.Tensor:
    """Inverted dropout of `inputs [..., K]` by `states [...]`; `rate` is in [0, 1) and counts in steps of 2^-16."""
    dropped = round(rate * 2**16)
    count = inputs.shape[-1] if inputs.shape[-1] is not None else tf.shape(inputs)[-1]
    numbers = tf.bitcast(child_states(states, -(-count // _PER_STATE)), tf.int16)  # [..., K / 4, 4]
    numbers = tf.reshape(numbers, tf.concat([tf.shape(states), [-1]], 0))[..., :count]
    kept = tf.cast(numbers, tf.float32) >= dropped - 2**15
    return tf.where(kept, inputs * tf.cast(2**16 / (2**16 - dropped), inputs.dtype), tf.zeros_like(inputs))


def check_rate(name: str, rate: float) -> None:
    """Refuses a rate of dropout outside [0, 1), or one that rounds to 1.

    Raises:
      ValueError: with the name.
    """
    if not (math.isfinite(rate) and rate >= 0.0 and round(rate * 2**16) < 2**16):
        raise ValueError(f"{name} must be in [0, 1), got {rate}")
