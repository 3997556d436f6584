"""Batch normalisation with statistics, scale and offset of each domain.

Shape letters: N rows, M domains, W width.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from lcn_tf.ops.replica_exchange import sum_over_replicas


@tf.keras.utils.register_keras_serializable("lcn_tf")
class DomainBatchNorm(tf.keras.layers.Layer):
    """`gamma_m (x - mean_m) / sqrt(variance_m + epsilon) + beta_m` for a row of domain m (Ioffe and Szegedy, 2015).

    In training, mean and variance are those of the domain's real rows in the batch of all replicas; otherwise moving
    ones. These are the mean and variance of all rows of the domain that training has had, those of a step weighing
    `momentum` times as much after each later step that has such rows. So the averages of a domain without rows in a
    batch stay as they are, and, other than Keras', they neither begin at 0 and 1 nor leave out that the means of
    batches differ: those of a rare domain, a row a step, are right, too. Computed in float32.

    Args:
      domains: M; 1 is batch normalisation of all rows together.
      momentum: in [0, 1).
      epsilon: added to variances.

    Call arguments:
      inputs: `[..., W]` float.
      domain: int32 `[...]` in 0 ... M - 1; None for all rows of one domain.
      mask: bool `[...]`, True for real rows; None if all are. The others have no part in the statistics.
      training: whether batch statistics are used and collected.

    Returns:
      Float32 `[..., W]`; finite without meaning where the mask is False.

    Raises:
      ValueError: fewer than one domain, a momentum outside [0, 1), or an epsilon that is not positive.
    """

    def __init__(self, domains: int = 1, momentum: float = 0.99, epsilon: float = 1e-5, **kwargs: Any):
        super().__init__(**{"dtype": "float32", **kwargs})
        if domains < 1:
            raise ValueError(f"domains must be at least 1, got {domains}")
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum must be in [0, 1), got {momentum}")
        if not epsilon > 0:
            raise ValueError(f"epsilon must be positive, got {epsilon}")
        self.domains = domains
        self.momentum = momentum
        self.epsilon = epsilon

    def build(self, input_shape: Any) -> None:
        """Weights `[M, W]`, and `[M]` the rows that the moving ones are of, later ones counting more."""
        shape = (self.domains, input_shape[-1])
        self.gamma = self.add_weight(name="gamma", shape=shape, initializer="ones")
        self.beta = self.add_weight(name="beta", shape=shape, initializer="zeros")
        self.moving_mean = self._state("moving_mean", shape, "zeros")
        self.moving_variance = self._state("moving_variance", shape, "ones")
        self.moving_rows = self._state("moving_rows", shape[:1], "zeros")
        super().build(input_shape)

    def _state(self, name: str, shape: tuple[int, ...], initializer: str) -> tf.Variable:
        return self.add_weight(name=name, shape=shape, initializer=initializer, trainable=False,
                               aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA)  # all replicas have the same

    def call(self, inputs: tf.Tensor, domain: tf.Tensor | None = None, mask: tf.Tensor | None = None,
             training: bool = False) -> tf.Tensor:
        """Inputs `[..., W]` -> normalised `[..., W]`."""
        rows = tf.reshape(inputs, [-1, inputs.shape[-1]])  # [N, W]
        count = tf.shape(rows)[0]
        domain = tf.zeros([count], tf.int32) if domain is None else tf.reshape(domain, [-1])
        mask = tf.ones([count], tf.bool) if mask is None else tf.reshape(mask, [-1])
        if training:
            mean, variance = self._collect(rows, domain, mask)
        else:
            mean, variance = self.moving_mean, self.moving_variance
        scale = self.gamma * tf.math.rsqrt(variance + self.epsilon)
        mean, scale, beta = tf.unstack(tf.gather(tf.stack([mean, scale, self.beta], 1), domain), axis=1)  # [N, W]
        return tf.reshape((rows - mean) * scale + beta, tf.shape(inputs))

    def _collect(self, rows: tf.Tensor, domain: tf.Tensor, mask: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Mean and variance of the batch's rows by domain, `[M, W]`; moves the averages towards them."""
        real = mask[:, tf.newaxis]
        counted = tf.concat([tf.where(real, rows, 0.0), tf.cast(real, tf.float32)], 1)  # [N, W + 1]
        sums = sum_over_replicas(tf.math.unsorted_segment_sum(counted, domain, self.domains))
        count = tf.stop_gradient(sums[:, -1:])  # [M, 1]
        mean = tf.math.divide_no_nan(sums[:, :-1], count)
        squares = tf.where(real, tf.square(rows - tf.gather(mean, domain)), 0.0)
        squares = sum_over_replicas(tf.math.unsorted_segment_sum(squares, domain, self.domains))
        variance = tf.math.divide_no_nan(squares, count)

        earlier = self.moving_rows.read_value()[:, tf.newaxis]
        together = self.momentum * earlier + count
        share = tf.math.divide_no_nan(count, together)
        step = mean - self.moving_mean.read_value()
        moved = variance - self.moving_variance.read_value() + (1.0 - share) * tf.square(step)
        self.moving_mean.assign_add(share * step)
        self.moving_variance.assign_add(share * moved)
        self.moving_rows.assign(tf.where(count > 0, together, earlier)[:, 0])
        return mean, variance

    def trained(self, domain: tf.Tensor) -> tf.Tensor:
        """The domains, but in place of those that training had no row of, the one that it had most of lately.

        Args:
          domain: int32, any shape.

        Returns:
          The same shape; the domains as they are before training.
        """
        seen = tf.gather(self.moving_rows, domain) > 0
        most = tf.argmax(self.moving_rows, output_type=tf.int32)
        return tf.where(seen | tf.reduce_all(self.moving_rows <= 0), domain, most)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {**super().get_config(), "domains": self.domains, "momentum": self.momentum, "epsilon": self.epsilon}
