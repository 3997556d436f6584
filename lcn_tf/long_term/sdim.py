"""SDIM: events that share the candidate's hash signatures, summed; no attention (Cao et al., CIKM 2022; SPEC B.3).

Shape letters: B requests, C candidates, D item width.
"""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from lcn_tf.embeddings import EmbeddedHistory
from lcn_tf.layers.simhash import HashPooling


@dataclasses.dataclass(frozen=True)
class Config:
    """Options of SDIM; the defaults are the paper's 48 bits in signatures of 3."""

    num_hashes: int = dataclasses.field(default=16, metadata={"help": "signatures (m / tau)"})
    hash_bits: int = dataclasses.field(default=3, metadata={"help": "bits of a signature (tau)"})
    hash_seed: int = dataclasses.field(default=0, metadata={"help": "seed of the projections, drawn once and saved"})


class SDIMInterest(tf.keras.layers.Layer):
    """Hash pooling of the items; no weight is trained, and no stage ranks events (hence no `stage_scores`)."""

    def __init__(self, config: Config, **kwargs):
        super().__init__(**kwargs)
        self.pooling = HashPooling(config.num_hashes, config.hash_bits, config.hash_seed, name="pooling")

    def call(self, candidate: tf.Tensor, history: EmbeddedHistory, training: bool = False) -> tf.Tensor:
        """Candidates `[B, C, D]` -> interest `[B, C, D]`."""
        return self.pooling(candidate, history.items, mask=history.mask)


def build(config: Config) -> SDIMInterest:
    """The layer of a configuration."""
    return SDIMInterest(config, name="sdim")
