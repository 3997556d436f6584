"""DIEN's two recurrent layers: one reads the history in time, the other follows what in it concerns the candidate.

Shapes: B requests, C candidates, L events, D item width, N = B C rows, one for each candidate.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from lcn_tf.layers.event_vectors import leading_sizes
from lcn_tf.layers.history_layer import HistoryLayer
from lcn_tf.layers.masking import expand_mask, mask_scores, masked_softmax
from lcn_tf.layers.target_attention import DINAttention

AUGRU_GATES = ("paper", "code")


class GRUWeights(NamedTuple):
    """Weights of one recurrent layer, gates in the order update, reset, candidate state.

    Attributes:
      kernel: `[D, 3 D]`.
      recurrent_kernel: `[D, 3 D]`.
      bias: `[3 D]`.
    """

    kernel: Any
    recurrent_kernel: Any
    bias: Any


@tf.keras.utils.register_keras_serializable("lcn_tf")
class InterestEvolution(HistoryLayer):
    """GRU over the history in time, attention of the candidate to its states, and a GRU whose update gate it scales.

    Zhou et al., AAAI 2019 (DIEN), eqs 2 to 5 (GRU), 10 (attention), 14 to 16 (AUGRU). The attention is DIN's network on
    `[q', h, q' - h, q' * h]` with `q' = PReLU(W q + b)`, without scale, as in the authors' code. Not here: the loss on
    the next event (eq. 6). Both recurrences run once per candidate, since candidates may see different windows, and in
    float32, since long histories move the state by little at a time. Events that are masked leave the state alone.

    Args:
      hidden_units: of the attention's network, see `DINAttention`.
      augru: how the attention `a` scales the update gate `u`. `paper`: `h = (1 - a u) h + a u c`, so that an event
        without attention changes nothing. `code` (the authors'): `u' = (1 - a) u; h = u' h + (1 - u') c`, where `u`
        weights the old state and an event without attention still moves the state by `1 - u`.

    Call arguments:
      candidate: `[B, C, D]`.
      history: `[B, L, D]` or `[B, C, L, D]`, most recent first.
      mask: bool `[B, L]` or `[B, C, L]`, True = real.

    Returns:
      interest `[B, C, D]` in the compute dtype: the last state of the second recurrence; zeros for an empty history.

    Raises:
      ValueError: an unknown `augru`, or what `DINAttention` refuses.
    """

    def __init__(self, hidden_units: Sequence[int] = (80, 40), augru: str = "paper", **kwargs: Any):
        super().__init__(**kwargs)
        if augru not in AUGRU_GATES:
            raise ValueError(f"augru must be one of {AUGRU_GATES}, got {augru!r}")
        self.hidden_units = tuple(hidden_units)
        self.augru = augru
        policy = {"dtype": self.dtype_policy}
        self.attention = DINAttention(hidden_units, scale=False, name="attention", **policy)

    def build(self, input_shape: Any) -> None:
        """Creates the weights of both recurrences and of `q'`, all of state width D."""
        width = int(input_shape[-1])
        self.extraction, self.evolution = (self._gru_weights(name, width) for name in ("extraction", "evolution"))
        self.query_kernel = self.add_weight(name="query_kernel", shape=(width, width), initializer="glorot_uniform")
        self.query_bias = self.add_weight(name="query_bias", shape=(width,), initializer="zeros")
        self.query_slope = self.add_weight(name="query_slope", shape=(width,),
                                           initializer=tf.keras.initializers.Constant(0.1))
        self.attention.build(input_shape)
        self.built = True

    def call(self, candidate: tf.Tensor, history: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        """The candidate's interest; see the class."""
        logits, states, mask = self._attend(candidate, history, mask)
        final = run_gru(states, mask, self.evolution, masked_softmax(logits, mask), self.augru)[1]  # [N, D]
        return tf.cast(tf.reshape(final, tf.shape(candidate)), self.compute_dtype)

    def attention_scores(self, candidate: tf.Tensor, history: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        """The attention's softmax over the unmasked events, float32 `[B, C, L]`; `masking.MASKED_SCORE` elsewhere."""
        logits, _, mask = self._attend(candidate, history, mask)
        scores = mask_scores(masked_softmax(logits, mask), mask)
        return tf.reshape(scores, [*leading_sizes(candidate), tf.shape(scores)[-1]])

    def _attend(self, candidate: tf.Tensor, history: tf.Tensor, mask: tf.Tensor
                ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Attention logits `[N, L]`, states of the first recurrence `[N, L, D]` and mask `[N, L]`."""
        mask = expand_mask(mask)  # [B, 1 or C, L]
        length, width = tf.shape(mask)[-1], candidate.shape[-1]
        wide = [*leading_sizes(candidate), length]
        history = tf.cast(history, tf.float32)
        history = history if history.shape.rank == 4 else history[:, tf.newaxis]
        history = tf.reshape(tf.broadcast_to(history, [*wide, width]), [-1, length, width])  # [N, L, D]
        mask = tf.reshape(tf.broadcast_to(mask, wide), [-1, length])
        states = run_gru(history, mask, self.extraction)[0]
        projected = tf.tensordot(tf.cast(candidate, tf.float32), tf.cast(self.query_kernel, tf.float32), 1)
        projected += tf.cast(self.query_bias, tf.float32)
        query = tf.nn.relu(projected) - tf.cast(self.query_slope, tf.float32) * tf.nn.relu(-projected)
        query = tf.reshape(query, [-1, 1, width])  # [N, 1, D]
        return self.attention.attention_logits(query, states)[:, 0], states, mask

    def _gru_weights(self, name: str, width: int) -> GRUWeights:
        shapes = {"kernel": ((width, 3 * width), "glorot_uniform"),
                  "recurrent_kernel": ((width, 3 * width), "orthogonal"), "bias": ((3 * width,), "zeros")}
        return GRUWeights(**{part: self.add_weight(name=f"{name}_{part}", shape=shape, initializer=initializer)
                             for part, (shape, initializer) in shapes.items()})

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {**super().get_config(), "hidden_units": self.hidden_units, "augru": self.augru}


def run_gru(events: tf.Tensor, mask: tf.Tensor, weights: GRUWeights, attention: tf.Tensor | None = None,
            augru: str = "paper") -> tuple[tf.Tensor, tf.Tensor]:
    """A GRU, or AUGRU where there is an attention, from the oldest event to the most recent one, in float32.

    `u = sigmoid(x W_u + h U_u + b_u)`, `r` likewise, `c = tanh(x W_c + r * h U_c + b_c)`; without an attention
    `h' = (1 - u) h + u c` (DIEN, eqs 2 to 5), with it see `InterestEvolution`.

    Args:
      events: `[N, L, D]`, most recent first.
      mask: bool `[N, L]`; a masked event leaves the state as it is.
      weights: of the recurrence.
      attention: float32 `[N, L]`, or None.
      augru: how the attention scales the update gate.

    Returns:
      states: float32 `[N, L, D]`, the state after each event.
      final: float32 `[N, D]`, the state after the most recent one; zeros where every event is masked.
    """
    kernel, recurrent_kernel, bias = (tf.cast(weight, tf.float32) for weight in weights)
    projected = tf.tensordot(events, kernel, 1) + bias  # [N, L, 3 D]
    rows, length, width = tf.shape(mask)[0], tf.shape(mask)[1], recurrent_kernel.shape[0]
    inputs = _by_step(projected), _by_step(mask[..., tf.newaxis])
    shares = None if attention is None else _by_step(attention[..., tf.newaxis])

    def advance(place: tf.Tensor, state: tf.Tensor, states: tf.TensorArray) -> tuple[Any, ...]:
        update, reset, new = tf.split(inputs[0].read(place), 3, axis=-1)  # [N, D] each
        update_h, reset_h, new_h = tf.split(tf.matmul(state, recurrent_kernel), 3, axis=-1)
        update = tf.sigmoid(update + update_h)
        new = tf.tanh(new + tf.sigmoid(reset + reset_h) * new_h)
        if shares is not None:
            share = shares.read(place)  # [N, 1]
            update = share * update if augru == "paper" else 1.0 - (1.0 - share) * update
        state = tf.where(inputs[1].read(place), state + update * (new - state), state)
        return place - 1, state, states.write(place, state)

    states = tf.TensorArray(tf.float32, size=length, element_shape=[None, width])
    _, final, states = tf.while_loop(
        lambda place, *_: place >= 0, advance, (length - 1, tf.zeros([rows, width]), states))
    return tf.transpose(states.stack(), [1, 0, 2]), final


def _by_step(values: tf.Tensor) -> tf.TensorArray:
    """`[N, L, x]` as L tensors `[N, x]`, whose gradients are not as long as the history."""
    array = tf.TensorArray(values.dtype, size=tf.shape(values)[1], element_shape=[None, values.shape[-1]],
                           clear_after_read=False)
    return array.unstack(tf.transpose(values, [1, 0, 2]))
