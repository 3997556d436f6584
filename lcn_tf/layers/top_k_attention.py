"""The second stage that SIM, ETA, SDIM and the bounds share: keep the best events of a first stage, attend to them.

Shapes: B requests, C candidates, L events, K kept events, H heads, D item width, D_c context width, E event width.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from lcn_tf.contracts import History
from lcn_tf.layers.target_mha import TargetMHA
from lcn_tf.ops.event_forms import Vectors, beside
from lcn_tf.ops.masking import mask_scores, masked_softmax, masked_top_k


class TopKAttention(tf.keras.layers.Layer):
    """Target attention over the `top_k` visible events of the highest score, or over all of them.

    The kept events are looked up by id.

    Args:
      top_k: K; None keeps every event.
      attention_dim, num_heads: see `TargetMHA`.
      context: whether an event is its item and context embedding (E = D + D_c) or its item embedding alone (E = D).

    Call arguments:
      candidate: `[B, C, D]`.
      history: the embedded history.
      scores: of the first stage, `[B, C, L]` or broadcastable to it; ties go to the more recent event. Not read when
        `top_k` is None.
      mask: bool, the events that may be kept, all of them visible, `[B, C, L]` or, where candidates share it, `[B, L]`;
        None for every visible one.

    Returns:
      interest `[B, C, D]`; zeros for an empty history.

    Raises:
      ValueError: `top_k` below 1, no scores although there is a `top_k`, or what `TargetMHA` refuses.
    """

    def __init__(self, top_k: int | None, attention_dim: int, num_heads: int, context: bool = True, **kwargs: Any):
        super().__init__(**kwargs)
        if top_k is not None and top_k < 1:
            raise ValueError(f"top_k must be at least 1 or None, got {top_k}")
        self.top_k = top_k
        self.context = context
        self.attention = TargetMHA(attention_dim, num_heads, name="attention")

    def call(self, candidate: tf.Tensor, history: History, scores: tf.Tensor | None = None,
             mask: tf.Tensor | None = None) -> tf.Tensor:
        """The candidate's interest; see the class."""
        mask = _visible(history) if mask is None else mask
        if self.top_k is None:
            return self.attention(candidate, events=self._events(history), mask=mask)[0]
        if scores is None:
            raise ValueError(f"scores must be a tensor [B, C, L] with top_k={self.top_k}, got None")
        return self._attend_to_kept(candidate, history, scores, mask, self.top_k, ordered=False)[0]

    def explain(self, candidate: tf.Tensor, history: History, scores: tf.Tensor,
                mask: tf.Tensor | None = None) -> dict[str, tf.Tensor]:
        """Which events were kept, best first, and what attention they got; arguments as in `call`.

        Returns:
          `esu_indices`: int32 `[B, C, K]` positions in the history, -1 in slots left empty.
          `esu_scores`: float32 `[B, C, K]`, the attention averaged over heads; 0 in empty slots. K is `top_k` or, if
          smaller, L.

        Raises:
          ValueError: `top_k` is None.
        """
        if self.top_k is None:
            raise ValueError("top_k must be a number to keep events, got None")
        mask = _visible(history) if mask is None else mask
        _, indices, attention_scores = self._attend_to_kept(candidate, history, scores, mask, self.top_k, ordered=True)
        return {"esu_indices": indices, "esu_scores": tf.reduce_mean(attention_scores, axis=2)}

    def _attend_to_kept(self, candidate: tf.Tensor, history: History, scores: tf.Tensor, mask: tf.Tensor,
                        top_k: int, ordered: bool) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Interest `[B, C, D]`, positions `[B, C, K]`, -1 in empty slots, and attention `[B, C, H, K]`."""
        shape = tf.concat([tf.shape(candidate)[:2], tf.shape(mask)[-1:]], 0)
        indices, kept = masked_top_k(tf.broadcast_to(scores, shape), mask, top_k, ordered)  # [B, C, K]
        events = history.select(indices, context=self.context)
        interest, attention_scores = self.attention(candidate, events=events, mask=kept)
        return interest, tf.where(kept, indices, -1), attention_scores

    def final_scores(self, candidate: tf.Tensor, history: History) -> tf.Tensor:
        """Mean over heads of the softmax over the *whole* history, float32 `[B, C, L]`."""
        logits = self.attention.attention_logits(candidate, self._events(history))  # [B, C, H, L]
        probabilities = masked_softmax(logits, history.mask[:, :, tf.newaxis, :])
        return mask_scores(tf.reduce_mean(probabilities, axis=2), history.mask)

    def stage_scores(self, candidate: tf.Tensor, history: History, scores: tf.Tensor) -> dict[str, tf.Tensor]:
        """Masked scores `[B, C, L]` of both stages: `gsu`, the first stage's `scores`, and `final`."""
        wide = tf.broadcast_to(scores, tf.shape(history.mask))
        return {"gsu": mask_scores(wide, history.mask), "final": self.final_scores(candidate, history)}

    def _events(self, history: History) -> Vectors:
        """Every event."""
        return beside(history.vectors, history.context if self.context else None)


def _visible(history: History) -> tf.Tensor:
    """Every visible event, `[B, C, L]` or, where that is known to be the same for all candidates, `[B, L]`."""
    return history.mask if history.common_mask is None else history.common_mask
