"""What replicas tell each other in a step: sums, and rows that each computed by itself."""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow as tf


def everyones_rows(own: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Gathers rows of all replicas; a gradient goes back to the replica that a row came from.

    Replicas may have different numbers of rows, none included. Every replica is to call it, outside of branches. What
    has a gradient is exchanged as one tensor: TensorFlow's gradient of a gather takes one, and does not say in which
    order it goes backwards through several, which all replicas would have to share.

    Args:
      own: name -> `[N, ...]`, float32 or integers; alike on all replicas but for N.

    Returns:
      Name -> `[sum of N, ...]`, in the order of the replicas.
    """
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return dict(own)
    numbers = {name: values for name, values in own.items() if values.dtype.is_floating}
    found = {name: context.all_gather(tf.identity(values), axis=0)
             for name, values in own.items() if name not in numbers}
    if numbers:
        sizes = context.all_gather(tf.stack([tf.size(values) for values in numbers.values()])[tf.newaxis], axis=0)
        every = context.all_gather(tf.concat([tf.reshape(values, [-1]) for values in numbers.values()], 0), axis=0)
        count = len(numbers)
        parts = tf.split(every, tf.reshape(sizes, [-1]), num=count * context.num_replicas_in_sync)
        for place, (name, values) in enumerate(numbers.items()):
            rows = tf.reshape(tf.concat(parts[place::count], 0), tf.concat([[-1], tf.shape(values)[1:]], 0))
            found[name] = tf.ensure_shape(rows, [None, *values.shape[1:]])
    return {name: found[name] for name in own}


def prefixed(prefix: str, rows: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """The rows by longer names."""
    return {f"{prefix}{name}": values for name, values in rows.items()}


def unprefixed(prefix: str, rows: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Those of the rows whose names begin with a prefix, without it."""
    return {name.removeprefix(prefix): values for name, values in rows.items() if name.startswith(prefix)}


def sum_over_replicas(value: tf.Tensor) -> tf.Tensor:
    """The sum of a tensor over the replicas."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return value
    return context.all_reduce(tf.distribute.ReduceOp.SUM, value)
