"""Turns the ids of a batch into vectors, feature by feature as the schema says.

Shape letters: B requests, C candidates, L events, K selected events, D item width.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

import tensorflow as tf

from lcn_tf.embeddings.batch_rows import (
    FEW_ROWS,
    Batch,
    add_rows,
    attended_rows_name,
    places_name,
    rows_name,
    search_rows_name,
)
from lcn_tf.embeddings.history import LIFELONG, NEGATIVE, EmbeddedHistory
from lcn_tf.embeddings.pretrained import restore_tables
from lcn_tf.embeddings.row_penalty import row_penalty
from lcn_tf.embeddings.tables import EmbeddingConfig, EmbeddingTables
from lcn_tf.ops.event_forms import Bucketed, Gathered, Vectors
from lcn_tf.schema import FIRST_ID, HISTORIES, TIME_GAP, Feature, FeatureSchema

_OF_SOURCE_DOMAIN = ("short_source_", f"{LIFELONG}_", NEGATIVE)  # prefixes of names


class FeatureEmbedder(tf.keras.layers.Layer):
    """All lookups of a model.

    Args:
      schema: features and tables.
      lengths: history name -> number of events a candidate sees.
      config: width and initialisation of the tables.
      search_tables: whether to keep a second set of item tables for searching the lifelong history.

    Raises:
      ValueError: `config.exclude` names something else than a user, candidate or request feature, or other options
        tables that the schema lacks.

    A table whose rows are separate for each domain has R rows for the target domain, then R for the source domain:
    candidates and the short target history read the former, the other histories the latter. What this class calls ids
    and keys counts through both.
    """

    def __init__(self, schema: FeatureSchema, lengths: Mapping[str, int], config: EmbeddingConfig,
                 search_tables: bool = False, **kwargs):
        super().__init__(**kwargs)
        excludable = (*schema.user, *schema.candidate, *schema.request)
        unknown = set(config.exclude) - {feature.name for feature in excludable}
        if unknown:
            raise ValueError(f"embeddings.exclude names {sorted(unknown)}; it may name "
                             f"{', '.join(feature.name for feature in excludable)}")
        item_tables = {feature.table for feature in schema.item}
        config.check(schema.tables, item_tables)
        self.schema = schema
        self.lengths = dict(lengths)
        self.rows = {table: size * (2 if table in config.per_domain else 1) for table, size in schema.tables.items()}
        self.tables = EmbeddingTables(self.rows, config, name="tables")
        item_rows = {table: size for table, size in self.rows.items() if table in item_tables}
        self.search_tables = EmbeddingTables(item_rows, config, name="search_tables") if search_tables else None

    @property
    def item_width(self) -> int:
        """D."""
        return sum(self.tables.config.width(feature.table) for feature in self.schema.item)

    @property
    def context_widths(self) -> dict[str, int]:
        """Width of each context feature; D_c is their sum."""
        return {feature.name: self.tables.config.width(feature.table) for feature in self.schema.context_features}

    def look_up(self, batch: Batch) -> dict[str, tf.Tensor]:
        """The batch with the rows of its distinct ids, each table looked up once (`lcn_tf.embeddings.batch_rows`).

        Every method takes such a batch too, and then gathers from its rows instead of the tables.
        """
        found = dict(batch)
        for table, names in self.readers().items():
            drawn = [f"{NEGATIVE}{feature.name}" for feature in self.schema.item if feature.table == table]
            names += [name for name in drawn if name in batch]
            lookups = {rows_name(table): functools.partial(self.tables.rows, table)}
            if self.search_tables is not None and table in self.search_tables.tables:
                lookups[search_rows_name(table)] = functools.partial(self.search_tables.rows, table)
            ids = {name: self.row_ids(batch, table, name) for name in names}
            found.update(add_rows(ids, self.rows[table], lookups))
        if self.schema.time_gap_boundaries:
            found[rows_name(TIME_GAP)] = self.tables.rows(TIME_GAP, self._time_gap_ids())
        for table in self._row_tables():
            found[attended_rows_name(table)] = tf.identity(found[rows_name(table)])
        return found

    def row_names(self) -> list[str]:
        """Names of the rows that `look_up` adds to a batch."""
        search = self.search_tables.tables if self.search_tables is not None else ()
        return [*(name(table) for table in self._row_tables() for name in (rows_name, attended_rows_name)),
                *map(search_rows_name, search)]

    def _row_tables(self) -> list[str]:
        return [*self.readers(), *([TIME_GAP] if self.schema.time_gap_boundaries else [])]

    def readers(self) -> dict[str, list[str]]:
        """Table name -> names of the batch tensors that hold ids of its rows."""
        readers: dict[str, list[str]] = {}
        schema = self.schema
        for feature in (*schema.item, *self._included((*schema.user, *schema.candidate, *schema.request))):
            readers.setdefault(feature.table, []).append(feature.name)
        for history in HISTORIES:
            for feature in (*schema.item, *schema.context):
                readers.setdefault(feature.table, []).append(f"{history}_{feature.name}")
        return readers

    def seen(self, batch: Batch) -> dict[str, tf.Tensor]:
        """Name of every id tensor -> bool of its shape: whether a real candidate sees the id."""
        schema, real = self.schema, batch["candidate_mask"]
        found = {feature.name: tf.reduce_any(real, axis=1) for feature in schema.user}
        found.update({feature.name: real for feature in (*schema.item, *schema.candidate, *schema.request)})
        for history, length in self.lengths.items():
            events = tf.reduce_any(visible_events(batch, history, length) & real[:, :, tf.newaxis], axis=1)  # [B, L]
            found.update({f"{history}_{feature.name}": events for feature in (*schema.item, *schema.context)})
        return found

    def row_penalty(self, batch: Batch) -> tf.Tensor:
        """The L2 penalty on a batch's rows, see `lcn_tf.embeddings.row_penalty`; looks the batch up where it is not."""
        return row_penalty(self, batch if self.row_names()[0] in batch else self.look_up(batch))

    def vectors(self, batch: Batch, table: str, name: str) -> tf.Tensor:
        """Vectors `[..., width]` of a tensor of ids."""
        return self._of_keys(batch, table, self._keys(batch, table, name))

    def event_vectors(self, batch: Batch, table: str, name: str, indices: tf.Tensor | None = None) -> Vectors:
        """Vectors of a history's ids `[B, L]`, or of those at `indices [B, C, K]`, in the form that costs least."""
        keys = self._keys(batch, table, name)
        if indices is not None:
            keys = tf.gather(keys, indices, batch_dims=1)
        rows = batch.get(attended_rows_name(table))
        if self.rows[table] <= FEW_ROWS:
            if rows is None:
                rows = self.tables.rows(table, tf.range(self.rows[table]))
            return Bucketed(self._cast(rows), keys[:, tf.newaxis] if indices is None else keys)
        if rows is None:
            return self.tables(table, keys)
        return Gathered(self._cast(tf.stop_gradient(tf.gather(rows, keys))), rows, keys)

    def item_keys(self, batch: Batch, prefix: str) -> dict[str, tf.Tensor]:
        """What tells a history's items (prefix "<history>_") apart and `items` takes: per item feature, integers."""
        return {field.name: self._keys(batch, field.table, f"{prefix}{field.name}") for field in self.schema.item}

    def items(self, batch: Batch, keys: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Item embeddings `[..., D]` of what `item_keys` returned, or a choice from it."""
        return tf.concat([self._of_keys(batch, field.table, keys[field.name]) for field in self.schema.item], -1)

    def time_gap_rows(self, batch: Batch) -> tf.Tensor:
        """Vectors of the time gap's buckets, `[G, width]`."""
        rows = batch.get(attended_rows_name(TIME_GAP))
        return self.tables(TIME_GAP, self._time_gap_ids()) if rows is None else self._cast(rows)

    def _time_gap_ids(self) -> tf.Tensor:
        return tf.range(FIRST_ID, self.schema.time_gap_rows)

    def _keys(self, batch: Batch, table: str, name: str) -> tf.Tensor:
        """Places among the rows of a batch that was looked up, ids of any other."""
        return batch[places_name(name)] if rows_name(table) in batch else self.row_ids(batch, table, name)

    def row_ids(self, batch: Batch, table: str, name: str) -> tf.Tensor:
        """A tensor of ids, counted through the domains where the table's rows are separate."""
        separate = table in self.tables.config.per_domain and name.startswith(_OF_SOURCE_DOMAIN)
        return batch[name] + self.schema.tables[table] if separate else batch[name]

    def _of_keys(self, batch: Batch, table: str, keys: tf.Tensor) -> tf.Tensor:
        rows = batch.get(rows_name(table))
        return self.tables(table, keys) if rows is None else self._cast(tf.gather(rows, keys))

    def _search_of_keys(self, batch: Batch, table: str, keys: tf.Tensor) -> tf.Tensor:
        if self.search_tables is None:
            raise ValueError("search vectors need search_tables=True, got False")
        rows = batch.get(search_rows_name(table))
        return self.search_tables(table, keys) if rows is None else self._cast(tf.gather(rows, keys))

    def _cast(self, vectors: tf.Tensor) -> tf.Tensor:
        return tf.cast(vectors, self.compute_dtype)

    def search_items(self, batch: Batch, keys: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """As `items`, from the separate search tables.

        Raises:
          ValueError: there are none.
        """
        return tf.concat([self._search_of_keys(batch, field.table, keys[field.name]) for field in self.schema.item], -1)

    def search_pair(self, batch: Batch, history: str) -> tuple[tf.Tensor, tf.Tensor]:
        """Candidates `[B, C, D]` and events `[B, L, D]` of a history from the separate search tables."""
        return (self.search_items(batch, self.item_keys(batch, "")),
                self.search_items(batch, self.item_keys(batch, f"{history}_")))

    def freeze_search_tables(self, checkpoint: str) -> None:
        """Fills the separate search tables from a checkpoint of an earlier run; nothing trains them afterwards.

        Raises:
          ValueError: there are no search tables, or what `restore_tables` refuses.
        """
        if self.search_tables is None:
            raise ValueError("freeze_search_tables needs search_tables=True, got False")
        restore_tables(self.search_tables, checkpoint)
        self.search_tables.trainable = False

    def user(self, batch: Batch) -> list[tf.Tensor]:
        """User features, each `[B, width]`."""
        return self._side(batch, self.schema.user)

    def candidate(self, batch: Batch) -> tf.Tensor:
        """Item embeddings of the candidates, `[B, C, D]`."""
        return self.items(batch, self.item_keys(batch, ""))

    def candidate_side(self, batch: Batch) -> list[tf.Tensor]:
        """Candidate-only and request features, each `[B, C, width]`."""
        return self._side(batch, (*self.schema.candidate, *self.schema.request))

    def _side(self, batch: Batch, features: Sequence[Feature]) -> list[tf.Tensor]:
        return [self.vectors(batch, feature.table, feature.name) for feature in self._included(features)]

    def _included(self, features: Sequence[Feature]) -> list[Feature]:
        return [feature for feature in features if feature.name not in self.tables.config.exclude]

    def history(self, batch: Batch, name: str) -> EmbeddedHistory:
        """A history with its items looked up once per request and the mask of what each candidate may see."""
        search = None
        if self.search_tables is not None and name == LIFELONG:  # `trained_search` has the gradient
            candidate, events = self.search_pair(batch, name)
            search = tf.stop_gradient(candidate), tf.stop_gradient(events)
        items = self.items(batch, self.item_keys(batch, f"{name}_"))
        return EmbeddedHistory(items, visible_events(batch, name, self.lengths[name]), search, self, batch, name)


def visible_events(batch: Batch, name: str, length: int) -> tf.Tensor:
    """Mask `[B, C, L]` bool: real events at positions `offset ... offset + length - 1` of the history."""
    mask = batch[f"{name}_mask"][:, tf.newaxis, :]  # [B, 1, L]
    offset = batch[f"{name}_offset"][:, :, tf.newaxis]  # [B, C, 1]
    position = tf.range(tf.shape(mask, offset.dtype)[2])
    return mask & (position >= offset) & (position < offset + length)
