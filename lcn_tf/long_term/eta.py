"""ETA: search by the Hamming distance of SimHash bits, then attention (Chen et al., arXiv 2108.04468).

Shape letters: B requests, C candidates, L events, D item width.
"""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from lcn_tf.contracts import History
from lcn_tf.layers.simhash import SimHash, hamming_distances
from lcn_tf.layers.top_k_attention import TopKAttention

VERSION = 1


@dataclasses.dataclass(frozen=True)
class Config:
    """Options of ETA."""

    top_k: int = dataclasses.field(default=50, metadata={"help": "events the search passes to the attention (K)"})
    hash_bits: int = dataclasses.field(default=64, metadata={"help": "bits of a hash (m)"})
    hash_seed: int = dataclasses.field(default=0, metadata={"help": "seed of the projection, drawn once and saved"})
    attention_dim: int = dataclasses.field(default=64, metadata={"help": "width of the attention's projections"})
    num_heads: int = dataclasses.field(default=1, metadata={"help": "heads of the attention"})
    context: bool = dataclasses.field(
        default=True, metadata={"help": "reading: attend to items with their context, as SIM does (false, the paper: "
                                        "items alone)", "before": False})


class ETAInterest(tf.keras.layers.Layer):
    """Attention over the events whose hash differs least from the candidate's.

    Both sides are hashed from the current embeddings in every step; no gradient passes through the search. Ties, of
    which there are many, go to the more recent event: the search ranks by `distance (L + 1) + position`, exact in
    float32 up to `hash_bits (L + 1) = 2^24`.
    """

    def __init__(self, config: Config, **kwargs):
        super().__init__(**kwargs)
        self.simhash = SimHash(config.hash_bits, config.hash_seed, name="simhash")
        self.attention = TopKAttention(config.top_k, config.attention_dim, config.num_heads, config.context,
                                       name="attention")

    def call(self, candidate: tf.Tensor, history: History, training: bool = False) -> tf.Tensor:
        """Candidates `[B, C, D]` -> interest `[B, C, D]`."""
        return self.attention(candidate, history, self._scores(candidate, history))

    def stage_scores(self, candidate: tf.Tensor, history: History) -> dict[str, tf.Tensor]:
        """Scores `[B, C, L]` over the whole history: `gsu`, minus the search's key; `final`, the attention."""
        return self.attention.stage_scores(candidate, history, self._scores(candidate, history))

    def explain(self, candidate: tf.Tensor, history: History) -> dict[str, tf.Tensor]:
        """Positions and weights `[B, C, K]` of the events attended to, see `TopKAttention.explain`."""
        return self.attention.explain(candidate, history, self._scores(candidate, history))

    def _scores(self, candidate: tf.Tensor, history: History) -> tf.Tensor:
        distance = hamming_distances(self.simhash(candidate), self.simhash(history.items))  # [B, C, L]
        length = tf.shape(distance)[-1]
        return -(distance * tf.cast(length + 1, tf.float32) + tf.range(tf.cast(length, tf.float32)))


def build(config: Config) -> ETAInterest:
    """The layer of a configuration."""
    return ETAInterest(config, name="eta")
