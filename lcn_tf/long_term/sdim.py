"""SDIM: events that share the candidate's hash signatures, summed; no attention (Cao et al., CIKM 2022).

Shape letters: B requests, C candidates, G signatures, L events, D item width, D_c context width.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

import tensorflow as tf

from lcn_tf.contracts import History
from lcn_tf.layers.simhash import HashPooling
from lcn_tf.layers.top_k_attention import TopKAttention
from lcn_tf.ops.event_forms import beside
from lcn_tf.ops.masking import mask_scores

VERSION = 1


@dataclasses.dataclass(frozen=True)
class Config:
    """Options of SDIM; the defaults are the paper's 48 bits in signatures of 3."""

    num_hashes: int = dataclasses.field(default=16, metadata={"help": "signatures (m / tau)"})
    hash_bits: int = dataclasses.field(default=3, metadata={"help": "bits of a signature (tau)"})
    hash_seed: int = dataclasses.field(default=0, metadata={"help": "seed of the projections, drawn once and saved"})
    esu: Literal["pool", "mhta"] = dataclasses.field(
        default="pool", metadata={"help": "reading: events that share a signature are summed (the paper) or attended "
                                          "to (TWIN's comparison)"})
    attention_dim: int = dataclasses.field(default=64, metadata={"help": "width of the projections of esu=mhta"})
    num_heads: int = dataclasses.field(default=1, metadata={"help": "heads of esu=mhta"})
    context: bool = dataclasses.field(
        default=True, metadata={"help": "reading: pool items with their context, as SIM does (false, the paper: items "
                                        "alone)", "before": False})


class SDIMInterest(tf.keras.layers.Layer):
    """Hash pooling of the events; no weight is trained, and no stage ranks events (hence no `stage_scores`).

    Items alone are hashed, since a candidate has no context to collide with. With `context` each signature's sum is of
    items and context side by side, normalised together, so that the interest is as wide as an event.
    """

    def __init__(self, config: Config, **kwargs):
        super().__init__(**kwargs)
        self.context = config.context
        self.pooling = HashPooling(config.num_hashes, config.hash_bits, config.hash_seed, name="pooling")

    def call(self, candidate: tf.Tensor, history: History, training: bool = False) -> tf.Tensor:
        """Candidates `[B, C, D]` -> interest `[B, C, D + D_c]`, or `[B, C, D]` without context."""
        collisions = self.pooling.collisions(candidate, history.items, history.mask)  # [B, C, G, L]
        return self.pooling.pool(collisions, beside(history.vectors, history.context if self.context else None))


class SDIMAttention(tf.keras.layers.Layer):
    """Target attention over the events whose items share a signature with the candidate, however many these are."""

    def __init__(self, config: Config, **kwargs):
        super().__init__(**kwargs)
        self.pooling = HashPooling(config.num_hashes, config.hash_bits, config.hash_seed, name="pooling")
        self.attention = TopKAttention(None, config.attention_dim, config.num_heads, config.context, name="attention")

    def call(self, candidate: tf.Tensor, history: History, training: bool = False) -> tf.Tensor:
        """Candidates `[B, C, D]` -> interest `[B, C, D]`."""
        return self.attention(candidate, history, mask=self._shared(candidate, history) > 0)

    def stage_scores(self, candidate: tf.Tensor, history: History) -> dict[str, tf.Tensor]:
        """Scores `[B, C, L]` over the whole history: `gsu`, the number of shared signatures; `final`, the attention."""
        return {"gsu": mask_scores(self._shared(candidate, history), history.mask),
                "final": self.attention.final_scores(candidate, history)}

    def _shared(self, candidate: tf.Tensor, history: History) -> tf.Tensor:
        """How many of the candidate's signatures each visible event has, float32 `[B, C, L]`."""
        collisions = self.pooling.collisions(candidate, history.items, history.mask)  # [B, C, G, L]
        return tf.reduce_sum(tf.cast(collisions, tf.float32), axis=2)


def build(config: Config) -> SDIMInterest | SDIMAttention:
    """The layer of a configuration."""
    return (SDIMInterest if config.esu == "pool" else SDIMAttention)(config, name="sdim")
