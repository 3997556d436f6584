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
