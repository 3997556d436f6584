"""TWIN: search and attention with the same scores (Chang et al., KDD 2023, section 4).

Shape letters: B requests, C candidates, L events, K kept events, H heads, D item width, E event width.
"""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from lcn_tf.contracts import History
from lcn_tf.layers.twin_attention import TwinAttention, merged_ranks
from lcn_tf.ops.event_forms import beside
from lcn_tf.ops.masking import mask_scores, masked_softmax, masked_top_k

VERSION = 1


@dataclasses.dataclass(frozen=True)
class Config:
    """Options of TWIN; the paper keeps 100 events."""

    top_k: int = dataclasses.field(default=50, metadata={"help": "events the search passes to the attention (K)"})
    attention_dim: int = dataclasses.field(default=64, metadata={"help": "width of the projections of all heads"})
    num_heads: int = dataclasses.field(default=4, metadata={"help": "heads of search and attention"})
    beta_per_head: bool = dataclasses.field(
        default=False, metadata={"help": "reading: weights of the context fields for each head; printed is one set"})
    top_k_per_head: bool = dataclasses.field(
        default=False, metadata={"help": "reading: every head attends to its own top_k events, no merged list"})

    def __post_init__(self):
        if self.top_k < 1:
            raise ValueError(f"twin.top_k must be at least 1, got {self.top_k}")


class TwinInterest(tf.keras.layers.Layer):
    """Attention over the events of the highest attention logits.

    The search has no weights of its own and its indices carry no gradient: the shared projections learn from the kept
    events.

    Attributes:
      top_k: see `lcn_tf.contracts.SearchesByHead`.
    """

    def __init__(self, config: Config, **kwargs):
        super().__init__(**kwargs)
        self.config = config
        self.top_k = config.top_k
        self.attention: TwinAttention | None = None

    def call(self, candidate: tf.Tensor, history: History, training: bool = False) -> tf.Tensor:
        """Candidates `[B, C, D]` -> interest `[B, C, D]`."""
        indices, kept = self._search(self._logits(candidate, history), history.mask)
        return self._attention(history)(candidate, events=history.select(indices), mask=kept)[0]

    def stage_scores(self, candidate: tf.Tensor, history: History) -> dict[str, tf.Tensor]:
        """Scores `[B, C, L]` over the whole history, for the consistency of stages.

        `gsu` is minus the place in the merged list, `final` the mean over heads of the softmax; the two differ although
        each head's own search and attention agree entirely, see `head_scores`.
        """
        logits = self._logits(candidate, history)
        merged = merged_ranks(logits, history.mask, tf.shape(logits)[-1])
        final = tf.reduce_mean(self._probabilities(logits, history), axis=2)
        return {"gsu": mask_scores(-merged, history.mask), "final": mask_scores(final, history.mask)}

    def head_scores(self, candidate: tf.Tensor, history: History) -> dict[str, tf.Tensor]:
        """Scores of each head, `[B, C, H, L]`: `gsu`, the search's raw alpha; `final`, the attention's softmax."""
        mask = history.mask[:, :, tf.newaxis]
        attended = self._attention(history).attention_logits(candidate, history.events())  # as after `select`
        return {"gsu": mask_scores(self._logits(candidate, history), mask),
                "final": mask_scores(self._probabilities(attended, history), mask)}

    def explain(self, candidate: tf.Tensor, history: History) -> dict[str, tf.Tensor]:
        """Which events were kept, in the order of the search, and what attention they got.

        Returns:
          `esu_indices`: int32 `[B, C, K]` positions in the history, -1 in slots left empty; with `top_k_per_head` the
          lists of the heads one after the other, `[B, C, H K]`.
          `esu_scores`: float32, the same shape, the attention averaged over heads; 0 in empty slots.
        """
        indices, kept = self._search(self._logits(candidate, history), history.mask, ordered=True)
        _, scores = self._attention(history)(candidate, events=history.select(indices), mask=kept)
        listed = tf.reduce_any(kept, axis=2) if self.config.top_k_per_head else kept
        return {"esu_indices": tf.where(listed, indices, -1), "esu_scores": tf.reduce_mean(scores, axis=2)}

    def _attention(self, history: History) -> TwinAttention:
        """The attention, made when the number of context fields is known."""
        if self.attention is None:
            config, widths = self.config, history.context_widths
            if len(set(widths.values())) > 1:
                raise ValueError(f"twin needs context fields of one width, got {widths}: see embeddings.dims")
            self.attention = TwinAttention(config.attention_dim, config.num_heads, len(widths),
                                           config.beta_per_head, name="attention")
        return self.attention

    def _logits(self, candidate: tf.Tensor, history: History) -> tf.Tensor:
        """Alpha of every event, `[B, C, H, L]`."""
        events = beside(history.vectors, history.context)
        return self._attention(history).attention_logits(candidate, events)

    def _search(self, logits: tf.Tensor, mask: tf.Tensor, ordered: bool = False) -> tuple[tf.Tensor, tf.Tensor]:
        """Positions `[B, C, K]` and mask `[B, C, K]`, or `[B, C, H K]` and `[B, C, H, H K]` for events of each head."""
        top_k = self.config.top_k
        if not self.config.top_k_per_head:
            return masked_top_k(-merged_ranks(logits, mask, top_k), mask, top_k, ordered)
        heads = self.config.num_heads
        found = [masked_top_k(logits[:, :, head], mask, top_k, ordered) for head in range(heads)]
        own = [tf.stack([kept if head == other else tf.zeros_like(kept) for other in range(heads)], axis=2)
               for head, (_, kept) in enumerate(found)]  # H times [B, C, H, K]
        return tf.concat([indices for indices, _ in found], -1), tf.concat(own, -1)

    def _probabilities(self, logits: tf.Tensor, history: History) -> tf.Tensor:
        return masked_softmax(logits, history.mask[:, :, tf.newaxis])  # [B, C, H, L]


def build(config: Config) -> TwinInterest:
    """The layer of a configuration."""
    return TwinInterest(config, name="twin")
