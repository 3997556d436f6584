"""Turns the ids of a batch into vectors, feature by feature as the schema says."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from lcn_tf.embeddings.config import EmbeddingConfig
from lcn_tf.embeddings.distinct_rows import Batch, TableRows, find_rows
from lcn_tf.embeddings.looked_up import LookedUp
from lcn_tf.embeddings.restored_tables import restore_tables
from lcn_tf.embeddings.row_reader import NEGATIVE, ROWS_OF, RowReader, TableReading, time_gap_ids
from lcn_tf.embeddings.schema_reading import readers
from lcn_tf.embeddings.table_set import EmbeddingTables, TableBuilder
from lcn_tf.schema import TIME_GAP, FeatureSchema


class FeatureEmbedder(tf.keras.layers.Layer):
    """All tables of a model, and their look-ups.

    Args:
      schema: features and tables.
      lengths: history name -> number of events a candidate sees.
      config: width and initialisation of the tables.
      search_tables: whether to keep a second set of item tables for searching the lifelong history.
      builders: table name -> what builds a table that is not dense.

    Raises:
      ValueError: `config.exclude` names something else than a user, candidate or request feature, or other options
        tables that the schema lacks.

    Attributes:
      exclude: features that are not read.

    A table whose rows are separate for each domain has R rows for the target domain, then R for each other domain:
    candidates and the histories of the target domain read the former, the other histories those of their domain.
    """

    def __init__(self, schema: FeatureSchema, lengths: Mapping[str, int], config: EmbeddingConfig,
                 search_tables: bool = False, builders: Mapping[str, TableBuilder] | None = None, **kwargs):
        super().__init__(**kwargs)
        excludable = (*schema.user, *schema.candidate, *schema.request)
        members = {feature.name: (feature.name,) for feature in excludable} | dict(schema.means)
        unknown = set(config.exclude) - members.keys()
        if unknown:
            raise ValueError(f"embeddings.exclude names {sorted(unknown)}; it may name "
                             f"{', '.join(members)}")
        self.exclude = tuple(member for name in config.exclude for member in members[name])
        item_tables = {feature.table for feature in schema.item}
        config.check(schema.tables, item_tables)
        self.schema = schema
        self.lengths = dict(lengths)
        sizes = {table: size * (len(schema.domains) if table in config.per_domain else 1)
                 for table, size in schema.tables.items()}
        self.tables = EmbeddingTables(sizes, config, builders, name="tables")
        item_rows = {table: size for table, size in sizes.items() if table in item_tables}
        self.search_tables = EmbeddingTables(item_rows, config, name="search_tables") if search_tables else None
        self._reading = TableReading(schema, sizes, self.tables, self.search_tables, self.exclude,
                                     self.compute_dtype)

    @property
    def table_weights(self) -> list[tf.Variable]:
        """Trained rows of tables, search tables among them: not what some kinds train beside them, as projections."""
        rows = {weight.ref() for tables in (self.tables, self.search_tables) if tables is not None
                for weight in tables.row_weights}
        return [weight for weight in self.trainable_variables if weight.ref() in rows]

    @property
    def item_width(self) -> int:
        """D."""
        return sum(self.tables.config.width(feature.table) for feature in self.schema.item)

    def rows_in(self, table: str, ids: np.ndarray, domain: np.ndarray) -> np.ndarray:
        """Rows of ids in a table: where it keeps the domains' apart, those of each one's domain.

        Args:
          table: its name.
          ids: integers.
          domain: place of each id's domain in the schema's domains.
        """
        return self._reading.rows_in(table, ids, domain)

    def read(self, batch: Batch, common_views: bool = False) -> LookedUp:
        """The batch, read id by id from the tables; `common_views` as of `LookedUp`."""
        return LookedUp(RowReader(self._reading, batch, {}, {}), self.lengths, common_views)

    def look_up(self, batch: Batch) -> LookedUp:
        """The batch with the rows of its distinct ids, each table looked up once (`lcn_tf.embeddings.distinct_rows`).

        Tensors that the batch lacks are not looked up: of a choice of histories, those.
        """
        rows: dict[str, TableRows] = {}
        places: dict[str, tf.Tensor] = {}
        for table, names in readers(self.schema, self._reading.exclude).items():
            items = [feature.name for feature in self.schema.item if feature.table == table]
            names += [f"{NEGATIVE}{name}" for name in items]
            names += [name for name in batch if name.startswith(ROWS_OF) and name.split()[-1] in items]
            ids = {name: self._reading.row_ids(batch, table, name) for name in names if name in batch}
            if not ids:
                continue
            searched = self.search_tables
            search = functools.partial(searched.rows, table) if searched and table in searched.tables else None
            rows[table], found = find_rows(ids, self._reading.sizes[table],
                                           functools.partial(self.tables.rows, table), search)
            places.update(found)
        if self.schema.time_gap_boundaries:
            ids = time_gap_ids(self.schema)
            buckets = self.tables.rows(TIME_GAP, ids)
            rows[TIME_GAP] = TableRows(tf.cast(ids, tf.int64), buckets, tf.identity(buckets))
        return LookedUp(RowReader(self._reading, batch, rows, places), self.lengths)

    def freeze_search_tables(self, checkpoint: str) -> None:
        """Fills the separate search tables from a checkpoint of an earlier run; nothing trains them afterwards.

        Raises:
          ValueError: there are no search tables, or what `restore_tables` refuses.
        """
        if self.search_tables is None:
            raise ValueError("freeze_search_tables needs search_tables=True, got False")
        restore_tables(self.search_tables, checkpoint)
        self.search_tables.trainable = False
