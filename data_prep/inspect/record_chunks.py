"""Reads a record file in chunks of numpy arrays, and refuses records that are not request groups of the schema."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from data_prep.errors import InputError
from lcn_tf.data import records
from lcn_tf.schema import HISTORIES, FeatureSchema

CHUNK = 256
_LAST_SECOND = 253_402_300_799  # of the year 9999: larger timestamps are not seconds


class Lists(NamedTuple):
    """One feature of G records: `values` int64, `starts` `[G + 1]` where each record's list begins (the last ends)."""

    values: np.ndarray
    starts: np.ndarray

    @property
    def lengths(self) -> np.ndarray:
        """`[G]` values of each record."""
        return np.diff(self.starts)

    def of(self, record: int) -> np.ndarray:
        """The list of one record."""
        return self.values[self.starts[record]:self.starts[record + 1]]


Chunk = Mapping[str, Lists]


def read_chunks(schema: FeatureSchema, path: str) -> Iterator[Chunk]:
    """Every feature of at most `CHUNK` records at a time, in the order of the file.

    Raises:
      RecordError: a damaged file; the message names the last whole record.
      InputError: a record of another schema; the message names file, feature and value.
    """
    before = 0
    with records.naming_damage([path]):
        for serialized in tf.data.TFRecordDataset(path).batch(CHUNK):
            try:
                parsed = records.parse(schema, serialized)
            except tf.errors.InvalidArgumentError as error:
                raise InputError(f"{path}, from record {before}: not a record of {schema.name!r}: {error.message}"
                                 ) from error
            chunk = {name: _lists(value) for name, value in parsed.items()}
            _check(schema, chunk, path, before)
            yield chunk
            before += len(serialized)


def _lists(value: tf.Tensor | tf.RaggedTensor) -> Lists:
    if isinstance(value, tf.RaggedTensor):
        return Lists(value.flat_values.numpy(), value.row_splits.numpy())
    return Lists(value.numpy(), np.arange(value.shape[0] + 1))


def _check(schema: FeatureSchema, chunk: Chunk, path: str, before: int) -> None:
    """Compares the lengths of what belongs together, ids with their tables, and moments with the calendar."""
    groups = {"label": schema.impression_names}
    groups |= {f"{history}_timestamp": schema.history_names(history) for history in HISTORIES}
    for leader, names in groups.items():
        for name in names:
            wrong = np.flatnonzero(chunk[name].lengths != chunk[leader].lengths)
            if wrong.size:
                found, expected = chunk[name].lengths[wrong[0]], chunk[leader].lengths[wrong[0]]
                raise InputError(f"{path}, record {before + wrong[0]}: feature {name!r} has {found} values, "
                                 f"{leader!r} {expected}")
    limits = {name: schema.tables[table] for name, table in table_of_feature(schema).items()}
    limits |= {name: _LAST_SECOND + 1 for name in chunk if name.endswith("timestamp")} | {"label": 2}
    for name, limit in limits.items():
        values = chunk[name].values
        wrong = np.flatnonzero((values < 0) | (values >= limit))
        if wrong.size:
            record = before + np.searchsorted(chunk[name].starts, wrong[0], side="right") - 1
            raise InputError(f"{path}, record {record}: feature {name!r} has the value {values[wrong[0]]}, "
                             f"expected 0 to {limit - 1}")


def table_of_feature(schema: FeatureSchema) -> dict[str, str]:
    """Name of every id feature of a record -> the table that it reads."""
    tables = {feature.name: feature.table
              for feature in (*schema.user, *schema.item, *schema.candidate, *schema.request)}
    tables.update({f"{history}_{feature.name}": feature.table
                   for history in HISTORIES for feature in (*schema.item, *schema.context)})
    return tables
