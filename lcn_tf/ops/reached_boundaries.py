"""Which bucket a number is in, by operations that every runtime has."""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence

import tensorflow as tf


def reached_boundaries(values: tf.Tensor, boundaries: Sequence[int]) -> tf.Tensor:
    """How many boundaries each value has reached: `tf.searchsorted(boundaries, values, side="right")`.

    Every runtime compares and adds. A search among sorted numbers is unknown to converters, and ONNX's sum of several
    tensors takes no integers, hence one addition after another.

    Args:
      values: integers of any shape.
      boundaries: increasing, at least one.

    Returns:
      int32 of the shape of `values`, from 0 to the number of boundaries.
    """
    return functools.reduce(operator.add, [tf.cast(values >= boundary, tf.int32) for boundary in boundaries])
