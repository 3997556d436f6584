"""Files of serialized records as TensorFlow reads them: plain TFRecords, or each file gzipped as a whole."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from lcn_tf.data.record_bytes import compression_of

_OPEN_FILES = 16  # files read in turn; a data set may have hundreds


def in_order(paths: Sequence[str]) -> tf.data.Dataset:
    """The serialized records of files, one file after the other."""
    return _paths(paths).flat_map(tf.data.TFRecordDataset)


def in_turn(paths: Sequence[str]) -> tf.data.Dataset:
    """The serialized records of files, of which up to 16 are open at once and give one record each in turn.

    The order depends on the files alone.
    """
    return _paths(paths).interleave(tf.data.TFRecordDataset, cycle_length=min(len(paths), _OPEN_FILES))


def _paths(paths: Sequence[str]) -> tf.data.Dataset:
    """Pairs of path and compression."""
    return tf.data.Dataset.from_tensor_slices((list(paths), [compression_of(path) for path in paths]))
