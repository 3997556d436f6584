"""Turns the ids of a batch into vectors, feature by feature as the schema says.

Shape letters: B requests, C candidates, L events, K selected events, D item width, D_c context width.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import tensorflow as tf

from lcn_tf.embeddings.tables import EmbeddingConfig, EmbeddingTables
from lcn_tf.layers.event_vectors import BucketedVectors, Vectors
from lcn_tf.schema import FIRST_ID, TIME_GAP, Feature, FeatureSchema

LIFELONG = "lifelong_source"

Batch = Mapping[str, tf.Tensor]
T = TypeVar("T")  # a tensor, or a dict of tensors


@dataclasses.dataclass(frozen=True)
class EmbeddedHistory:
    """One history of a batch, as candidates see it.

    Attributes:
      items: item embeddings `[B, L, D]`; positions outside the mask hold arbitrary values.
      mask: `[B, C, L]` bool, True where the candidate may see the event.
      search: None, or the pair of candidates `[B, C, D]` and events `[B, L, D]` from the separate tables that only an
        auxiliary objective trains (SPEC A-3).
    """

    items: tf.Tensor
    mask: tf.Tensor
    search: tuple[tf.Tensor, tf.Tensor] | None
    _embedder: FeatureEmbedder
    _batch: Batch
    _name: str

    @property
    def num_context_fields(self) -> int:
        """Number of fields that a context embedding concatenates, all of one width; the time gap is the last."""
        return len(self._embedder.schema.context_features)

    def event_ids(self) -> tf.Tensor:
        """What identifies each event: the ids of its item fields and its timestamp, int64 `[B, L, fields + 1]`."""
        names = (*(feature.name for feature in self._embedder.schema.item), "timestamp")
        return tf.stack([self._batch[f"{self._name}_{name}"] for name in names], axis=-1)

    def select(self, indices: tf.Tensor) -> tf.Tensor:
        """Item and context embeddings of chosen events, looked up by id.

        Args:
          indices: `[B, C, K]` integer positions in the history.

        Returns:
          `[B, C, K, D + D_c]`.
        """
        def chosen(field):
            return tf.gather(self._batch[f"{self._name}_{field}"], indices, batch_dims=1)  # [B, C, K]

        schema = self._embedder.schema
        items = self._embedder.items({feature.name: chosen(feature.name) for feature in schema.item})
        parts = [items, *(self._embedder.tables(feature.table, chosen(feature.name)) for feature in schema.context)]
        if schema.time_gap_boundaries:
            gap = self._batch["timestamp"][:, :, tf.newaxis] - chosen("timestamp")
            parts.append(self._embedder.tables(TIME_GAP, time_gap_ids(gap, schema.time_gap_boundaries)))
        return tf.concat(parts, -1)

    def with_context(self, function: Callable[[Vectors], T]) -> T:
        """`function(context)` of the context embeddings of every event.

        The time gap is all of the context that depends on the candidate. Where each request's candidates have one
        timestamp they share it too, and the context is `[B, L, D_c]`; otherwise it is `BucketedVectors` of that width.
        """
        batch, schema = self._batch, self._embedder.schema
        shared = tf.concat([self.items[..., :0], *(
            self._embedder.tables(feature.table, batch[f"{self._name}_{feature.name}"]) for feature in schema.context)],
            -1)  # [B, L, D_c], without the time gap
        if not schema.time_gap_boundaries:
            return function(shared)

        def gap_ids(moment: tf.Tensor) -> tf.Tensor:
            """Of the moments `[B, x]`: `[B, x, L]`."""
            gap = moment[:, :, tf.newaxis] - batch[f"{self._name}_timestamp"][:, tf.newaxis]
            return time_gap_ids(gap, schema.time_gap_boundaries)

        def of_one_moment() -> T:
            gaps = self._embedder.tables(TIME_GAP, gap_ids(batch["timestamp"][:, :1])[:, 0])
            return function(tf.concat([shared, gaps], -1))

        def of_several_moments() -> T:
            rows = self._embedder.tables(TIME_GAP, tf.range(FIRST_ID, schema.time_gap_rows))
            return function(BucketedVectors(shared, rows, gap_ids(batch["timestamp"]) - FIRST_ID))

        if self.mask.shape[1] == 1:
            return of_one_moment()
        return tf.cond(self._same_moment(), of_one_moment, of_several_moments)

    def _same_moment(self) -> tf.Tensor:
        """Scalar bool: all candidates of each request have the timestamp of its first one."""
        timestamp = self._batch["timestamp"]
        return tf.reduce_all(tf.equal(timestamp, timestamp[:, :1]) | ~self._batch["candidate_mask"])

    def events(self) -> tf.Tensor:
        """Item and context embeddings of every event for every candidate, `[B, C, L, D + D_c]` (large)."""
        shape = tf.shape(self.mask)
        return self.select(tf.broadcast_to(tf.range(shape[2]), shape))


class FeatureEmbedder(tf.keras.layers.Layer):
    """All lookups of a model.

    Args:
      schema: features and tables.
      lengths: history name -> number of events a candidate sees.
      config: width and initialisation of the tables.
      search_tables: whether to keep a second set of item tables for searching the lifelong history.

    Raises:
      ValueError: `config.exclude` names something else than a user, candidate or request feature.
    """

    def __init__(self, schema: FeatureSchema, lengths: Mapping[str, int], config: EmbeddingConfig,
                 search_tables: bool = False, **kwargs):
        super().__init__(**kwargs)
        excludable = (*schema.user, *schema.candidate, *schema.request)
        unknown = set(config.exclude) - {feature.name for feature in excludable}
        if unknown:
            raise ValueError(f"embeddings.exclude names {sorted(unknown)}; it may name "
                             f"{', '.join(feature.name for feature in excludable)}")
        self.schema = schema
        self.lengths = dict(lengths)
        self.tables = EmbeddingTables(schema.tables, config, name="tables")
        item_rows = {feature.table: schema.tables[feature.table] for feature in schema.item}
        self.search_tables = EmbeddingTables(item_rows, config, name="search_tables") if search_tables else None

    @property
    def item_width(self) -> int:
        """D."""
        return len(self.schema.item) * self.tables.config.embedding_dim

    def items(self, ids: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Item embeddings of ids given per item feature, each `[...]`: `[..., D]`."""
        return tf.concat([self.tables(feature.table, ids[feature.name]) for feature in self.schema.item], -1)

    def search_items(self, ids: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Like `items`, from the separate search tables where there are any."""
        tables = self.tables if self.search_tables is None else self.search_tables
        return tf.concat([tables(feature.table, ids[feature.name]) for feature in self.schema.item], -1)

    def user(self, batch: Batch) -> list[tf.Tensor]:
        """User features, each `[B, embedding_dim]`."""
        return self._side(batch, self.schema.user)

    def candidate(self, batch: Batch) -> tf.Tensor:
        """Item embeddings of the candidates, `[B, C, D]`."""
        return self.items(batch)

    def candidate_side(self, batch: Batch) -> list[tf.Tensor]:
        """Candidate-only and request features, each `[B, C, embedding_dim]`."""
        return self._side(batch, (*self.schema.candidate, *self.schema.request))

    def _side(self, batch: Batch, features: Sequence[Feature]) -> list[tf.Tensor]:
        excluded = self.tables.config.exclude
        return [self.tables(feature.table, batch[feature.name]) for feature in features if feature.name not in excluded]

    def history(self, batch: Batch, name: str) -> EmbeddedHistory:
        """A history with its items looked up once per request and the mask of what each candidate may see."""
        ids = {feature.name: batch[f"{name}_{feature.name}"] for feature in self.schema.item}
        search = None
        if self.search_tables is not None and name == LIFELONG:  # trained by the objective alone, not by the clicks
            search = (tf.stop_gradient(self.search_items(batch)), tf.stop_gradient(self.search_items(ids)))
        mask = visible_events(batch, name, self.lengths[name])
        return EmbeddedHistory(self.items(ids), mask, search, self, batch, name)


def visible_events(batch: Batch, name: str, length: int) -> tf.Tensor:
    """Mask `[B, C, L]` bool: real events at positions `offset ... offset + length - 1` of the history."""
    mask = batch[f"{name}_mask"][:, tf.newaxis, :]  # [B, 1, L]
    offset = batch[f"{name}_offset"][:, :, tf.newaxis]  # [B, C, 1]
    position = tf.range(tf.shape(mask, offset.dtype)[2])
    return mask & (position >= offset) & (position < offset + length)


def time_gap_ids(gap: tf.Tensor, boundaries: tuple[int, ...]) -> tf.Tensor:
    """Bucket ids (int64, `FIRST_ID` upwards) of gaps in seconds (int64, any shape)."""
    bucket = tf.searchsorted(tf.constant(boundaries, tf.int64), tf.reshape(gap, [-1]), side="right", out_type=tf.int64)
    return tf.reshape(bucket, tf.shape(gap)) + FIRST_ID
