"""Which variables of an optimiser belong to a weight."""

from __future__ import annotations

import tensorflow as tf
import tensorflow_recommenders as tfrs


def slots_of(optimizer: tf.keras.optimizers.Optimizer, weight: tf.Variable) -> list[tf.Variable]:
    """The slots of a weight, each of its shape: moments, accumulators; [] of an optimiser that does not train it.

    Args:
      optimizer: of `create_optimizer`.
      weight: a variable.
    """
    if isinstance(optimizer, tfrs.experimental.optimizers.CompositeOptimizer):
        return [slot for part in optimizer.optimizers for slot in slots_of(part, weight)]
    place = optimizer._index_dict.get(optimizer._var_key(weight))
    if place is None:
        return []
    if isinstance(optimizer, tf.keras.optimizers.Adagrad):
        return [optimizer._accumulators[place]]
    if isinstance(optimizer, tf.keras.optimizers.Adam):
        return [optimizer._momentums[place], optimizer._velocities[place]]
    raise TypeError(f"expected Adam or Adagrad, got {type(optimizer).__name__}")


def begin_anew(optimizer: tf.keras.optimizers.Optimizer, weight: tf.Variable, rows: tf.Tensor) -> None:
    """Gives the slots of some rows of a weight `[S, width]` the values that they had before training.

    Args:
      optimizer: of `create_optimizer`.
      weight: one that it trains, or not.
      rows: integers `[N]`, distinct.
    """
    if isinstance(optimizer, tfrs.experimental.optimizers.CompositeOptimizer):
        for part in optimizer.optimizers:
            begin_anew(part, weight, rows)
        return
    adagrad = isinstance(optimizer, tf.keras.optimizers.Adagrad)
    value = optimizer.initial_accumulator_value if adagrad else 0.0
    for slot in slots_of(optimizer, weight):
        values = tf.fill([tf.size(rows), *slot.shape[1:]], tf.cast(value, slot.dtype))
        slot.scatter_update(tf.IndexedSlices(values, rows))
