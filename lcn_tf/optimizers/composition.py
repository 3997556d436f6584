"""Optimisers by name: one for all weights, or one for the embedding tables and another for the rest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import tensorflow as tf
import tensorflow_recommenders as tfrs

from lcn_tf.optimizers.row_sparse_adam import RowSparseAdam

SAME = "same"
LearningRate: TypeAlias = "float | tf.keras.optimizers.schedules.LearningRateSchedule"


def create_optimizer(weights: Sequence[tf.Variable], tables: Sequence[tf.Variable], name: str,
                     learning_rate: LearningRate, table_name: str = SAME, table_learning_rate: LearningRate = 0.0,
                     unique_ids: bool = False, weight_decay: float = 0.0) -> tf.keras.optimizers.Optimizer:
    """An optimiser with its slots, to be created inside the strategy's scope.

    Args:
      weights: every variable to train.
      tables: those of them that are embedding tables.
      name: adam, row_sparse_adam or adagrad.
      learning_rate: of `name`, a number or a schedule.
      table_name: of the tables' optimiser; "same" for `name`.
      table_learning_rate: of the tables' optimiser; 0 for `learning_rate`.
      unique_ids: of `RowSparseAdam`.
      weight_decay: share of a kernel, times the learning rate, that a step takes off beside its gradient (AdamW, ICLR
        2019). Kernels are the weights of two or more axes other than tables: biases, normalisations and embeddings are
        left alone.

    Returns:
      The optimiser `name`, or a `CompositeOptimizer` if the tables have a name or learning rate of their own, or there
      is weight decay.

    Raises:
      ValueError: an unknown name.
    """
    if table_name == SAME and not table_learning_rate and not weight_decay:
        return _with_slots(name, learning_rate, weights, unique_ids)
    of_tables = {table.ref() for table in tables}
    others = [weight for weight in weights if weight.ref() not in of_tables]
    return tfrs.experimental.optimizers.CompositeOptimizer([
        (_with_slots(name, learning_rate, others, unique_ids, weight_decay), lambda: others),
        (_with_slots(name if table_name == SAME else table_name, table_learning_rate or learning_rate, tables,
                     unique_ids), lambda: tables)])


def table_learning_rate(optimizer: tf.keras.optimizers.Optimizer, step: tf.Tensor) -> tf.Tensor:
    """The learning rate of tables in a step, float32 scalar, also of an optimiser that trains none.

    Args:
      optimizer: of `create_optimizer`, or any of Keras' that is the model's only one.
      step: int64 scalar, how many steps came before.
    """
    if isinstance(optimizer, tfrs.experimental.optimizers.CompositeOptimizer):
        optimizer = optimizer.optimizers[1]
    rate = optimizer._learning_rate  # as long as the optimiser has taken no step, `learning_rate` has no value
    scheduled = isinstance(rate, tf.keras.optimizers.schedules.LearningRateSchedule)
    return tf.cast(rate(step) if scheduled else rate, tf.float32)


def _with_slots(name: str, learning_rate: LearningRate, weights: Sequence[tf.Variable], unique_ids: bool,
                weight_decay: float = 0.0) -> tf.keras.optimizers.Optimizer:
    # XLA would compile a table's update again for every new number of unique ids.
    options = {"jit_compile": False, "weight_decay": weight_decay or None}
    optimizers = {
        "adam": lambda: tf.keras.optimizers.Adam(learning_rate, **options),
        "adagrad": lambda: tf.keras.optimizers.Adagrad(learning_rate, **options),
        "row_sparse_adam": lambda: RowSparseAdam(learning_rate, unique_ids=unique_ids),
    }
    if name not in optimizers:
        raise ValueError(f"an optimizer's name must be one of {', '.join(optimizers)}, got {name!r}")
    if weight_decay and name == "row_sparse_adam":
        name = "adam"  # which it is for all but tables, and those have no decay
    optimizer = optimizers[name]()
    if weight_decay:
        optimizer.exclude_from_weight_decay([weight for weight in weights if weight.shape.rank < 2])
    optimizer.build(weights)
    return optimizer
