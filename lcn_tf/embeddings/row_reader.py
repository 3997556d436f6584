"""Vectors of the ids of one batch: gathered from rows that were looked up for it, or from the tables themselves.

Shape letters: B requests, C candidates, L events, K selected events, D item width, U distinct ids.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from lcn_tf.embeddings.distinct_rows import FEW_ROWS, TableRows
from lcn_tf.embeddings.table_set import EmbeddingTables
from lcn_tf.ops.event_forms import Bucketed, Gathered, Vectors
from lcn_tf.schema import FIRST_ID, PADDING_ID, TARGET, TIME_GAP, Feature, FeatureSchema

NEGATIVE = "negative "  # prefix of a batch's item features that lifelong events are contrasted with
ROWS_OF = "rows of "  # prefix of an objective's name and item features whose rows a batch does not hold by itself


@dataclasses.dataclass(frozen=True, eq=False)
class TableReading:
    """What all batches of a model have in common: its tables, and how they are read.

    Attributes:
      schema: features and tables.
      sizes: table name -> its rows, those of all domains where it keeps rows apart.
      tables: the model's.
      search_tables: a second set of item tables for searching the lifelong history, or None.
      exclude: user, candidate and request features that are not read.
      dtype: compute type of the vectors.
    """

    schema: FeatureSchema
    sizes: Mapping[str, int]
    tables: EmbeddingTables
    search_tables: EmbeddingTables | None
    exclude: tuple[str, ...]
    dtype: Any

    def row_ids(self, batch: Mapping[str, tf.Tensor], table: str, name: str) -> tf.Tensor:
        """A tensor of ids, counted through the domains where the table's rows are separate."""
        if table not in self.tables.config.per_domain or name.startswith(ROWS_OF):
            return batch[name]
        return self.rows_in(table, batch[name], self.schema.domains.index(self._domain(name)))

    def rows_in(self, table: str, ids: Any, domain: Any) -> Any:
        """Rows of ids of a domain, or of one each, by its place among the schema's domains."""
        return ids + self.schema.tables[table] * domain if table in self.tables.config.per_domain else ids

    def _domain(self, name: str) -> str:
        if name.startswith(NEGATIVE):
            return self.schema.source
        return next((spec.domain for history, spec in self.schema.histories.items()
                     if name in self.schema.history_names(history)), TARGET)


@dataclasses.dataclass(frozen=True, eq=False)
class RowReader:
    """Reads vectors by the names of a batch's tensors.

    Attributes:
      reading: of the model.
      batch: its tensors by name.
      rows: table name -> rows of the batch's distinct ids; {} where the tables are read one id at a time.
      places: name of an id tensor -> places of its ids among the rows.
    """

    reading: TableReading
    batch: Mapping[str, tf.Tensor]
    rows: Mapping[str, TableRows]
    places: Mapping[str, tf.Tensor]

    @property
    def schema(self) -> FeatureSchema:
        """Of the model."""
        return self.reading.schema

    def vectors(self, table: str, name: str) -> tf.Tensor:
        """Vectors `[..., width]` of a tensor of ids."""
        return self._of_keys(table, self._keys(table, name))

    def mean_vectors(self, features: Sequence[Feature]) -> tf.Tensor:
        """Vectors `[..., width]` of what `FeatureSchema.read_as_one` reads as one: means over the ids but padding."""
        vectors = [self.vectors(feature.table, feature.name) for feature in features]
        if features[0].name not in self.schema.several:
            return vectors[0]
        given = [self._cast(self.batch[feature.name] != PADDING_ID)[..., tf.newaxis] for feature in features]
        total = tf.add_n([vector * counted for vector, counted in zip(vectors, given, strict=True)])
        return tf.math.divide_no_nan(total, tf.add_n(given))

    def event_vectors(self, table: str, name: str, indices: tf.Tensor | None = None) -> Vectors:
        """Vectors of a history's ids `[B, L]`, or of those at `indices [B, C, K]`, in the form that costs least."""
        keys = self._keys(table, name)
        if indices is not None:
            keys = tf.gather(keys, indices, batch_dims=1)
        rows = self.rows[table].attended if table in self.rows else None
        tables = self.reading.tables
        if self.reading.sizes[table] <= FEW_ROWS:
            if rows is None:
                rows = tables.rows(table, tf.range(self.reading.sizes[table]))
            return Bucketed(self._cast(rows), keys[:, tf.newaxis] if indices is None else keys)
        if rows is None:
            return tables(table, keys)
        return Gathered(self._cast(tf.stop_gradient(tf.gather(rows, keys))), rows, keys)

    def item_keys(self, prefix: str) -> dict[str, tf.Tensor]:
        """What tells a history's items (prefix "<history>_") apart and `items` takes: per item feature, integers."""
        return {field.name: self._keys(field.table, f"{prefix}{field.name}") for field in self.schema.item}

    def items(self, keys: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Item embeddings `[..., D]` of what `item_keys` returned, or a choice from it."""
        return tf.concat([self._of_keys(field.table, keys[field.name]) for field in self.schema.item], -1)

    def search_items(self, keys: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """As `items`, from the separate search tables.

        Raises:
          ValueError: there are none.
        """
        return tf.concat([self._search_of_keys(field.table, keys[field.name]) for field in self.schema.item], -1)

    def search_pair(self, history: str) -> tuple[tf.Tensor, tf.Tensor]:
        """Candidates `[B, C, D]` and events `[B, L, D]` of a history from the separate search tables."""
        return self.search_items(self.item_keys("")), self.search_items(self.item_keys(f"{history}_"))

    def time_gap_rows(self) -> tf.Tensor:
        """Vectors of the time gap's buckets, `[G, width]`."""
        if TIME_GAP in self.rows:
            return self._cast(self.rows[TIME_GAP].attended)
        return self.reading.tables(TIME_GAP, time_gap_ids(self.schema))

    def _keys(self, table: str, name: str) -> tf.Tensor:
        """Places among the rows of a batch that was looked up, ids of any other."""
        return self.places[name] if table in self.rows else self.reading.row_ids(self.batch, table, name)

    def _of_keys(self, table: str, keys: tf.Tensor) -> tf.Tensor:
        if table not in self.rows:
            return self.reading.tables(table, keys)
        return self._cast(tf.gather(self.rows[table].gathered, keys))

    def _search_of_keys(self, table: str, keys: tf.Tensor) -> tf.Tensor:
        tables = self.reading.search_tables
        if tables is None:
            raise ValueError("search vectors need search_tables=True, got False")
        rows = self.rows[table].search if table in self.rows else None
        return tables(table, keys) if rows is None else self._cast(tf.gather(rows, keys))

    def _cast(self, vectors: tf.Tensor) -> tf.Tensor:
        return tf.cast(vectors, self.reading.dtype)


def time_gap_ids(schema: FeatureSchema) -> tf.Tensor:
    """Ids of the time gap's buckets."""
    return tf.range(FIRST_ID, schema.time_gap_rows)
