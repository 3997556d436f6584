"""Optimisers whose step costs what the batch costs, not what the tables weigh, and their composition."""

from lcn_tf.optimizers.composition import create_optimizer
from lcn_tf.optimizers.row_sparse_adam import RowSparseAdam

__all__ = ["RowSparseAdam", "create_optimizer"]
