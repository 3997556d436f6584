"""Request groups as `tf.train.Example`: encoding, vectorised parsing, and naming what is wrong with a file.

Shape letters: G records, N impressions.
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

import tensorflow as tf

from lcn_tf.schema import HISTORIES, FeatureSchema

_HEADER_BYTES, _FOOTER_BYTES = 12, 4  # of a TFRecord: its length and that length's checksum; the data's checksum


class Digest(Protocol):
    """What takes bytes one after the other, as the hashes of `hashlib` do."""

    def update(self, data: bytes, /) -> None:
        """Takes the next bytes."""


class RecordError(ValueError):
    """A record file that cannot be read as request groups of the schema; the message names file and field."""


def encode(schema: FeatureSchema, group: Mapping[str, Sequence[int]]) -> bytes:
    """Serializes one request group.

    Args:
      schema: the data contract.
      group: every name of `schema.record_names` -> its integers.

    Raises:
      KeyError: a feature of the schema is missing from the group.
    """
    features = {name: tf.train.Feature(int64_list=tf.train.Int64List(value=group[name]))
                for name in schema.record_names}
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString(deterministic=True)


def parse(schema: FeatureSchema, serialized: tf.Tensor) -> dict[str, tf.Tensor | tf.RaggedTensor]:
    """Parses records `[G]` in one vectorised operation.

    Returns:
      Names of `schema.record_names` -> int64: `[G]` for user features, ragged `[G, n]` for all others.
    """
    users = set(schema.user_names)
    spec = {
        name: tf.io.FixedLenFeature([], tf.int64) if name in users else
        tf.io.RaggedFeature(tf.int64, row_splits_dtype=tf.int64)
        for name in schema.record_names
    }
    return tf.io.parse_example(serialized, spec)


def count_impressions(serialized: tf.Tensor) -> tf.Tensor:
    """Number of candidates `[G]` int64 of each record."""
    spec = {"label": tf.io.RaggedFeature(tf.int64, row_splits_dtype=tf.int64)}
    return tf.io.parse_example(serialized, spec)["label"].row_lengths()


def check_first_record(schema: FeatureSchema, path: str) -> None:
    """Compares a file's first record with the schema; an empty file passes.

    Raises:
      RecordError: unreadable, not an Example, a feature missing, of another type, of an impossible length, or with an
        id beyond its table.
    """
    try:
        serialized = next(iter(tf.data.TFRecordDataset(path).take(1)), None)
    except tf.errors.OpError as error:
        raise RecordError(f"{path}: {error.message}") from error
    if serialized is None:
        return
    try:
        features = tf.train.Example.FromString(serialized.numpy()).features.feature
    except Exception as error:
        raise RecordError(f"{path}: the first record is not a tf.train.Example ({error})") from error
    missing = [name for name in schema.record_names if name not in features]
    if missing:
        raise RecordError(f"{path}: records of another schema: {schema.name!r} needs the features {missing}; "
                          f"the file has {sorted(features)}")
    for name in schema.record_names:
        kind = features[name].WhichOneof("kind")
        if kind not in (None, "int64_list"):
            raise RecordError(f"{path}: feature {name!r} is a {kind}, expected an int64_list")
    candidates = len(features["label"].int64_list.value)
    for names, expected in ((schema.user_names, 1), (schema.impression_names, candidates)):
        for name in names:
            found = len(features[name].int64_list.value)
            if found != expected:
                raise RecordError(
                    f"{path}: feature {name!r} has {found} values in the first record, expected {expected}")
    for name, rows in _table_rows(schema).items():
        outside = [value for value in features[name].int64_list.value if not 0 <= value < rows]
        if outside:
            raise RecordError(f"{path}: records of another schema: feature {name!r} has the id {outside[0]}, "
                              f"its table {rows} rows")


def _table_rows(schema: FeatureSchema) -> dict[str, int]:
    """Rows of the table that each id feature of a record reads."""
    rows = {feature.name: schema.tables[feature.table]
            for feature in (*schema.user, *schema.item, *schema.candidate, *schema.request)}
    rows.update({f"{history}_{feature.name}": schema.tables[feature.table]
                 for history in HISTORIES for feature in (*schema.item, *schema.context)})
    return rows


def count_records(path: str, digest: Digest | None = None) -> int:
    """Number of records of a file; follows their lengths without reading them.

    Args:
      path: of the file.
      digest: gets the length and the stored checksum of every record, which stand for the record's bytes.

    Raises:
      RecordError: the file ends within a record.
    """
    size = os.path.getsize(path)
    position = count = 0
    with open(path, "rb") as file:
        while position < size:
            file.seek(position)
            header = file.read(_HEADER_BYTES)
            length = struct.unpack("<Q", header[:8])[0] if len(header) == _HEADER_BYTES else 0
            position += _HEADER_BYTES + length + _FOOTER_BYTES
            if position > size:
                raise RecordError(f"{path}: truncated: its {size} bytes end within the record after record {count}")
            if digest is not None:
                file.seek(position - _FOOTER_BYTES)
                digest.update(header + file.read(_FOOTER_BYTES))
            count += 1
    return count


@contextlib.contextmanager
def naming_damage(paths: Iterable[str]) -> Iterator[None]:
    """Turns TensorFlow's error about damaged data into one that names the file and the last whole record.

    Raises:
      RecordError: instead of `tf.errors.DataLossError`.
    """
    try:
        yield
    except tf.errors.DataLossError as error:
        for path in paths:
            records = 0
            try:
                for _ in tf.data.TFRecordDataset(path):
                    records += 1
            except tf.errors.OpError as damage:
                raise RecordError(f"{path}: damaged after record {records}: {damage.message}") from error
        raise RecordError(error.message) from error
