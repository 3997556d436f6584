"""Pseudo-random numbers that belong to events rather than to a generator or a step."""

from __future__ import annotations

import tensorflow as tf

# Multipliers and shifts of the finaliser of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014), as signed integers.
_MULTIPLIERS = (0xBF58476D1CE4E5B9 - 2**64, 0x94D049BB133111EB - 2**64)
INCREMENT = 0x9E3779B97F4A7C15 - 2**64


def uniform_of_ids(ids: tf.Tensor, seed: int) -> tf.Tensor:
    """One number in [0, 1) for each list of ids; equal lists and seeds give equal numbers, on every device.

    Args:
      ids: int64 `[..., F]`, F known.
      seed: another seed gives other numbers.

    Returns:
      float32 `[...]`, a multiple of 2^-24.
    """
    state = mixed(tf.constant(seed, tf.int64) + INCREMENT)
    for column in tf.unstack(ids, axis=-1):
        state = mixed(tf.bitwise.bitwise_xor(state, column) + INCREMENT)
    return tf.cast(_shifted(state, 40), tf.float32) * 2.0**-24


def mixed(state: tf.Tensor) -> tf.Tensor:
    """Spreads every bit of int64 numbers over all bits; products wrap around."""
    state = tf.bitwise.bitwise_xor(state, _shifted(state, 30)) * _MULTIPLIERS[0]
    state = tf.bitwise.bitwise_xor(state, _shifted(state, 27)) * _MULTIPLIERS[1]
    return tf.bitwise.bitwise_xor(state, _shifted(state, 31))


def _shifted(state: tf.Tensor, places: int) -> tf.Tensor:
    """Shifts int64 bits right, filling up with zeros (TensorFlow's own shift repeats the sign)."""
    shifted = tf.bitwise.right_shift(state, tf.constant(places, tf.int64))
    return tf.bitwise.bitwise_and(shifted, tf.constant(2 ** (64 - places) - 1, tf.int64))
