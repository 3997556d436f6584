"""SSL's contrast of two views of an item (Yao et al., CIKM 2021), as an auxiliary loss.

Items are drawn evenly from all that there are, not as often as they are seen. Each view hides the features that the
other shows; one network, which nothing else reads, makes a vector of either, and an item's two are to find each other
among those of all drawn items. Shapes: N drawn items, n of a replica, F item features, D item width.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Literal

import numpy as np
import tensorflow as tf

from lcn_tf.contracts import Catalogue, Everyone
from lcn_tf.embeddings import FeatureEmbedder, LookedUp
from lcn_tf.embeddings.row_reader import ROWS_OF
from lcn_tf.ops.feature_masks import correlated_masks, mutual_information, random_mask
from lcn_tf.ops.pair_sampling import fold_seed
from lcn_tf.ops.row_random import check_rate, drop_out, row_states
from lcn_tf.ops.sampled_softmax import sampled_softmax_loss
from lcn_tf.schema import FeatureSchema

VERSION = 1

_ITEMS, _MASK, _DROPOUT = 0, 1, 2  # what a seed is for


@dataclasses.dataclass(frozen=True)
class Config:
    """Options; masks are the paper's, network, temperature and the number of items are not."""

    weight: float = dataclasses.field(default=0.1, metadata={"help": "weight of the loss; 0 turns it off"})
    temperature: float = dataclasses.field(default=0.1, metadata={"help": "temperature of the softmax over cosines"})
    num_items: int = dataclasses.field(default=2048, metadata={"help": "items that are drawn in each step"})
    units: tuple[int, ...] = dataclasses.field(
        default=(128, 64), metadata={"help": "layers of the network over a view, the last is linear"})
    mask: Literal["correlated", "random"] = dataclasses.field(
        default="correlated", metadata={"help": "reading: a view hides a feature and those it says most of, or a "
                                                "random half"})
    domains: Literal["mixed", "apart"] = dataclasses.field(
        default="mixed", metadata={"help": "reading: items of all domains find each other, or num_items of each "
                                           "domain by themselves"})
    dropout: float = dataclasses.field(
        default=0.5, metadata={"help": "share of numbers that a view of an item of a single feature hides"})

    def __post_init__(self):
        if not 0 <= self.weight < math.inf:
            raise ValueError(f"ssl.weight must be a number that is not negative, got {self.weight}")
        if not 0 < self.temperature < math.inf:
            raise ValueError(f"ssl.temperature must be positive, got {self.temperature}")
        if self.num_items < 2:
            raise ValueError(f"ssl.num_items must be at least 2, got {self.num_items}")
        if not self.units or min(self.units) < 1:
            raise ValueError(f"ssl.units must name positive widths, at least one, got {self.units}")
        check_rate("ssl.dropout", self.dropout)


class SSLObjective(tf.keras.layers.Layer):
    """Cross entropy of an item's second view among those of all drawn items, by its first; training only.

    An item that is drawn twice is no negative of itself. What a step hides is the same of all items.

    Attributes:
      weight, terms, separate_tables, per_replica: see `lcn_tf.contracts.Objective`.
    """

    separate_tables = False
    per_replica = False

    def __init__(self, config: Config, **kwargs):
        super().__init__(**kwargs)
        self.config = config
        self.weight = config.weight
        self.terms = ("views",) if config.weight else ()

    def reads(self, schema: FeatureSchema) -> tuple[str, ...]:
        """Nothing of everyone's batch."""
        return ()

    def use_catalogue(self, catalogue: Catalogue) -> None:
        """Is called before `build_weights`, with the items to draw from."""
        self._catalogue = catalogue

    def build_weights(self, embedder: FeatureEmbedder) -> None:
        """Creates the network, and finds out which features say something of each other.

        Raises:
          ValueError: there is no item to draw.
        """
        schema, catalogue = embedder.schema, self._catalogue
        if not len(catalogue.domain):
            raise ValueError("ssl needs items to draw, and the catalogue has none")
        found = [embedder.rows_in(feature.table, catalogue.ids[feature.name], catalogue.domain)
                 for feature in schema.item]
        lots = catalogue.domain if self.config.domains == "apart" else np.zeros_like(catalogue.domain)
        lots, *rows = np.unique(np.stack([lots, *found]), axis=1)  # an item of two domains may be one
        begins = np.unique(lots, return_index=True)[1].tolist()
        self._ranges = list(zip(begins, [*begins[1:], len(lots)], strict=True))
        with tf.init_scope(), tf.device("CPU:0"):
            self._rows = {feature.name: tf.constant(values) for feature, values in zip(schema.item, rows, strict=True)}
        if len(rows) > 1 and self.config.mask == "correlated":
            self._masks = tf.constant(correlated_masks(mutual_information(np.stack(rows))))
        self._widths = [embedder.tables.config.width(feature.table) for feature in schema.item]
        *hidden, output = self.config.units
        self.item_net = tf.keras.Sequential([*(tf.keras.layers.Dense(units, "relu") for units in hidden),
                                             tf.keras.layers.Dense(output)], name="item_net")
        self.item_net.build([None, embedder.item_width])

    def rows_read(self, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """Rows of the replica's drawn items in their tables, int64 `[n]` by item feature."""
        own = self._own_part(self._drawn(seed))
        with tf.device("CPU:0"):
            return {name: tf.gather(rows, own) for name, rows in self._rows.items()}

    def own_rows(self, own: LookedUp, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """Second views of the replica's drawn items, `[n, width]` of length 1.

        Args:
          own: the replica's batch, with the rows of `rows_read`.
          seed: int64 `[2]`, of items, masks and dropout.
        """
        return {"second": self._view(own, 1, seed)}

    def call(self, own: LookedUp, everyone: Everyone, seed: tf.Tensor) -> dict[str, tuple[tf.Tensor, tf.Tensor]]:
        """Sum of the cross entropies over the replica's drawn items, and their number.

        Args:
          own: the replica's batch, with the rows of `rows_read`.
          everyone: with the second views of all replicas.
          seed: int64 `[2]`, of items, masks and dropout.
        """
        drawn, ranges = self._drawn(seed), tf.repeat(tf.range(len(self._ranges)), self.config.num_items)
        others = (tf.not_equal(self._own_part(drawn)[:, tf.newaxis], drawn)
                  & tf.equal(self._own_part(ranges)[:, tf.newaxis], ranges))
        losses = sampled_softmax_loss(self._view(own, 0, seed), everyone.own_rows["second"], everyone.rows["second"],
                                      others, self.config.temperature)
        return {"views": (tf.reduce_sum(losses), tf.cast(tf.size(losses), tf.float32))}

    def _drawn(self, seed: tf.Tensor) -> tf.Tensor:
        """Places of all replicas' items in the catalogue, int64 `[N]`; the same on every replica."""
        of_items = fold_seed(seed, _ITEMS)
        return tf.concat([tf.random.stateless_uniform([self.config.num_items], fold_seed(of_items, place), begin, end,
                                                      tf.int64)
                          for place, (begin, end) in enumerate(self._ranges)], 0)

    def _own_part(self, drawn: tf.Tensor) -> tf.Tensor:
        """What the replica computes of what is drawn: as much as each other one, up to one."""
        context = tf.distribute.get_replica_context()
        place, size = tf.convert_to_tensor(context.replica_id_in_sync_group), tf.size(drawn)
        begin, end = (size * number // context.num_replicas_in_sync for number in (place, place + 1))
        return drawn[begin:end]

    def _view(self, own: LookedUp, number: int, seed: tf.Tensor) -> tf.Tensor:
        """The first (0) or second (1) view of the replica's drawn items, float32 `[n, width]` of length 1."""
        items = tf.cast(own.reader.items(own.reader.item_keys(f"{ROWS_OF}{self.name} ")), tf.float32)  # [n, D]
        if len(self._widths) == 1:
            states = row_states(self._own_part(self._drawn(seed))[:, tf.newaxis],
                                fold_seed(fold_seed(seed, _DROPOUT), number))
            shown = drop_out(items, states, self.config.dropout)
        else:
            hidden = self._hidden(fold_seed(seed, _MASK))
            shown = tf.where(tf.repeat(tf.not_equal(hidden, number == 1), self._widths), 0.0, items)
        return tf.math.l2_normalize(tf.cast(self.item_net(shown), tf.float32), -1)

    def _hidden(self, seed: tf.Tensor) -> tf.Tensor:
        """Which features the first view hides, bool `[F]`."""
        count = len(self._widths)
        if self.config.mask == "random":
            return random_mask(count, seed)
        return self._masks[tf.random.stateless_uniform([], seed, 0, count, tf.int32)]


def build(config: Config) -> SSLObjective:
    """The objective of a configuration."""
    return SSLObjective(config, name="ssl")
