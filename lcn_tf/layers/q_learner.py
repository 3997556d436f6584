"""Next items as actions: a supervised head and double Q-learning over the states of a sequence, for training losses.

Shapes: N rows, T events, Q steps, D item width, W width of a state, M drawn items.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from lcn_tf.layers.sequence_encoder import SequenceEncoder
from lcn_tf.ops.double_q import double_q_target
from lcn_tf.ops.masking import mask_scores
from lcn_tf.ops.pair_sampling import fold_seed
from lcn_tf.ops.sampled_softmax import sampled_softmax_loss


class Steps(NamedTuple):
    """Steps of sequences: an event is the action, what came before it the state.

    Attributes:
      chosen: bool `[N, T]`, the events that are actions; the Q of them in their order.
      reward: float32 `[Q]`.
      negatives: `[M, D]`, items that were drawn.
      told: bool `[Q, M]`, which of them are other actions than the step's.
      told_next: bool `[Q, M]`, the same of the next step's action.
    """

    chosen: tf.Tensor
    reward: tf.Tensor
    negatives: tf.Tensor
    told: tf.Tensor
    told_next: tf.Tensor


class StepLosses(NamedTuple):
    """Of each step, float32 `[Q]`.

    Attributes:
      supervised: cross entropy of the action among itself and drawn ones.
      value: of state and action, by the network that is trained.
      temporal: half the squared difference of the value from its target.
    """

    supervised: tf.Tensor
    value: tf.Tensor
    temporal: tf.Tensor


class QLearner(tf.keras.layers.Layer):
    """SQN's and SAC's networks (Xin et al., SIGIR 2020, section 3), over the step's action and drawn ones.

    Values are `<A s, item> + b`. There are two networks; by lot one is trained, which also chooses the best next
    action, and the other evaluates it. A state without events is zeros. The last event of a sequence ends the episode.

    Args:
      encoders: causal ones; one, whose states both networks value by heads of their own, or one for each network.
      item_width: D.
      gamma: discount.
    """

    def __init__(self, encoders: Sequence[SequenceEncoder], item_width: int, gamma: float, **kwargs: Any):
        super().__init__(**kwargs)
        self.encoders = list(encoders)
        self.gamma = gamma
        dense = tf.keras.layers.Dense
        self.guesses = [dense(item_width, use_bias=False, name=f"guess_{number}") for number in range(len(encoders))]
        self.values = [dense(item_width, use_bias=False, name=f"value_{number}") for number in range(2)]
        self.biases = [self.add_weight(name=f"value_bias_{number}", shape=(), initializer="zeros")
                       for number in range(2)]
        for layer in (*self.guesses, *self.values):
            layer.build([None, encoders[0].width])

    def call(self, items: tf.Tensor, mask: tf.Tensor, domain: tf.Tensor, steps: Steps, seed: tf.Tensor,
             row_ids: tf.Tensor) -> StepLosses:
        """Losses of the steps.

        Args:
          items: `[N, T, D]`, most recent first.
          mask: bool `[N, T]`.
          domain: integers `[N, T]`.
          steps: of them.
          seed: int64 `[2]`, of the lot and of dropout.
          row_ids: int64 `[N, F]`, of the dropout.
        """
        states = [encoder(items, mask=mask, domain=domain, seed=fold_seed(fold_seed(seed, 1), number), row_ids=row_ids,
                          training=True) for number, encoder in enumerate(self.encoders)]
        first_is_trained = tf.random.stateless_uniform([], fold_seed(seed, 0)) < 0.5
        action = tf.cast(tf.boolean_mask(items, steps.chosen), tf.float32)  # [Q, D]
        following = tf.cast(tf.boolean_mask(_newer(items), steps.chosen), tf.float32)
        done = tf.boolean_mask(tf.broadcast_to(tf.range(tf.shape(mask)[1]) == 0, tf.shape(mask)), steps.chosen)
        supervised = [self._supervised(number, of_network, action, steps) for number, of_network in enumerate(states)]
        taken, choices = zip(*(self._values(number, states[min(number, len(states) - 1)], action, following, steps)
                               for number in range(2)), strict=True)

        def by_lot(values: Sequence[tf.Tensor]) -> tf.Tensor:
            return tf.where(first_is_trained, values[0], values[-1])

        target = double_q_target(steps.reward, done, self.gamma, by_lot(choices), by_lot(choices[::-1]))
        value = by_lot(taken)
        return StepLosses(by_lot(supervised), value, 0.5 * tf.square(target - value))

    def _supervised(self, number: int, states: tf.Tensor, action: tf.Tensor, steps: Steps) -> tf.Tensor:
        before = tf.boolean_mask(_older(states), steps.chosen)
        return sampled_softmax_loss(self.guesses[number](before), action, steps.negatives, steps.told)

    def _values(self, number: int, states: tf.Tensor, action: tf.Tensor, following: tf.Tensor, steps: Steps
                ) -> tuple[tf.Tensor, tf.Tensor]:
        """Value of the action `[Q]`, and of the next state's actions `[Q, 1 + M]`, the one that was taken first."""
        before, after = (tf.cast(self.values[number](tf.boolean_mask(of, steps.chosen)), tf.float32)
                         for of in (_older(states), states))
        bias = tf.cast(self.biases[number], tf.float32)
        taken = tf.reduce_sum(before * action, -1) + bias
        after = tf.stop_gradient(after)
        drawn = tf.matmul(after, tf.cast(tf.stop_gradient(steps.negatives), tf.float32), transpose_b=True)
        next_taken = tf.reduce_sum(after * tf.stop_gradient(following), -1, keepdims=True)
        return taken, tf.concat([next_taken, mask_scores(drawn, steps.told_next)], -1) + bias


def _older(values: tf.Tensor) -> tf.Tensor:
    """At every event `[N, T, ...]` what stands at the one before it in time; zeros at the oldest place."""
    return tf.pad(values[:, 1:], [[0, 0], [0, 1], [0, 0]])


def _newer(values: tf.Tensor) -> tf.Tensor:
    return tf.pad(values[:, :-1], [[0, 0], [1, 0], [0, 0]])
