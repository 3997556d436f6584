"""Optimisers by name: one for all weights, or one for the embedding tables and another for the rest."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf
import tensorflow_recommenders as tfrs

from lcn_tf.optimizers.row_sparse_adam import RowSparseAdam

SAME = "same"


def create_optimizer(weights: Sequence[tf.Variable], tables: Sequence[tf.Variable], name: str, learning_rate: float,
                     table_name: str = SAME, table_learning_rate: float = 0.0, unique_ids: bool = False
                     ) -> tf.keras.optimizers.Optimizer:
    """An optimiser with its slots, to be created inside the strategy's scope.

    Args:
      weights: every variable to train.
      tables: those of them that are embedding tables.
      name: adam, row_sparse_adam or adagrad.
      learning_rate: of `name`.
      table_name: of the tables' optimiser; "same" for `name`.
      table_learning_rate: of the tables' optimiser; 0 for `learning_rate`.
      unique_ids: of `RowSparseAdam`.

    Returns:
      The optimiser `name`, or a `CompositeOptimizer` if the tables have a name or learning rate of their own.

    Raises:
      ValueError: an unknown name.
    """
    if table_name == SAME and not table_learning_rate:
        return _with_slots(name, learning_rate, weights, unique_ids)
    of_tables = {table.ref() for table in tables}
    others = [weight for weight in weights if weight.ref() not in of_tables]
    return tfrs.experimental.optimizers.CompositeOptimizer([
        (_with_slots(name, learning_rate, others, unique_ids), lambda: others),
        (_with_slots(name if table_name == SAME else table_name, table_learning_rate or learning_rate, tables,
                     unique_ids), lambda: tables)])


def _with_slots(name: str, learning_rate: float, weights: Sequence[tf.Variable], unique_ids: bool
                ) -> tf.keras.optimizers.Optimizer:
    # XLA would compile a table's update again for every new number of unique ids.
    optimizers = {
        "adam": lambda: tf.keras.optimizers.Adam(learning_rate, jit_compile=False),
        "adagrad": lambda: tf.keras.optimizers.Adagrad(learning_rate, jit_compile=False),
        "row_sparse_adam": lambda: RowSparseAdam(learning_rate, unique_ids=unique_ids),
    }
    if name not in optimizers:
        raise ValueError(f"an optimizer's name must be one of {', '.join(optimizers)}, got {name!r}")
    optimizer = optimizers[name]()
    optimizer.build(weights)
    return optimizer
