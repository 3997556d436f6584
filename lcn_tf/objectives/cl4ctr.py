"""CL4CTR's losses on the feature embeddings of a candidate row (Wang et al., WSDM 2023), as an auxiliary loss.

Two randomly masked copies of a row's embeddings go through one Transformer over fields and two projectors, and are to
come out alike; vectors of one field are to be close over rows, those of a row apart over fields. Fields are those of
user, item and candidate; histories are left out. Shapes: B requests, C candidates, N real candidates, F fields,
d width of a field.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Literal

import tensorflow as tf

from lcn_tf.contracts import Everyone
from lcn_tf.embeddings import FeatureEmbedder, LookedUp
from lcn_tf.layers.transformer_block import TransformerBlock, dropout_by_rows, nothing_dropped, of_block
from lcn_tf.ops.field_regularity import alignment_of_rows, uniformity_of_rows
from lcn_tf.ops.pair_sampling import fold_seed
from lcn_tf.ops.row_random import check_rate, child_states, drop_out, row_states
from lcn_tf.schema import FeatureSchema

VERSION = 1

_HEADS, _LAYERS, _FFN = 1, 3, 128  # of the authors' code
_MASK, _ENCODER = 0, 1  # what a seed is for


@dataclasses.dataclass(frozen=True)
class Config:
    """Options; the defaults are those of the authors' code."""

    weight: float = dataclasses.field(default=0.1, metadata={"help": "weight of the loss; 0 turns it off"})
    contrast_weight: float = dataclasses.field(default=1.0, metadata={"help": "factor of the masked copies' distance"})
    field_weight: float = dataclasses.field(default=0.01, metadata={"help": "factor of alignment and uniformity"})
    mask: Literal["element", "feature", "dimension"] = dataclasses.field(
        default="element", metadata={"help": "reading: what is masked by lot: numbers, whole fields, or dimensions of "
                                             "all fields"})
    mask_rate: float = dataclasses.field(default=0.5, metadata={"help": "share of what is masked"})
    dropout: float = dataclasses.field(default=0.2, metadata={"help": "rate of dropout in the Transformer"})

    def __post_init__(self):
        for name in ("weight", "contrast_weight", "field_weight"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"cl4ctr.{name} must be a number that is not negative, got {getattr(self, name)}")
        check_rate("cl4ctr.mask_rate", self.mask_rate)
        check_rate("cl4ctr.dropout", self.dropout)


class CL4CTRObjective(tf.keras.layers.Layer):
    """Distance of two masked copies, alignment and uniformity; training only.

    Fields whose width is not the first one's are projected to it, linearly.

    Attributes:
      weight, terms, separate_tables, per_replica: see `lcn_tf.contracts.Objective`.
    """

    separate_tables = False
    per_replica = False

    def __init__(self, config: Config, **kwargs):
        super().__init__(**kwargs)
        self.config = config
        self.weight = config.weight
        contrast = ("contrast",) if config.contrast_weight else ()
        fields = ("alignment", "uniformity") if config.field_weight else ()
        self.terms = (*contrast, *fields) if config.weight else ()

    def reads(self, schema: FeatureSchema) -> tuple[str, ...]:
        """Nothing of everyone's batch: replicas exchange sums."""
        return ()

    def build_weights(self, embedder: FeatureEmbedder) -> None:
        """Creates projections, Transformer and projectors.

        Raises:
          ValueError: fewer than two fields are read.
        """
        tables, schema = embedder.tables.config, embedder.schema
        read = [one for one in (*schema.user, *schema.item, *schema.candidate) if one.name not in embedder.exclude]
        self.fields = schema.read_as_one(read)
        if len(self.fields) < 2:
            raise ValueError(f"cl4ctr needs two fields of user, item and candidate, got {len(self.fields)}")
        widths = [tables.width(members[0].table) for members in self.fields.values()]
        self.width = widths[0]
        self.projections = {}
        for name, width in zip(self.fields, widths, strict=True):
            if width != self.width:
                self.projections[name] = _dense(self.width, width, f"projection_{name}")
        if "contrast" in self.terms:
            self.blocks = [TransformerBlock(self.width, _HEADS, _FFN, pre_norm=False, name=f"block_{number}")
                           for number in range(_LAYERS)]
            inputs = tf.zeros([1, len(self.fields), self.width])
            for block in self.blocks:
                block(inputs, visible=tf.ones([1, 1, 1, 1], tf.bool), drop=nothing_dropped)
            self.projectors = [_dense(self.width, len(self.fields) * self.width, f"projector_{number}")
                               for number in (1, 2)]

    def own_rows(self, own: LookedUp, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """Sum of the fields' vectors over the replica's candidates, `[1, F, d]`, and their number, `[1]`."""
        fields = self._rows(own)
        return {"total": tf.reduce_sum(fields, 0, keepdims=True), "count": tf.cast(tf.shape(fields)[:1], tf.float32)}

    def call(self, own: LookedUp, everyone: Everyone, seed: tf.Tensor) -> dict[str, tuple[tf.Tensor, tf.Tensor]]:
        """Sums of the terms over the replica's real candidates, factors applied, and their number.

        Args:
          own: the replica's batch.
          everyone: with the sums of all replicas.
          seed: int64 `[2]`, of masks and dropout.
        """
        fields, config = self._rows(own), self.config  # [N, F, d]
        count = tf.cast(tf.shape(fields)[0], tf.float32)
        found = {}
        if "contrast" in self.terms:
            distance = tf.square(tf.subtract(*self._copies(fields, _row_ids(own), seed)))
            found["contrast"] = config.contrast_weight * tf.reduce_sum(distance), count
        if "alignment" in self.terms:
            total, rows = (tf.reduce_sum(everyone.rows[name], 0) for name in ("total", "count"))
            alignment = alignment_of_rows(fields, tf.math.divide_no_nan(total, rows), rows)
            found["alignment"] = config.field_weight * tf.reduce_sum(alignment), count
            found["uniformity"] = config.field_weight * tf.reduce_sum(uniformity_of_rows(fields)), count
        return found

    def _rows(self, own: LookedUp) -> tf.Tensor:
        """Embeddings of the real candidates' fields, float32 `[N, F, d]`."""
        users = {feature.name for feature in own.reader.schema.user}
        vectors = []
        for name, members in self.fields.items():
            values = tf.cast(own.reader.mean_vectors(members), tf.float32)
            if name in self.projections:
                values = self.projections[name](values)
            if members[0].name in users:
                values = tf.repeat(values[:, tf.newaxis], tf.shape(own.mask)[1], axis=1)
            vectors.append(tf.boolean_mask(values, own.mask))
        return tf.stack(vectors, axis=1)

    def _copies(self, fields: tf.Tensor, row_ids: tf.Tensor, seed: tf.Tensor) -> list[tf.Tensor]:
        """Both masked copies behind Transformer and projector, float32 `[N, d]`."""
        copies = []
        for number, projector in enumerate(self.projectors):
            of_copy = fold_seed(seed, number)
            vectors = self._masked(fields, row_states(row_ids, fold_seed(of_copy, _MASK)))
            rate = self.config.dropout
            drop = dropout_by_rows(row_ids, fold_seed(of_copy, _ENCODER), len(self.blocks), rate, rate)
            for place, block in enumerate(self.blocks):
                vectors = block(vectors, visible=tf.ones([1, 1, 1, 1], tf.bool), drop=of_block(drop, place))
            flat = tf.reshape(vectors, [-1, len(self.fields) * self.width])
            copies.append(tf.cast(projector(flat), tf.float32))
        return copies

    def _masked(self, fields: tf.Tensor, states: tf.Tensor) -> tf.Tensor:
        """Inverted dropout by the states `[N]` of the rows."""
        number, rate = len(self.fields), self.config.mask_rate
        if self.config.mask == "element":
            return drop_out(fields, child_states(states, number), rate)
        size = number if self.config.mask == "feature" else self.width
        kept = drop_out(tf.ones([tf.shape(fields)[0], size]), states, rate)
        return fields * (kept[:, :, tf.newaxis] if self.config.mask == "feature" else kept[:, tf.newaxis])


def _row_ids(own: LookedUp) -> tf.Tensor:
    """User, moment and item of each real candidate, int64 `[N, ...]`."""
    batch, shape = own.batch, tf.shape(own.mask)
    columns = [tf.broadcast_to(batch["user_key"][:, tf.newaxis], shape), batch["timestamp"],
               *(batch[feature.name] for feature in own.reader.schema.item)]
    return tf.boolean_mask(tf.stack([tf.cast(column, tf.int64) for column in columns], -1), own.mask)


def _dense(units: int, width: int, name: str) -> tf.keras.layers.Dense:
    layer = tf.keras.layers.Dense(units, use_bias=False, name=name)
    layer.build([None, width])
    return layer


def build(config: Config) -> CL4CTRObjective:
    """The objective of a configuration."""
    return CL4CTRObjective(config, name="cl4ctr")
