"""DIEN's two recurrent layers: one reads the history in time, the other follows what in it concerns the candidate.

Shapes: B requests, C candidates, L events, D item width, D_c context width, V views of a request's history: C, or 1
where all candidates have the same one, N rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from lcn_tf.layers.history_layer import HistoryLayer
from lcn_tf.layers.target_attention import DINAttention
from lcn_tf.ops.event_forms import Vectors, as_vectors, leading_sizes, project
from lcn_tf.ops.masking import expand_mask, mask_scores, masked_softmax

AUGRU_GATES = ("paper", "code")


class GRUWeights(NamedTuple):
    """Weights of one recurrent layer, gates in the order update, reset, candidate state.

    Attributes:
      kernel: `[E, 3 D]` for events of width E.
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
    `[q', h, q' - h, q' * h]` with `q' = PReLU(W q + b)`, without scale, as in the authors' code. The loss on the next
    event (eq. 6) is `next_event_loss`. Both recurrences run in float32, since long histories move the state by little
    at a time. The first one runs once for each view of a history: once per request where history, mask and context have
    no candidate's axis, or one of size 1. Events that are masked leave the state alone.

    Where events have a context, which the candidate has not, the first recurrence reads `[e, c]`, items and context,
    and the rest is as published: its states have width D. (Not in the paper.)

    Args:
      hidden_units: of the attention's network, see `DINAttention`.
      augru: how the attention `a` scales the update gate `u`. `paper`: `h = (1 - a u) h + a u c`, so that an event
        without attention changes nothing. `code` (the authors'): `u' = (1 - a) u; h = u' h + (1 - u') c`, where `u`
        weights the old state and an event without attention still moves the state by `1 - u`.
      context_width: D_c, 0 for events without context.

    Call arguments:
      candidate: `[B, C, D]`.
      history: `[B, L, D]` or `[B, V, L, D]`, most recent first.
      mask: bool `[B, L]` or `[B, V, L]`, True = real.
      context: of the events, `[..., D_c]` in any form of `lcn_tf.ops.event_forms`; None without.
      return_states: whether to return the states of the first recurrence, too.

    Returns:
      interest: `[B, C, D]` in the compute dtype: the last state of the second recurrence; zeros for an empty history.
      states: only if asked for, float32 `[B, V, L, D]`, the first recurrence after each event.

    Raises:
      ValueError: an unknown `augru`, what `DINAttention` refuses, a context without its width or a width without a
        context.

    Example:
      >>> from lcn_tf.layers import InterestEvolution
      >>> candidate, history, mask = tf.ones([2, 5, 16]), tf.ones([2, 24, 16]), tf.ones([2, 24], tf.bool)
      >>> interest, states = InterestEvolution()(candidate, history, mask=mask, return_states=True)
      >>> interest.shape, states.shape  # one view of the history for all candidates of a request
      (TensorShape([2, 5, 16]), TensorShape([2, 1, 24, 16]))
    """

    def __init__(self, hidden_units: Sequence[int] = (80, 40), augru: str = "paper", context_width: int = 0,
                 **kwargs: Any):
        super().__init__(**kwargs)
        if augru not in AUGRU_GATES:
            raise ValueError(f"augru must be one of {AUGRU_GATES}, got {augru!r}")
        self.hidden_units = tuple(hidden_units)
        self.augru = augru
        self.context_width = context_width
        policy = {"dtype": self.dtype_policy}
        self.attention = DINAttention(hidden_units, scale=False, name="attention", **policy)

    def build(self, input_shape: Any) -> None:
        """Creates the weights of both recurrences and of `q'`, all of state width D."""
        width = int(input_shape[-1])
        self.extraction = self._gru_weights("extraction", width + self.context_width, width)
        self.evolution = self._gru_weights("evolution", width, width)
        self.query_kernel = self.add_weight(name="query_kernel", shape=(width, width), initializer="glorot_uniform")
        self.query_bias = self.add_weight(name="query_bias", shape=(width,), initializer="zeros")
        self.query_slope = self.add_weight(name="query_slope", shape=(width,),
                                           initializer=tf.keras.initializers.Constant(0.1))
        self.attention.build(input_shape)
        self.built = True

    def call(self, candidate: tf.Tensor, history: tf.Tensor, mask: tf.Tensor, context: Vectors | None = None,
             return_states: bool = False) -> tf.Tensor | tuple[tf.Tensor, tf.Tensor]:
        """The candidate's interest; see the class."""
        mask = expand_mask(mask)
        states = self._extract(history, mask, context)  # [B, V, L, D]
        scores = masked_softmax(self._attention_logits(candidate, states), mask)  # [B, C, L]
        inputs = project(states, tf.cast(self.evolution.kernel, tf.float32))  # [B, V, L, 3 D]
        rows = leading_sizes(scores, 3)
        final = run_gru(_flat(inputs, rows), _flat(mask, rows), self.evolution, _flat(scores, rows), self.augru)[1]
        interest = tf.cast(tf.reshape(final, tf.shape(candidate)), self.compute_dtype)
        return (interest, states) if return_states else interest

    def attention_scores(self, candidate: tf.Tensor, history: tf.Tensor, mask: tf.Tensor,
                         context: Vectors | None = None) -> tf.Tensor:
        """The attention's softmax over the unmasked events, float32 `[B, C, L]`; `masking.MASKED_SCORE` elsewhere."""
        mask = expand_mask(mask)
        logits = self._attention_logits(candidate, self._extract(history, mask, context))
        return mask_scores(masked_softmax(logits, mask), mask)

    def _extract(self, history: tf.Tensor, mask: tf.Tensor, context: Vectors | None) -> tf.Tensor:
        """States of the first recurrence, `[B, V, L, D]`."""
        if (context is not None) != (self.context_width > 0):
            raise ValueError(f"a context is needed if and only if context_width, {self.context_width}, is positive; "
                             f"got {'none' if context is None else 'one'}")
        kernel = tf.cast(self.extraction.kernel, tf.float32)  # [D + D_c, 3 D]
        of_items, of_context = tf.split(kernel, [kernel.shape[0] - self.context_width, self.context_width])
        inputs = project(tf.convert_to_tensor(history), of_items)  # [B, 1 or V, L, 3 D]
        if context is not None:
            inputs += project(as_vectors(context), of_context)
        rows = leading_sizes(mask, 3)  # B, V, L
        if mask.shape[1] is None or mask.shape[1] != inputs.shape[1]:
            views = tf.shape(mask)[1]  # one of the two is 1, the other may be 0
            rows[1] = tf.where(tf.equal(views, 1), tf.shape(inputs)[1], views)
        states = run_gru(_flat(inputs, rows), _flat(mask, rows), self.extraction)[0]
        return tf.reshape(states, [*rows, states.shape[-1]])

    def _attention_logits(self, candidate: tf.Tensor, states: tf.Tensor) -> tf.Tensor:
        """DIN's logits `[B, C, L]` of `q'` and the states."""
        projected = tf.tensordot(tf.cast(candidate, tf.float32), tf.cast(self.query_kernel, tf.float32), 1)
        projected += tf.cast(self.query_bias, tf.float32)
        query = tf.nn.relu(projected) - tf.cast(self.query_slope, tf.float32) * tf.nn.relu(-projected)
        return self.attention.attention_logits(query, states)

    def _gru_weights(self, name: str, event_width: int, width: int) -> GRUWeights:
        shapes = {"kernel": ((event_width, 3 * width), "glorot_uniform"),
                  "recurrent_kernel": ((width, 3 * width), "orthogonal"), "bias": ((3 * width,), "zeros")}
        return GRUWeights(**{part: self.add_weight(name=f"{name}_{part}", shape=shape, initializer=initializer)
                             for part, (shape, initializer) in shapes.items()})

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        names = ("hidden_units", "augru", "context_width")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def run_gru(inputs: tf.Tensor, mask: tf.Tensor, weights: GRUWeights, attention: tf.Tensor | None = None,
            augru: str = "paper") -> tuple[tf.Tensor, tf.Tensor]:
    """A GRU, or AUGRU where there is an attention, from the oldest event to the most recent one, in float32.

    `u = sigmoid(x W_u + h U_u + b_u)`, `r` likewise, `c = tanh(x W_c + r * h U_c + b_c)`; without an attention
    `h' = (1 - u) h + u c` (DIEN, eqs 2 to 5), with it see `InterestEvolution`.

    Args:
      inputs: float32 `[N, L, 3 D]`, `x W` of the events, most recent first.
      mask: bool `[N, L]`; a masked event leaves the state as it is.
      weights: of the recurrence.
      attention: float32 `[N, L]`, or None.
      augru: how the attention scales the update gate.

    Returns:
      states: float32 `[N, L, D]`, the state after each event.
      final: float32 `[N, D]`, the state after the most recent one; zeros where every event is masked.
    """
    recurrent_kernel, bias = (tf.cast(weight, tf.float32) for weight in (weights.recurrent_kernel, weights.bias))
    rows, length, width = tf.shape(mask)[0], tf.shape(mask)[1], recurrent_kernel.shape[0]
    projected, real = _by_step(inputs + bias), _by_step(mask[..., tf.newaxis])
    shares = None if attention is None else _by_step(attention[..., tf.newaxis])

    def advance(step: tf.Tensor, state: tf.Tensor, states: tf.TensorArray) -> tuple[Any, ...]:
        place = length - 1 - step
        update, reset, new = tf.split(projected.read(place), 3, axis=-1)  # [N, D] each
        update_h, reset_h, new_h = tf.split(tf.matmul(state, recurrent_kernel), 3, axis=-1)
        update = tf.sigmoid(update + update_h)
        new = tf.tanh(new + tf.sigmoid(reset + reset_h) * new_h)
        if shares is not None:
            share = shares.read(place)  # [N, 1]
            update = share * update if augru == "paper" else 1.0 - (1.0 - share) * update
        state = tf.where(real.read(place), state + update * (new - state), state)
        return step + 1, state, states.write(step, state)  # in order: converters write no other way

    states = tf.TensorArray(tf.float32, size=length, element_shape=[None, width])
    _, final, states = tf.while_loop(
        lambda step, *_: step < length, advance, (tf.constant(0), tf.zeros([rows, width]), states))
    return tf.transpose(tf.reverse(states.stack(), [0]), [1, 0, 2]), final


def next_event_loss(states: tf.Tensor, items: tf.Tensor, negatives: tf.Tensor, mask: tf.Tensor, valid: tf.Tensor
                    ) -> tf.Tensor:
    """DIEN's auxiliary loss: the state after an event tells the event that followed from another one.

    Zhou et al., AAAI 2019, eq. 6: `-log sigma(<h_t, e_{t+1}>) - log(1 - sigma(<h_t, n_{t+1}>))`, the mean over the
    pairs of a history. As printed, sigma reads an inner product; the authors' code has a small network in its place.

    Args:
      states: float32 `[B, V, L, D]`, after each event, most recent first.
      items: `[B, L, D]` or `[B, V, L, D]`, of the same events.
      negatives: shaped like `items`, for each event another item.
      mask: bool `[B, V, L]`, the visible events.
      valid: bool `[B, L]` or `[B, V, L]`, whether the event has a negative.

    Returns:
      Float32 `[B, V]`; 0 for histories of fewer than two events.
    """
    def logits(events: tf.Tensor) -> tf.Tensor:
        """Of each event by the state before it, `[B, V, L - 1]`."""
        events = tf.cast(events if events.shape.rank == 4 else events[:, tf.newaxis], tf.float32)
        return tf.reduce_sum(states[:, :, 1:] * events[:, :, :-1], -1)

    real = mask[:, :, 1:] & mask[:, :, :-1]
    of_negatives = tf.where(expand_mask(valid)[:, :, :-1], tf.nn.softplus(logits(negatives)), 0.0)
    total = tf.reduce_sum(tf.where(real, tf.nn.softplus(-logits(items)) + of_negatives, 0.0), -1)
    return tf.math.divide_no_nan(total, tf.reduce_sum(tf.cast(real, tf.float32), -1))


def _flat(values: tf.Tensor, rows: Sequence[Any]) -> tf.Tensor:
    """`[B, V, L]` or `[B, V, L, x]`, V broadcast to that of `rows`, sizes `(B, V, L)`: `[N, L]` or `[N, L, x]`."""
    if not isinstance(rows[1], int) or values.shape[1] != rows[1]:
        values = tf.broadcast_to(values, [*rows, *values.shape[3:]])
    return tf.reshape(values, [-1, rows[2], *values.shape[3:]])


def _by_step(values: tf.Tensor) -> tf.TensorArray:
    """`[N, L, x]` as L tensors `[N, x]`, whose gradients are not as long as the history."""
    array = tf.TensorArray(values.dtype, size=tf.shape(values)[1], element_shape=[None, values.shape[-1]],
                           clear_after_read=False)
    return array.unstack(tf.transpose(values, [1, 0, 2]))
