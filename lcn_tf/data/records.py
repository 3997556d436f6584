"""Request groups as `tf.train.Example`: encoding, and vectorised parsing that lets no wrong record through.

Shape letters: G records, N impressions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import tensorflow as tf

from lcn_tf.data import record_rules
from lcn_tf.schema import FeatureSchema


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
    """Parses records `[G]` in one vectorised operation, and checks every value of them.

    Returns:
      Names of `schema.record_names` -> int64: `[G]` for user features, ragged `[G, n]` for all others.

    Raises:
      tf.errors.InvalidArgumentError: a record is not what `record_rules` asks for; `RecordFiles.naming_bad_records`
        says which, and why.
    """
    users = set(schema.user_names)
    spec = {
        name: tf.io.FixedLenFeature([], tf.int64) if name in users else
        tf.io.RaggedFeature(tf.int64, row_splits_dtype=tf.int64)
        for name in schema.record_names
    }
    parsed = tf.io.parse_example(serialized, spec)
    check = tf.raw_ops.Assert(
        condition=record_rules.fits(schema, parsed), data=[f"a record breaks the rules of {schema.name!r}"])
    with tf.control_dependencies([check]):  # before offsets decide how much memory a batch takes
        offsets = {name: tf.identity(parsed[name]) for name in (f"{history}_offset" for history in schema.histories)}
    return parsed | offsets


def count_impressions(serialized: tf.Tensor) -> tf.Tensor:
    """Number of candidates `[G]` int64 of each record."""
    spec = {"timestamp": tf.io.RaggedFeature(tf.int64, row_splits_dtype=tf.int64)}
    return tf.io.parse_example(serialized, spec)["timestamp"].row_lengths()
