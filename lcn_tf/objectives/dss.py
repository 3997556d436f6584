"""DSS's disentangled self-supervision on a user's short histories (Ma et al., KDD 2020), as an auxiliary loss.

A sequence is cut at random. A causal encoder, which nothing else reads, and a few intents describe what comes before
the cut and, in reverse, what comes after; the intents of the past are to find the next item and those of the future
among other users' rows. Shapes: R rows, T events, D item width, W width of the encoder, I intents, A rows of all
replicas.
"""

from __future__ import annotations

import dataclasses
import math

import tensorflow as tf

from lcn_tf.contracts import Everyone
from lcn_tf.embeddings import FeatureEmbedder, LookedUp
from lcn_tf.embeddings.sequence_encoding import SequenceConfig, new_encoder
from lcn_tf.embeddings.sequence_rows import item_ids, items_of, sequence_rows
from lcn_tf.layers.intent_pooling import IntentPooling
from lcn_tf.ops.intent_contrast import confident, seq2item_loss, seq2seq_loss
from lcn_tf.ops.merged_history import EventSequence
from lcn_tf.ops.pair_sampling import fold_seed
from lcn_tf.ops.replica_exchange import everyones_rows, prefixed, unprefixed
from lcn_tf.ops.row_random import row_states, uniform
from lcn_tf.ops.sampled_softmax import accidental_hits
from lcn_tf.schema import FeatureSchema

VERSION = 1

_FEWEST = 3  # events: one before the cut, two after it
_CUT, _PAST, _FUTURE = 0, 1, 2  # what a seed is for
_ID = "id of "  # prefix of item features


@dataclasses.dataclass(frozen=True)
class Config(SequenceConfig):
    """Options; intents, share and factors are those of public code, by others than the authors."""

    weight: float = dataclasses.field(default=0.1, metadata={"help": "weight of the loss; 0 turns it off"})
    num_intents: int = dataclasses.field(default=4, metadata={"help": "intents of a sequence"})
    keep_ratio: float = dataclasses.field(
        default=0.5, metadata={"help": "share of the losses from sequence to sequence, the smallest, that count"})
    item_weight: float = dataclasses.field(default=1.0, metadata={"help": "factor of finding the next item"})
    sequence_weight: float = dataclasses.field(default=1.0, metadata={"help": "factor of finding the future"})

    def __post_init__(self):
        for name in ("weight", "item_weight", "sequence_weight"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"dss.{name} must be a number that is not negative, got {getattr(self, name)}")
        if self.num_intents < 1:
            raise ValueError(f"dss.num_intents must be at least 1, got {self.num_intents}")
        if not 0 < self.keep_ratio <= 1:
            raise ValueError(f"dss.keep_ratio must be above 0 and at most 1, got {self.keep_ratio}")


class DSSObjective(tf.keras.layers.Layer):
    """Cross entropies of the next item and of the future's intents; training only.

    Rows of fewer than three events are left out; rows of the same user, and next items that are the row's own, are not
    told from. The future is embedded with the same encoder and prototypes, and a bias of its own.

    Attributes:
      weight, terms, separate_tables, per_replica: see `lcn_tf.contracts.Objective`.
    """

    separate_tables = False
    per_replica = False

    def __init__(self, config: Config, **kwargs):
        super().__init__(**kwargs)
        self.config = config
        self.weight = config.weight
        factors = {"item": config.item_weight, "sequence": config.sequence_weight}
        self.terms = tuple(term for term, factor in factors.items() if factor) if config.weight else ()

    def reads(self, schema: FeatureSchema) -> tuple[str, ...]:
        """Nothing of everyone's batch: replicas exchange what they encoded."""
        return ()

    def build_weights(self, embedder: FeatureEmbedder) -> None:
        """Creates the encoder and the intents.

        Raises:
          ValueError: the schema has no short history of the target or of the lifelong history's domain.
        """
        self.encoder = new_encoder(self.config, embedder, causal=True)
        self.pooling = IntentPooling(self.config.num_intents, self.encoder.max_length, name="pooling")
        self.pooling.build([None, self.encoder.max_length, self.config.width])

    def own_rows(self, own: LookedUp, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """What rows are told from: next item and future intents of each; names begin with the sequence's number.

        Args:
          own: the replica's batch.
          seed: int64 `[2]`, of cuts and dropout.
        """
        rows, found = sequence_rows(own, self.config.history), {}
        for number, sequence in enumerate(rows.sequences):
            row_ids = tf.pad(rows.row_ids, [[0, 0], [0, 1]], constant_values=number)  # sequences draw their own
            size = tf.reduce_sum(tf.cast(sequence.mask, tf.int32), axis=1)
            items, after = items_of(own, sequence), _after_the_cut(size, row_ids, seed)
            place = tf.maximum(after - 1, 0)  # of the next item
            next_item = self.encoder.projected(tf.gather(items, place, batch_dims=1))
            ids = {name: tf.gather(values, place, batch_dims=1) for name, values in item_ids(own, sequence).items()}
            of_sequence = {"next": tf.cast(next_item, tf.float32), "user": rows.user,
                           "weight": tf.where(size >= _FEWEST, rows.weight, 0.0), **prefixed(_ID, ids)}
            if "sequence" in self.terms:
                places = place[:, tf.newaxis] - tf.range(tf.shape(sequence.mask)[1])
                of_sequence["future"] = self._intents(items, sequence, places, after, row_ids,
                                                      fold_seed(seed, _FUTURE), future=True)
            found.update(prefixed(f"{number} ", of_sequence))
        return found

    def call(self, own: LookedUp, everyone: Everyone, seed: tf.Tensor) -> dict[str, tuple[tf.Tensor, tf.Tensor]]:
        """Sums over the replica's rows, and over the rows' intents whose loss counts; factors applied; their numbers.

        Args:
          own: the replica's batch.
          everyone: with the rows of all replicas.
          seed: of `own_rows`.
        """
        rows = sequence_rows(own, self.config.history)
        found: dict[str, list[tuple[tf.Tensor, tf.Tensor]]] = {term: [] for term in self.terms}
        for number, sequence in enumerate(rows.sequences):
            row_ids = tf.pad(rows.row_ids, [[0, 0], [0, 1]], constant_values=number)
            size = tf.reduce_sum(tf.cast(sequence.mask, tf.int32), axis=1)
            after = _after_the_cut(size, row_ids, seed)
            places = tf.range(tf.shape(sequence.mask)[1]) + after[:, tf.newaxis]
            past = self._intents(items_of(own, sequence), sequence, places, size - after, row_ids,
                                 fold_seed(seed, _PAST), future=False)  # [R, I, W]
            one, every = (unprefixed(f"{number} ", of) for of in (everyone.own_rows, everyone.rows))
            for term, sums in self._terms(past, one, every).items():
                found[term].append(sums)
        return {term: tuple(tf.add_n(list(values)) for values in zip(*sums, strict=True))
                for term, sums in found.items()}

    def _terms(self, past: tf.Tensor, own: dict[str, tf.Tensor], rows: dict[str, tf.Tensor]
               ) -> dict[str, tuple[tf.Tensor, tf.Tensor]]:
        config, weight, found = self.config, own["weight"], {}
        others = tf.not_equal(own["user"][:, tf.newaxis], rows["user"]) & (rows["weight"] > 0)  # [R, A]
        log_weight = tf.math.log(tf.maximum(rows["weight"], 1.0))
        if "item" in self.terms:
            told = others & ~accidental_hits(unprefixed(_ID, own), unprefixed(_ID, rows))
            losses = seq2item_loss(past, own["next"], rows["next"], tf.where(told, log_weight, -math.inf))
            found["item"] = config.item_weight * tf.reduce_sum(weight * losses), tf.reduce_sum(weight)
        if "sequence" in self.terms:
            losses = seq2seq_loss(past, own["future"], rows["future"], tf.where(others, log_weight, -math.inf))
            every = everyones_rows({"losses": tf.stop_gradient(losses)})["losses"]
            kept = tf.where(confident(losses, every, rows["weight"], config.keep_ratio), weight[:, tf.newaxis], 0.0)
            found["sequence"] = config.sequence_weight * tf.reduce_sum(kept * losses), tf.reduce_sum(kept)
        return found

    def _intents(self, items: tf.Tensor, sequence: EventSequence, places: tf.Tensor, size: tf.Tensor,
                 row_ids: tf.Tensor, seed: tf.Tensor, future: bool) -> tf.Tensor:
        """Intents `[R, I, W]` float32 of a part of the sequences: the events at `places [R, T]`, `size [R]` of them."""
        mask = tf.range(tf.shape(places)[1]) < size[:, tf.newaxis]
        places = tf.where(mask, places, 0)
        states = self.encoder(tf.gather(items, places, batch_dims=1), mask=mask,
                              domain=tf.gather(sequence.domain, places, batch_dims=1), seed=seed, row_ids=row_ids,
                              training=True)
        return self.pooling(states, mask=mask, future=future)


def _after_the_cut(size: tf.Tensor, row_ids: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """How many events of each row come after the cut: uniform in 2 ... n - 1; int32 `[R]`, at most n."""
    choices = tf.maximum(size - 2, 1)
    draw = uniform(row_states(row_ids, fold_seed(seed, _CUT)))
    drawn = 2 + tf.minimum(tf.cast(draw * tf.cast(choices, tf.float32), tf.int32), choices - 1)
    return tf.minimum(drawn, size)


def build(config: Config) -> DSSObjective:
    """The objective of a configuration."""
    return DSSObjective(config, name="dss")
