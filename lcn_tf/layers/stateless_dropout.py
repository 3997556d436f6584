"""Dropout whose masks depend on a seed, a saved counter and the place in the global batch only."""

from __future__ import annotations

from typing import Any

import tensorflow as tf


@tf.keras.utils.register_keras_serializable("lcn_tf")
class StatelessDropout(tf.keras.layers.Layer):
    """Inverted dropout that continues with the same masks after training is resumed from a checkpoint.

    Keras' own layer draws from generator state outside the checkpoint. The mask of a step is that of the global batch,
    of which each replica takes the rows of its share (replicas in order have the batch's rows in order): the result
    does not depend on their number. The asynchronous workers of parameter servers, each with a batch of its own, share
    the counter: two steps at the same time may drop the same places.

    Args:
      rate: share of entries set to 0, in [0, 1).
      seed: seed of the masks.

    Call arguments:
      inputs: `[rows, ...]`, floating; of equal shape beside the rows on every replica.
      training: whether to drop anything; None means no.

    Returns:
      `inputs`, or its masked copy scaled by `1 / (1 - rate)`.

    Raises:
      ValueError: a rate outside [0, 1).

    Example:
      >>> from lcn_tf.layers import StatelessDropout
      >>> dropout, inputs = StatelessDropout(0.5, seed=1), tf.ones([10, 10])
      >>> sorted(set(dropout(inputs, training=True).numpy().ravel().tolist())), dropout.step.numpy().item()
      ([0.0, 2.0], 1)
      >>> bool(tf.reduce_all(dropout(inputs) == inputs))  # not in training
      True
    """

    def __init__(self, rate: float, seed: int = 0, **kwargs: Any):
        super().__init__(**kwargs)
        if not 0.0 <= rate < 1.0:
            raise ValueError(f"dropout rate must be in [0, 1), got {rate}")
        self.rate = rate
        self.seed = seed
        self.step = tf.Variable(0, trainable=False, dtype=tf.int64, name="step",
                                aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA)

    def build(self, input_shape: Any) -> None:
        """The counter exists already."""
        self.built = True

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Drops entries in training; see the class."""
        if not training:
            return inputs
        seed = tf.stack([tf.constant(self.seed, tf.int64), self.step.read_value()])
        self.step.assign_add(1)
        before = _rows_before(inputs)

        def draw(shape: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
            return tf.random.stateless_uniform(tf.concat([[before + shape[0]], shape[1:]], 0), seed)[before:]

        return tf.nn.experimental.general_dropout(inputs, self.rate, draw)

    def save_own_variables(self, store: Any) -> None:
        """Writes the counter to a file of Keras; Keras 3 would not know that it is one of the layer's variables."""
        store["0"] = self.step.numpy()

    def load_own_variables(self, store: Any) -> None:
        """Reads what `save_own_variables` wrote; nothing in files that Keras 3 wrote without it."""
        if "0" in store:
            self.step.assign(store["0"][()])

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}


def _rows_before(inputs: tf.Tensor) -> tf.Tensor:
    """How many rows of the global batch the replicas before this one have."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return tf.constant(0)
    rows = context.all_gather(tf.shape(inputs)[:1], axis=0)  # [replicas]
    return tf.reduce_sum(rows[:context.replica_id_in_sync_group])
