"""AT4CTR's two matching tasks (Liu et al., AAAI 2024) as an auxiliary loss; no code of the authors is public.

*User and item matching*: a clicked candidate and its user are to find each other among the clicked candidates of the
batch. *Next item prediction*: the state of a causal encoder after an event is to find the next event's item among
those of other rows at the same place, counted from the most recent event. Nothing else reads the networks. Shapes:
B requests, C candidates, R rows, T events, D item width, P clicked candidates, A rows or clicked candidates of all
replicas.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Literal, TypeAlias

import tensorflow as tf

from lcn_tf.contracts import Everyone
from lcn_tf.embeddings import FeatureEmbedder, LookedUp
from lcn_tf.embeddings.clicked_items import clicked_candidates, clicked_items
from lcn_tf.embeddings.sequence_encoding import SequenceConfig, new_encoder
from lcn_tf.embeddings.sequence_rows import item_ids, items_of, sequence_rows, short_histories
from lcn_tf.embeddings.user_state import user_state, user_state_width
from lcn_tf.ops.pair_sampling import fold_seed
from lcn_tf.ops.replica_exchange import prefixed, unprefixed
from lcn_tf.ops.sampled_softmax import accidental_hits, sampled_softmax_loss
from lcn_tf.schema import FeatureSchema

VERSION = 1

Rows: TypeAlias = Mapping[str, tf.Tensor]

_ID = "id of "  # prefix of item features


@dataclasses.dataclass(frozen=True)
class Config(SequenceConfig):
    """Options; the paper's widths, temperature and weights are not known, these are the package's."""

    weight: float = dataclasses.field(default=0.1, metadata={"help": "weight of the loss; 0 turns it off"})
    matching_weight: float = dataclasses.field(default=1.0, metadata={"help": "factor of matching users and items"})
    next_item_weight: float = dataclasses.field(default=1.0, metadata={"help": "factor of predicting the next item"})
    units: tuple[int, ...] = dataclasses.field(
        default=(128, 64), metadata={"help": "layers of the networks over user and item, the last is linear"})
    pooled: Literal["both", "target"] = dataclasses.field(
        default="both", metadata={"help": "reading: short histories whose mean is part of the user"})
    temperature: float = dataclasses.field(default=0.1, metadata={"help": "temperature of the softmax over cosines"})

    def __post_init__(self):
        for name in ("weight", "matching_weight", "next_item_weight"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"at4ctr.{name} must be a number that is not negative, got {getattr(self, name)}")
        if not self.units or min(self.units) < 1:
            raise ValueError(f"at4ctr.units must name positive widths, at least one, got {self.units}")
        if not 0 < self.temperature < math.inf:
            raise ValueError(f"at4ctr.temperature must be positive, got {self.temperature}")


class AT4CTRObjective(tf.keras.layers.Layer):
    """Cross entropies of users and clicked items, and of events and the next; training only.

    Attributes:
      weight, terms, separate_tables, per_replica: see `lcn_tf.contracts.Objective`.
    """

    separate_tables = False
    per_replica = False

    def __init__(self, config: Config, **kwargs):
        super().__init__(**kwargs)
        self.config = config
        self.weight = config.weight
        factors = {"matching": config.matching_weight, "next_item": config.next_item_weight}
        self.terms = tuple(term for term, factor in factors.items() if factor) if config.weight else ()

    def reads(self, schema: FeatureSchema) -> tuple[str, ...]:
        """Nothing of everyone's batch: replicas exchange what they computed."""
        return ()

    def build_weights(self, embedder: FeatureEmbedder) -> None:
        """Creates the networks and the encoder.

        Raises:
          ValueError: the schema has no short history of the target or of the lifelong history's domain.
        """
        target, source = short_histories(embedder.schema)
        width = embedder.item_width
        self.pooled = (target,) if self.config.pooled == "target" else (target, source)
        if "matching" in self.terms:
            self.user_net = self._network("user_net", user_state_width(embedder, self.pooled))
            self.item_net = self._network("item_net", width)
        if "next_item" in self.terms:
            self.encoder = new_encoder(self.config, embedder, causal=True)
            self.guess = tf.keras.layers.Dense(width, name="guess")
            self.guess.build([None, self.config.width])

    def _network(self, name: str, width: int) -> tf.keras.Model:
        *hidden, output = self.config.units
        network = tf.keras.Sequential([*(tf.keras.layers.Dense(units, "relu") for units in hidden),
                                       tf.keras.layers.Dense(output)], name=name)
        network.build([None, width])
        return network

    def own_rows(self, own: LookedUp, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """Clicked candidates with their users, and the sequences' items; names begin with what they are of."""
        found = {}
        if "matching" in self.terms:
            clicks = clicked_items(own)
            states = tf.boolean_mask(user_state(own, self.pooled), clicked_candidates(own))  # [P, ...]
            found.update(prefixed("click ", {
                "users": _unit(self.user_net(states)), "items": _unit(self.item_net(own.reader.items(clicks.keys))),
                "user": clicks.user, **prefixed(_ID, clicks.rows)}))
        if "next_item" in self.terms:
            rows = sequence_rows(own, self.config.history)
            for number, sequence in enumerate(rows.sequences):
                found.update(prefixed(f"sequence {number} ", {
                    "items": _unit(items_of(own, sequence)), "mask": tf.cast(sequence.mask, tf.int32),
                    "user": rows.user, "weight": rows.weight, **prefixed(_ID, item_ids(own, sequence))}))
        return found

    def call(self, own: LookedUp, everyone: Everyone, seed: tf.Tensor) -> dict[str, tuple[tf.Tensor, tf.Tensor]]:
        """Sums of both tasks over the replica's clicked candidates and events, factors applied, and their numbers.

        Args:
          own: the replica's batch.
          everyone: with the rows of all replicas.
          seed: int64 `[2]`, of dropout.
        """
        found = {}
        if "matching" in self.terms:
            total, count = self._matching(*_of(everyone, "click "))
            found["matching"] = self.config.matching_weight * total, count
        if "next_item" in self.terms:
            rows, sums = sequence_rows(own, self.config.history), []
            for number, sequence in enumerate(rows.sequences):
                row_ids = tf.pad(rows.row_ids, [[0, 0], [0, 1]], constant_values=number)  # sequences draw their own
                states = self.encoder(items_of(own, sequence), mask=sequence.mask, domain=sequence.domain,
                                      seed=fold_seed(seed, 0), row_ids=row_ids, training=True)
                sums.append(self._next_item(_unit(self.guess(states)), *_of(everyone, f"sequence {number} ")))
            total, count = (tf.add_n(list(values)) for values in zip(*sums, strict=True))
            found["next_item"] = self.config.next_item_weight * total, count
        return found

    def _matching(self, own: Rows, rows: Rows) -> tuple[tf.Tensor, tf.Tensor]:
        """Both directions' mean; neither items of the same user nor users of the same item are negatives."""
        others = tf.not_equal(own["user"][:, tf.newaxis], rows["user"]) & ~accidental_hits(_ids(own), _ids(rows))
        both = [sampled_softmax_loss(own[query], own[key], rows[key], others, self.config.temperature)  # [P]
                for query, key in (("users", "items"), ("items", "users"))]
        return tf.reduce_sum(tf.add_n(both)) / 2.0, tf.cast(tf.size(own["user"]), tf.float32)

    def _next_item(self, guesses: tf.Tensor, own: Rows, rows: Rows) -> tuple[tf.Tensor, tf.Tensor]:
        """Over all events but the oldest of each row; the logits are `[T - 1, R, A]`."""
        others = tf.not_equal(own["user"][:, tf.newaxis], rows["user"]) & (rows["weight"] > 0)  # [R, A]
        there = tf.transpose(rows["mask"] > 0)[:, tf.newaxis]  # [T, 1, A]
        ids = _ids(own)
        same = tf.reduce_all(tf.stack([  # [T, R, A]
            tf.equal(tf.transpose(ids[name])[:, :, tf.newaxis], tf.transpose(values)[:, tf.newaxis])
            for name, values in _ids(rows).items()]), 0)
        older, items, negatives = (tf.transpose(vectors, [1, 0, 2])  # [T, R or A, D]
                                   for vectors in (guesses, own["items"], rows["items"]))
        log_qs = tf.zeros(tf.shape(older)[:2])[1:], -tf.math.log(tf.maximum(rows["weight"], 1.0))
        losses = sampled_softmax_loss(older[1:], items[:-1], negatives[:-1], (others & there & ~same)[:-1],
                                      self.config.temperature, *log_qs)
        counted = tf.where(tf.transpose(own["mask"])[1:] > 0, own["weight"], 0.0)  # [T - 1, R]
        return tf.reduce_sum(counted * losses), tf.reduce_sum(counted)


def _unit(vectors: tf.Tensor) -> tf.Tensor:
    return tf.math.l2_normalize(tf.cast(vectors, tf.float32), -1)


def _of(everyone: Everyone, prefix: str) -> tuple[Rows, Rows]:
    """The replica's rows with a prefix, and everyone's."""
    return unprefixed(prefix, everyone.own_rows), unprefixed(prefix, everyone.rows)


def _ids(rows: Rows) -> dict[str, tf.Tensor]:
    return unprefixed(_ID, rows)


def build(config: Config) -> AT4CTRObjective:
    """The objective of a configuration."""
    return AT4CTRObjective(config, name="at4ctr")
