"""CLRec's contrast with a queue of clicked items (Zhou et al., KDD 2021), as an auxiliary loss.

A user's state is to find the clicked item among the items that were clicked in earlier steps. An item stands in the
queue as often as it was clicked, which corrects for exposure: the logits are not corrected again. Nothing else reads
the networks. Shapes: B requests, C candidates, R rows, P clicked candidates, Q places of the queue, D item width.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Literal

import tensorflow as tf

from lcn_tf.contracts import Everyone
from lcn_tf.embeddings import FeatureEmbedder, LookedUp
from lcn_tf.embeddings.clicked_items import clicked_candidates, clicked_items
from lcn_tf.embeddings.row_reader import ROWS_OF
from lcn_tf.embeddings.sequence_encoding import SequenceConfig, new_encoder
from lcn_tf.embeddings.sequence_rows import items_of, sequence_rows, short_histories
from lcn_tf.embeddings.user_state import user_state, user_state_width
from lcn_tf.layers.item_queue import ItemQueue
from lcn_tf.ops.pair_sampling import fold_seed
from lcn_tf.ops.pairwise_products import distinct_items
from lcn_tf.ops.sampled_softmax import accidental_hits, sampled_softmax_loss
from lcn_tf.schema import FeatureSchema

VERSION = 1


@dataclasses.dataclass(frozen=True)
class Config(SequenceConfig):
    """Options; temperature and what the queue holds are those of the authors' code, its length is not."""

    weight: float = dataclasses.field(default=0.1, metadata={"help": "weight of the loss; 0 turns it off"})
    temperature: float = dataclasses.field(default=0.07, metadata={"help": "temperature of the softmax over cosines"})
    queue_size: int = dataclasses.field(default=4096, metadata={"help": "clicked items that users are held against"})
    units: tuple[int, ...] = dataclasses.field(
        default=(128, 64), metadata={"help": "layers of the network over items, the last is linear"})
    user: Literal["encoder", "profile"] = dataclasses.field(
        default="encoder", metadata={"help": "reading: a user is an encoder's newest state, or a network over profile "
                                             "and mean histories"})
    duplicates: Literal["keep", "unique"] = dataclasses.field(
        default="keep", metadata={"help": "reading: an item counts as often as it is in the queue, or once"})
    store: Literal["ids", "vectors"] = dataclasses.field(
        default="ids", metadata={"help": "reading: the queue's items are embedded anew, or stay as they were"})
    queue_domains: Literal["target", "both"] = dataclasses.field(
        default="target", metadata={"help": "reading: clicked items enter the queue, or also the other domain's "
                                            "newest event"})

    def __post_init__(self):
        if not 0 <= self.weight < math.inf:
            raise ValueError(f"clrec.weight must be a number that is not negative, got {self.weight}")
        if not 0 < self.temperature < math.inf:
            raise ValueError(f"clrec.temperature must be positive, got {self.temperature}")
        if self.queue_size < 1:
            raise ValueError(f"clrec.queue_size must be at least 1, got {self.queue_size}")
        if not self.units or min(self.units) < 1:
            raise ValueError(f"clrec.units must name positive widths, at least one, got {self.units}")


class CLRecObjective(tf.keras.layers.Layer):
    """Cross entropy of clicked items among those of a queue; training only.

    What a user clicked earlier and the clicked item itself are no negatives. `lcn_tf.layers.item_queue` has what the
    queue begins with.

    Attributes:
      weight, terms, separate_tables, per_replica: see `lcn_tf.contracts.Objective`.
    """

    separate_tables = False
    per_replica = False

    def __init__(self, config: Config, **kwargs):
        super().__init__(**kwargs)
        self.config = config
        self.weight = config.weight
        self.terms = ("queue",) if config.weight else ()

    def reads(self, schema: FeatureSchema) -> tuple[str, ...]:
        """Names of the batch tensors that tell who was clicked, and what else enters the queue.

        Raises:
          ValueError: the schema has no short history of the target or of the lifelong history's domain.
        """
        items = tuple(feature.name for feature in schema.item)
        _, source = short_histories(schema)
        events = tuple(f"{source}_{name}" for name in (*items, "mask", "offset"))
        return (schema.label_keys[0], "candidate_mask", "user_key", *items,
                *(events if self.config.queue_domains == "both" else ()))

    def build_weights(self, embedder: FeatureEmbedder) -> None:
        """Creates the networks and the queue.

        Raises:
          ValueError: see `reads`.
        """
        config, schema = self.config, embedder.schema
        *hidden, output = config.units
        self.item_net = tf.keras.Sequential([*(tf.keras.layers.Dense(units, "relu") for units in hidden),
                                             tf.keras.layers.Dense(output)], name="item_net")
        self.item_net.build([None, embedder.item_width])
        if config.user == "encoder":
            self.encoder = new_encoder(config, embedder, causal=True)
            width = config.width * (2 if config.history == "both_separately" else 1)
            self.user_net = tf.keras.layers.Dense(output, name="user_net")
        else:
            width = user_state_width(embedder, short_histories(schema))
            self.user_net = tf.keras.Sequential([*(tf.keras.layers.Dense(units, "relu") for units in hidden),
                                                 tf.keras.layers.Dense(output)], name="user_net")
        self.user_net.build([None, width])
        self.queue = ItemQueue({feature.name: schema.tables[feature.table] for feature in schema.item},
                               config.queue_size, output if config.store == "vectors" else 0, name="queue")

    def rows_read(self, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """Rows of the queue's items in their tables, int64 `[Q]` by item feature."""
        return self.queue.rows

    def call(self, own: LookedUp, everyone: Everyone, seed: tf.Tensor) -> dict[str, tuple[tf.Tensor, tf.Tensor]]:
        """Sum of the cross entropies over the replica's clicked candidates that have a user's state, and their number.

        Args:
          own: the replica's batch, with the rows of `rows_read`.
          everyone: not read.
          seed: int64 `[2]`, of dropout.
        """
        config, clicks = self.config, clicked_items(own)
        states, there = self._users(own, seed)  # [P, width], [P]
        users, items = (_unit(vectors) for vectors in (self.user_net(states),
                                                       self.item_net(own.reader.items(clicks.keys))))
        if config.store == "vectors":
            queued = self.queue.vectors
        else:
            queued = _unit(self.item_net(own.reader.items(own.reader.item_keys(f"{ROWS_OF}{self.name} "))))
        rows = self.queue.rows
        others = tf.not_equal(clicks.user[:, tf.newaxis], self.queue.users) & ~accidental_hits(clicks.rows, rows)
        log_qs = [tf.zeros(tf.shape(there)), _log_counts(rows)] if config.duplicates == "unique" else []
        losses = sampled_softmax_loss(users, items, queued, others, config.temperature, *log_qs)
        counted = tf.cast(there, tf.float32)
        return {"queue": (tf.reduce_sum(counted * losses), tf.reduce_sum(counted))}

    def _users(self, own: LookedUp, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """What `user_net` takes for each clicked candidate, and whether there is anything to tell of the user."""
        clicked = clicked_candidates(own)
        if self.config.user == "profile":
            state = tf.boolean_mask(user_state(own, short_histories(own.reader.schema)), clicked)
            return state, tf.ones(tf.shape(state)[:1], tf.bool)
        rows = sequence_rows(own, self.config.history)
        newest = []
        for number, sequence in enumerate(rows.sequences):
            row_ids = tf.pad(rows.row_ids, [[0, 0], [0, 1]], constant_values=number)
            newest.append(self.encoder(items_of(own, sequence), mask=sequence.mask, domain=sequence.domain,
                                       seed=fold_seed(seed, 0), row_ids=row_ids, training=True)[:, 0])
        there = tf.reduce_any(tf.stack([sequence.mask[:, 0] for sequence in rows.sequences]), 0)  # [R]
        row = tf.boolean_mask(rows.row_of, clicked)
        return tf.gather(tf.concat(newest, -1), row), tf.gather(there, row)

    def after_update(self, own: LookedUp, everyone: Everyone, seed: tf.Tensor) -> None:
        """Puts the clicked items of all replicas into the queue, the newest first."""
        clicks = clicked_items(everyone.looked_up, self.config.queue_domains == "both")
        vectors = None
        if self.config.store == "vectors":
            vectors = _unit(self.item_net(everyone.looked_up.reader.items(clicks.keys)))
        self.queue.push(clicks.rows, clicks.user, vectors)


def _unit(vectors: tf.Tensor) -> tf.Tensor:
    return tf.math.l2_normalize(tf.cast(vectors, tf.float32), -1)


def _log_counts(items: dict[str, tf.Tensor]) -> tf.Tensor:
    """Logarithm of how often each item is among the items, float32 of their shape."""
    different, numbers = distinct_items(items)
    counts = tf.math.bincount(tf.cast(numbers, tf.int32), minlength=tf.size(next(iter(different.values()))))
    return tf.math.log(tf.cast(tf.gather(counts, numbers), tf.float32))


def build(config: Config) -> CLRecObjective:
    """The objective of a configuration."""
    return CLRecObjective(config, name="clrec")
