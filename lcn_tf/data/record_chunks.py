"""Record files as chunks of numpy arrays; the first record that is wrong is named."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from lcn_tf.data import record_rules, records, tfrecords
from lcn_tf.data.record_bytes import RecordError
from lcn_tf.schema import FeatureSchema

CHUNK = 256
_BAD_RECORD = (tf.errors.DataLossError, tf.errors.InvalidArgumentError)


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
      RecordError: a damaged file, or a record that is not what `record_rules` asks for; the message names file, record
        (from 0), feature and value.
    """
    before = 0
    try:
        for serialized in tfrecords.in_order([path]).batch(CHUNK):
            parsed = records.parse(schema, serialized)
            if not record_rules.in_order(schema, parsed):
                raise _first_bad_record(schema, path, before, "events that are not in order")
            yield {name: _lists(value) for name, value in parsed.items()}
            before += len(serialized)
    except _BAD_RECORD as error:
        raise _first_bad_record(schema, path, before, error.message) from error


def _lists(value: tf.Tensor | tf.RaggedTensor) -> Lists:
    if isinstance(value, tf.RaggedTensor):
        return Lists(value.flat_values.numpy(), value.row_splits.numpy())
    return Lists(value.numpy(), np.arange(value.shape[0] + 1))


def _first_bad_record(schema: FeatureSchema, path: str, first: int, otherwise: str) -> RecordError:
    """What is wrong with the first bad record of a file, at or after `first`; `otherwise` if none is found."""
    number = first
    try:
        for serialized in tfrecords.in_order([path]).skip(first).as_numpy_iterator():
            wrong = record_rules.objection(schema, serialized)
            if wrong:
                return RecordError(f"{path}, record {number}: {wrong}")
            number += 1
    except tf.errors.DataLossError as damage:
        return RecordError(f"{path}: damaged after record {number}: {damage.message}")
    return RecordError(f"{path}, from record {first}: {otherwise}")
