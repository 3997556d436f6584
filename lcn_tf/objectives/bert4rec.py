"""BERT4Rec's Cloze task on the short histories of both domains (Sun et al., CIKM 2019), as an auxiliary loss.

Some events of a user's merged short histories are hidden; a bidirectional encoder, which nothing else reads, guesses
their items among items of the batch. Shapes: R rows, T events, D item width, Q hidden events, M drawn items.
"""

from __future__ import annotations

import dataclasses
import math

import tensorflow as tf

from lcn_tf.contracts import Everyone, LookedUp
from lcn_tf.embeddings import FeatureEmbedder
from lcn_tf.embeddings.sequence_encoding import SequenceConfig, new_encoder
from lcn_tf.embeddings.sequence_rows import (
    draw_items,
    drawn_names,
    item_ids,
    items_of,
    sequence_rows,
    short_histories,
)
from lcn_tf.ops.cloze_masking import cloze_positions
from lcn_tf.ops.pair_sampling import fold_seed
from lcn_tf.ops.sampled_softmax import accidental_hits, log_draw_rate, sampled_softmax_loss
from lcn_tf.schema import FeatureSchema

VERSION = 1


@dataclasses.dataclass(frozen=True)
class Config(SequenceConfig):
    """Options; the defaults are those of the authors' code for MovieLens where it has them."""

    weight: float = dataclasses.field(default=0.1, metadata={"help": "weight of the loss; 0 turns it off"})
    mask_share: float = dataclasses.field(default=0.2, metadata={"help": "share of the events that are hidden (rho)"})
    mask_last: float = dataclasses.field(
        default=1 / 11, metadata={"help": "share of the rows of which the most recent event alone is hidden"})
    num_negatives: int = dataclasses.field(
        default=4096, metadata={"help": "items of the batch's histories that every guess is among (M)"})
    temperature: float = dataclasses.field(default=1.0, metadata={"help": "temperature of the softmax"})
    log_q: bool = dataclasses.field(
        default=False, metadata={"help": "reading: correct the logits for the popularity that items are drawn by"})

    def __post_init__(self):
        if not 0 <= self.weight < math.inf:
            raise ValueError(f"bert4rec.weight must be a number that is not negative, got {self.weight}")
        if not 0 < self.mask_share <= 1:
            raise ValueError(f"bert4rec.mask_share must be above 0 and at most 1, got {self.mask_share}")
        if not 0 <= self.mask_last <= 1:
            raise ValueError(f"bert4rec.mask_last must be from 0 to 1, got {self.mask_last}")
        if self.num_negatives < 1:
            raise ValueError(f"bert4rec.num_negatives must be at least 1, got {self.num_negatives}")
        if not 0 < self.temperature < math.inf:
            raise ValueError(f"bert4rec.temperature must be positive, got {self.temperature}")


class BERT4RecObjective(tf.keras.layers.Layer):
    """Cross entropy of the hidden events' items; training only.

    Attributes:
      weight, terms, separate_tables, per_replica: see `lcn_tf.contracts.Objective`.
    """

    separate_tables = False
    per_replica = False

    def __init__(self, config: Config, **kwargs):
        super().__init__(**kwargs)
        self.config = config
        self.weight = config.weight
        self.terms = ("cloze",) if config.weight else ()

    def reads(self, schema: FeatureSchema) -> tuple[str, ...]:
        """Names of the batch tensors that items are drawn from.

        Raises:
          ValueError: the schema has no short history of the target or of the lifelong history's domain.
        """
        return drawn_names(schema, self._drawn_from(schema))

    def _drawn_from(self, schema: FeatureSchema) -> tuple[str, ...]:
        target, source = short_histories(schema)
        return {"target": (target,), "source": (source,)}.get(self.config.history, (target, source))

    def build_weights(self, embedder: FeatureEmbedder) -> None:
        """Creates the encoder and the head of the guesses."""
        self.encoder = new_encoder(self.config, embedder, causal=False)
        self.head = tf.keras.Sequential([tf.keras.layers.Dense(embedder.item_width, "gelu", name="hidden"),
                                         tf.keras.layers.LayerNormalization(epsilon=1e-6, name="norm")], name="head")
        self.head.build([None, self.config.width])

    def call(self, own: LookedUp, everyone: Everyone, seed: tf.Tensor) -> dict[str, tuple[tf.Tensor, tf.Tensor]]:
        """Sum of the cross entropies over the hidden events of the replica's rows, and their number.

        Args:
          own: the replica's batch.
          everyone: the tensors of `reads` of all replicas.
          seed: int64 `[2]`, of what is hidden, dropped and drawn.
        """
        config, rows = self.config, sequence_rows(own, self.config.history)
        drawn = draw_items(everyone.looked_up, self._drawn_from(own.reader.schema), config.num_negatives,
                           fold_seed(seed, 0))
        total, count = tf.constant(0.0), tf.constant(0.0)
        for number, sequence in enumerate(rows.sequences):
            row_ids = tf.pad(rows.row_ids, [[0, 0], [0, 1]], constant_values=number)  # sequences draw their own
            hidden = cloze_positions(sequence.mask, row_ids, fold_seed(seed, 1), config.mask_share, config.mask_last)
            items = items_of(own, sequence)  # [R, T, D]
            states = self.encoder(items, mask=sequence.mask, domain=sequence.domain, hidden=hidden,
                                  seed=fold_seed(seed, 2), row_ids=row_ids, training=True)
            positives = {name: tf.boolean_mask(ids, hidden) for name, ids in item_ids(own, sequence).items()}  # [Q]
            negatives = drawn.mask & ~accidental_hits(positives, drawn.ids)  # [Q, M]
            log_qs = [log_draw_rate(ids, drawn.ids, drawn.mask) for ids in (positives, drawn.ids)
                      ] if config.log_q else []
            losses = sampled_softmax_loss(self.head(tf.boolean_mask(states, hidden)), tf.boolean_mask(items, hidden),
                                          drawn.vectors, negatives, config.temperature, *log_qs)
            weights = tf.boolean_mask(tf.where(hidden, rows.weight[:, tf.newaxis], 0.0), hidden)
            total += tf.reduce_sum(weights * losses)
            count += tf.reduce_sum(weights)
        return {"cloze": (total, count)}


def build(config: Config) -> BERT4RecObjective:
    """The objective of a configuration."""
    return BERT4RecObjective(config, name="bert4rec")
