"""An actor that decides which ids keep their rows, and its critic: a reconstruction, *inspired by* AutoAssign+.

Liu et al. (KAIS 2023) say in their abstract that an actor decides which ids of a table stay and a critic guides it.
States, rewards and sizes are ours. Shape letters: S rows, F numbers of a state.
"""

from __future__ import annotations

import tensorflow as tf

from lcn_tf.embeddings.row_keeping import RecentRows

_UNITS = (64, 32)
_STATE = 4
_DISCOUNT = 0.9
_LEARNING_RATE = 0.05
_MAX_NORM = 1.0  # of a period's gradient
_KEEPS_AT_FIRST = 1.0  # logit
_NONE = -1.0  # no action yet


class ActorCriticRows(RecentRows):
    """A row is free once an actor has wanted to give it away for several periods; nobody is evicted for another id.

    At the end of a period of `period` steps, of every row that has an id:

        s = (log(1 + reads so far) / 10, log(1 + steps since the last) / 10, share of the period's steps that read it,
             log(1 + g)),  g = the period's sum of the gradient's norms of the row / the mean of those sums
        keep = sigmoid(actor(s));  action ~ Bernoulli(keep);  reward of the next period = action (g - row_cost)
        critic loss = (reward + 0.9 critic(s') - critic(s))^2 / 2,  actor loss = -advantage log P(action | s)

    g stands for the decrease of the loss on the rows of the log with the id, of which a descent along the gradient
    makes its squared norm: a row from which nothing more is learnt is not worth its memory. Both networks have hidden
    layers of 64 and 32 and take one step of gradient descent in a period.

    Args:
      rows: S.
      period: in steps.
      patience: periods in a row with keep < 0.5 after which a row is free.
      row_cost: of a period of a row, where a row's mean gain is 1.
    """

    forced = False

    def __init__(self, rows: int, period: int, patience: int, row_cost: float, **kwargs):
        super().__init__(rows, **kwargs)
        self.period, self.patience, self.row_cost = period, patience, row_cost
        self.gains = self.state("gains", [rows], tf.float32)
        self.reads = self.state("period_reads", [rows], tf.float32)
        self.states = self.state("states", [rows, _STATE], tf.float32)
        self.actions = self.state("actions", [rows], tf.float32, _NONE)
        self.doubts = self.state("doubts", [rows], tf.int32)
        self.actor, self.critic = _network("actor", _KEEPS_AT_FIRST), _network("critic", 0.0)

    def note(self, rows: tf.Tensor, norms: tf.Tensor, now: tf.Tensor) -> None:
        """As of the parent."""
        super().note(rows, norms, now)
        self.gains.scatter_add(tf.IndexedSlices(norms, rows))
        self.reads.scatter_add(tf.IndexedSlices(tf.ones_like(norms), rows))

    def begin(self, rows: tf.Tensor, reads: tf.Tensor, now: tf.Tensor) -> None:
        """As of the parent."""
        super().begin(rows, reads, now)
        for variable, value in ((self.gains, 0.0), (self.reads, 0.0), (self.actions, _NONE)):
            variable.scatter_update(tf.IndexedSlices(tf.fill(tf.shape(rows), value), rows))
        self.doubts.scatter_update(tf.IndexedSlices(tf.zeros_like(rows, tf.int32), rows))

    def lost(self, owned: tf.Tensor, reads: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """As of the parent: none but at the end of a period."""
        now = tf.cast(seed[1], tf.int64)
        return tf.cond(tf.equal((now + 1) % self.period, 0), lambda: self._end_period(owned, reads, now, seed),
                       lambda: tf.zeros([0], tf.int64))

    def _end_period(self, owned: tf.Tensor, reads: tf.Tensor, now: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        gains = tf.math.divide_no_nan(self.gains.read_value(), _mean(self.gains.read_value(), owned))  # [S]
        state = tf.stack([
            tf.math.log1p(tf.cast(reads, tf.float32)) / 10,
            tf.math.log1p(tf.cast(now - self.last_read, tf.float32)) / 10,
            self.reads / self.period, tf.math.log1p(gains)], axis=-1)  # [S, F]
        self._learn(tf.where(self.actions > 0, gains - self.row_cost, 0.0), state, owned & (self.actions >= 0))
        keep = tf.sigmoid(self.actor(state)[:, 0])
        doubts = tf.where(owned & (keep < 0.5), self.doubts + 1, 0)
        drawn = tf.cast(tf.random.stateless_uniform(tf.shape(keep), seed) < keep, tf.float32)
        for variable, value in ((self.doubts, doubts), (self.states, state), (self.gains, tf.zeros_like(gains)),
                                (self.reads, tf.zeros_like(gains)), (self.actions, tf.where(owned, drawn, _NONE))):
            variable.assign(value)
        return tf.where(owned & (doubts >= self.patience))[:, 0]

    def _learn(self, rewards: tf.Tensor, state: tf.Tensor, known: tf.Tensor) -> None:
        """A step of both networks on what followed the actions of known rows, bool `[S]`."""
        weights = [*self.actor.weights, *self.critic.weights]
        next_value, before = self.critic(state)[:, 0], self.states.read_value()
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(weights)
            advantage = rewards + _DISCOUNT * next_value - self.critic(before)[:, 0]
            surprise = tf.nn.sigmoid_cross_entropy_with_logits(
                tf.maximum(self.actions.read_value(), 0.0), self.actor(before)[:, 0])  # -log P(action)
            loss = _mean(tf.square(advantage) / 2 + tf.stop_gradient(advantage) * surprise, known)
        gradients, _ = tf.clip_by_global_norm(tape.gradient(loss, weights), _MAX_NORM)
        for weight, gradient in zip(weights, gradients, strict=True):
            weight.assign_sub(_LEARNING_RATE * gradient)


def _mean(values: tf.Tensor, counted: tf.Tensor) -> tf.Tensor:
    """Of the counted values, 0 where there are none."""
    total = tf.reduce_sum(tf.where(counted, values, 0.0))
    return tf.math.divide_no_nan(total, tf.reduce_sum(tf.cast(counted, tf.float32)))


def _network(name: str, bias: float) -> tf.keras.Sequential:
    """A state `[S, F]` -> a number `[S, 1]`; no optimiser of a model trains it."""
    hidden = [tf.keras.layers.Dense(units, "relu", dtype="float32") for units in _UNITS]
    network = tf.keras.Sequential([*hidden, tf.keras.layers.Dense(
        1, bias_initializer=tf.keras.initializers.Constant(bias), dtype="float32")], name=name)
    network.build([None, _STATE])
    network.trainable = False
    return network
