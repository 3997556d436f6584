"""Optimisers whose step costs what the batch costs, not what the tables weigh; composition; learning rates."""

from lcn_tf.optimizers.composition import create_optimizer
from lcn_tf.optimizers.row_sparse_adam import RowSparseAdam
from lcn_tf.optimizers.warmup_decay import WarmupDecay

__all__ = ["RowSparseAdam", "WarmupDecay", "create_optimizer"]
