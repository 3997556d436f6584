"""The encoder of losses on sequences: options that they share, and the layer that nothing else reads."""

from __future__ import annotations

import dataclasses
from typing import Literal

import tensorflow as tf

from lcn_tf.embeddings.embedder import FeatureEmbedder
from lcn_tf.embeddings.sequence_rows import sequence_length, short_histories
from lcn_tf.layers.sequence_encoder import SequenceEncoder


@dataclasses.dataclass(frozen=True)
class SequenceConfig:
    """Options of the sequences and their encoder."""

    history: Literal["merged", "target", "source", "both_separately"] = dataclasses.field(
        default="merged", metadata={"help": "reading: sequences: both short histories by time, one, or each by itself"})
    width: int = dataclasses.field(default=64, metadata={"help": "width of the encoder"})
    num_layers: int = dataclasses.field(default=2, metadata={"help": "blocks of the encoder"})
    num_heads: int = dataclasses.field(default=2, metadata={"help": "heads of each block"})
    dropout: float = dataclasses.field(default=0.2, metadata={"help": "rate of dropout in the encoder"})


def new_encoder(config: SequenceConfig, embedder: FeatureEmbedder, causal: bool) -> SequenceEncoder:
    """An encoder with weights for the sequences of `sequence_rows`.

    Raises:
      ValueError: sizes that do not fit, or the schema lacks a short history.
    """
    lengths = [embedder.lengths[history] for history in short_histories(embedder.schema)]
    length = sequence_length(lengths, config.history)
    encoder = SequenceEncoder(length, config.width, config.num_layers, config.num_heads, dropout=config.dropout,
                              causal=causal, name="encoder")
    encoder(tf.zeros([1, length, embedder.item_width]), mask=tf.zeros([1, length], tf.bool))
    return encoder
