"""Adam that updates only the table rows that a batch looked up.

Shape letters: U unique ids of a batch, D table width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import tensorflow as tf

Gradient: TypeAlias = tf.Tensor | tf.IndexedSlices


@tf.keras.utils.register_keras_serializable(package="lcn_tf")
class RowSparseAdam(tf.keras.optimizers.Adam):
    """Adam (Kingma and Ba, 2015) whose step costs O(ids in the batch) for tables, in time and in memory.

    A gradient that is a `tf.IndexedSlices`, as that of an embedding lookup is, updates the rows it names, in place:

        m_r <- beta_1 m_r + (1 - beta_1) g_r
        v_r <- beta_2 v_r + (1 - beta_2) g_r^2
        w_r <- w_r - learning_rate sqrt(1 - beta_2^t) / (1 - beta_1^t) m_r / (sqrt(v_r) + epsilon)

    - The moments of a row decay only in steps that name it, be its gradient zero (a masked event). A row that no id of
      the batch names keeps weights and moments to the bit, where dense Adam moves it on by its momentum.
    - t is the global step, as in dense Adam and other lazy Adams. A row that is first named late is hence corrected as
      little as all others: its first step is (1 - beta_1) / sqrt(1 - beta_2), about 3.2, learning rates long.
    - When every step names every row, this is dense Adam. Dense gradients (towers) always take dense Adam's path.
    - Weight decay, moving averages of the weights and AMSGrad would touch every row, and are not offered.

    Ids that a gradient names twice, which includes every id that two replicas share, have their rows summed first. With
    asynchronous workers (parameter servers) two updates of one row at the same time may lose one of them.

    Slots and checkpoints are those of `tf.keras.optimizers.Adam`: either continues from the other's checkpoint.

    Args:
      learning_rate: a number or a schedule.
      beta_1: decay of the first moment m.
      beta_2: decay of the second moment v.
      epsilon: added to the root of v (the "epsilon hat" of the paper, as in Keras).
      unique_ids: the caller's word that no gradient names a row twice within a replica, as where each table is looked
        up once per batch on unique ids; saves the search for duplicates. If it is not kept, updates get lost.
      name: of the optimiser.

    Raises:
      ValueError: `beta_1` or `beta_2` outside [0, 1), or `epsilon` not positive.
    """

    def __init__(self, learning_rate: Any = 1e-3, beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-7,
                 unique_ids: bool = False, name: str = "RowSparseAdam"):
        for argument, value in (("beta_1", beta_1), ("beta_2", beta_2)):
            if not 0 <= value < 1:
                raise ValueError(f"{argument} must be in [0, 1), got {value}")
        if epsilon <= 0:
            raise ValueError(f"epsilon must be positive, got {epsilon}")
        # XLA would compile the update again for every new number of unique ids.
        super().__init__(learning_rate, beta_1, beta_2, epsilon, jit_compile=False, name=name)
        self.unique_ids = unique_ids

    def update_step(self, gradient: Gradient, variable: tf.Variable) -> None:
        """Updates one variable and its moments; the rows that an `IndexedSlices` names must be distinct."""
        if not isinstance(gradient, tf.IndexedSlices):
            super().update_step(gradient, variable)
            return
        index = self._index_dict[self._var_key(variable)]
        momentum, velocity = self._momentums[index], self._velocities[index]
        dtype, ids = momentum.dtype, gradient.indices  # [U]
        values = tf.cast(gradient.values, dtype)  # [U, D]
        step = tf.cast(self.iterations + 1, dtype)
        power_1, power_2 = (tf.pow(tf.cast(beta, dtype), step) for beta in (self.beta_1, self.beta_2))
        rate = tf.cast(self.learning_rate, dtype) * tf.sqrt(1 - power_2) / (1 - power_1)

        m = tf.gather(momentum, ids)  # [U, D]
        m += (values - m) * (1 - self.beta_1)
        v = tf.gather(velocity, ids)
        v += (tf.square(values) - v) * (1 - self.beta_2)
        momentum.scatter_update(tf.IndexedSlices(m, ids))
        velocity.scatter_update(tf.IndexedSlices(v, ids))
        variable.scatter_sub(tf.IndexedSlices(rate * m / (tf.sqrt(v) + self.epsilon), ids))

    def _deduplicate_sparse_grad(self, grads: Sequence[Gradient]) -> Sequence[Gradient]:
        """Sums the rows of equal ids, in float32 at least; called by Keras on the gradients of all replicas."""
        if self.unique_ids and tf.distribute.get_strategy().num_replicas_in_sync == 1:
            return grads
        return super()._deduplicate_sparse_grad([_at_least_float32(gradient) for gradient in grads])

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        config = super().get_config()
        names = ("learning_rate", "beta_1", "beta_2", "epsilon", "name")
        return {**{name: config[name] for name in names}, "unique_ids": self.unique_ids}


def _at_least_float32(gradient: Gradient) -> Gradient:
    if not isinstance(gradient, tf.IndexedSlices) or gradient.dtype not in (tf.float16, tf.bfloat16):
        return gradient
    return tf.IndexedSlices(tf.cast(gradient.values, tf.float32), gradient.indices, gradient.dense_shape)
