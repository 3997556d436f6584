"""Targets of double Q-learning (van Hasselt et al., AAAI 2016), without gradient. Shapes: N steps, A actions."""

from __future__ import annotations

import tensorflow as tf


def double_q_target(reward: tf.Tensor, done: tf.Tensor, gamma: float, selector: tf.Tensor, evaluator: tf.Tensor
                    ) -> tf.Tensor:
    """`r + gamma Q_evaluator(s', argmax over a of Q_selector(s', a))`; the reward alone where the episode ends.

    Args:
      reward: float32 `[N]`.
      done: bool `[N]`.
      gamma: discount, from 0 to 1.
      selector, evaluator: values of the next state's actions, float32 `[N, A]`, smallest where there is none to take.

    Returns:
      Float32 `[N]`.
    """
    best = tf.argmax(selector, axis=-1)
    value = tf.gather(evaluator, best, batch_dims=1)
    return tf.stop_gradient(reward + tf.where(done, 0.0, gamma * value))
