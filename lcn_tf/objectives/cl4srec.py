"""CL4SRec's contrast of two altered views of a user's short histories (Xie et al., ICDE 2022), as an auxiliary loss.

Each sequence is cropped, masked or reordered, twice; a causal encoder, which nothing else reads, is to tell the two
views of a row from the views of other users' rows. Shapes: R rows, T events, D item width, W width of the encoder,
A rows of all replicas.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Literal

import tensorflow as tf

from lcn_tf.contracts import Everyone, LookedUp
from lcn_tf.embeddings import FeatureEmbedder
from lcn_tf.embeddings.sequence_encoding import SequenceConfig, new_encoder
from lcn_tf.embeddings.sequence_rows import items_of, sequence_rows
from lcn_tf.ops.merged_history import EventSequence
from lcn_tf.ops.pair_sampling import fold_seed
from lcn_tf.ops.replica_exchange import prefixed, unprefixed
from lcn_tf.ops.sampled_softmax import sampled_softmax_loss
from lcn_tf.ops.sequence_views import draw_operators, draw_view
from lcn_tf.schema import FeatureSchema

VERSION = 1

_FEWEST = 2  # events: of a single one there is but one view
_OPERATORS, _DROPOUT = 0, 3  # what a seed is for; 1 and 2 are the views


@dataclasses.dataclass(frozen=True)
class Config(SequenceConfig):
    """Options; the defaults are those of public code by DuoRec's and CoSeRec's authors."""

    weight: float = dataclasses.field(default=0.1, metadata={"help": "weight of the loss; 0 turns it off"})
    crop: float = dataclasses.field(default=0.6, metadata={"help": "share of the events that cropping keeps (eta)"})
    mask: float = dataclasses.field(default=0.3, metadata={"help": "share of the events that masking hides (gamma)"})
    reorder: float = dataclasses.field(default=0.6, metadata={"help": "share that reordering shuffles (beta)"})
    operators: Literal["distinct", "independent"] = dataclasses.field(
        default="distinct", metadata={"help": "reading: the two views of a row are of different operators, or of any"})
    similarity: Literal["dot", "cosine"] = dataclasses.field(
        default="dot", metadata={"help": "reading: of two views: their inner product, or its cosine"})
    temperature: float = dataclasses.field(default=1.0, metadata={"help": "temperature of the softmax"})

    def __post_init__(self):
        if not 0 <= self.weight < math.inf:
            raise ValueError(f"cl4srec.weight must be a number that is not negative, got {self.weight}")
        for name in ("crop", "mask", "reorder"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"cl4srec.{name} must be above 0 and at most 1, got {getattr(self, name)}")
        if not 0 < self.temperature < math.inf:
            raise ValueError(f"cl4srec.temperature must be positive, got {self.temperature}")


class CL4SRecObjective(tf.keras.layers.Layer):
    """Cross entropy of each view's partner among the views of other users' rows; training only.

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
        """Nothing of everyone's batch: replicas exchange what they encoded."""
        return ()

    def build_weights(self, embedder: FeatureEmbedder) -> None:
        """Creates the encoder.

        Raises:
          ValueError: the schema has no short history of the target or of the lifelong history's domain.
        """
        self.encoder = new_encoder(self.config, embedder, causal=True)

    def own_rows(self, own: LookedUp, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """Both views of each row, its user, and how many candidates it stands for, by number of the sequence and name.

        Args:
          own: the replica's batch.
          seed: int64 `[2]`, of the views and of dropout.
        """
        rows, found = sequence_rows(own, self.config.history), {}
        for number, sequence in enumerate(rows.sequences):
            row_ids = tf.pad(rows.row_ids, [[0, 0], [0, 1]], constant_values=number)  # sequences draw their own
            long_enough = tf.reduce_sum(tf.cast(sequence.mask, tf.int32), axis=1) >= _FEWEST
            first, second = self._views(own, sequence, row_ids, seed)
            weight = tf.where(long_enough, rows.weight, 0.0)
            found.update(prefixed(f"{number} ", {"first": first, "second": second, "user": rows.user,
                                                 "weight": weight}))
        return found

    def call(self, own: LookedUp, everyone: Everyone, seed: tf.Tensor) -> dict[str, tuple[tf.Tensor, tf.Tensor]]:
        """Sum over the replica's rows of the mean of both views' cross entropies, and how many rows count.

        Args:
          own: not read beside what `own_rows` made of it.
          everyone: with the rows of all replicas.
          seed: of `own_rows`.
        """
        total, count = tf.constant(0.0), tf.constant(0.0)
        for number in range(2 if self.config.history == "both_separately" else 1):
            one, every = (unprefixed(f"{number} ", rows) for rows in (everyone.own_rows, everyone.rows))
            total += tf.reduce_sum(one["weight"] * self._contrast(one, every))
            count += tf.reduce_sum(one["weight"])
        return {"views": (total, count)}

    def _views(self, own: LookedUp, sequence: EventSequence, row_ids: tf.Tensor, seed: tf.Tensor) -> list[tf.Tensor]:
        """Both views of each row, `[R, W]` float32: the state of the most recent event."""
        config, items = self.config, items_of(own, sequence)  # [R, T, D]
        views = []
        for number, operator in enumerate(draw_operators(row_ids, fold_seed(seed, _OPERATORS),
                                                         config.operators == "distinct"), start=1):
            view = draw_view(sequence.mask, operator, row_ids, fold_seed(seed, number), config.crop, config.mask,
                             config.reorder)
            states = self.encoder(
                tf.gather(items, view.places, batch_dims=1), mask=view.mask, hidden=view.hidden,
                domain=tf.gather(sequence.domain, view.places, batch_dims=1),
                seed=fold_seed(fold_seed(seed, _DROPOUT), number), row_ids=row_ids, training=True)
            newest = tf.cast(states[:, 0], tf.float32)
            views.append(tf.math.l2_normalize(newest, -1) if config.similarity == "cosine" else newest)
        return views

    def _contrast(self, own: dict[str, tf.Tensor], rows: dict[str, tf.Tensor]) -> tf.Tensor:
        """Of each row, `[R]`; a row that stands for several candidates is as many negatives."""
        negatives = tf.concat([rows["first"], rows["second"]], 0)  # [2 A, W]
        others = tf.not_equal(own["user"][:, tf.newaxis], rows["user"]) & (rows["weight"] > 0)  # [R, A]
        log_weight = tf.math.log(tf.maximum(rows["weight"], 1.0))
        both = [sampled_softmax_loss(
            own[query], own[partner], negatives, tf.tile(others, [1, 2]), self.config.temperature,
            tf.zeros_like(own["weight"]), -tf.tile(log_weight, [2]))
            for query, partner in (("first", "second"), ("second", "first"))]
        return tf.add_n(both) / 2.0


def build(config: Config) -> CL4SRecObjective:
    """The objective of a configuration."""
    return CL4SRecObjective(config, name="cl4srec")
