"""The L2 penalty on the embedding rows that a batch reads.

Shape letters: B requests, C candidates, L events, N ids, U distinct ids, D table width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import tensorflow as tf

from lcn_tf.embeddings.row_reader import RowReader
from lcn_tf.embeddings.schema_reading import readers, seen_ids
from lcn_tf.schema import PADDING_ID, TIME_GAP


def row_penalty(reader: RowReader, lengths: Mapping[str, int]) -> tf.Tensor:
    """This replica's share of `l2 / 2` times the sum of squares of the rows that the global batch reads.

    Every distinct row counts once, however often the batch names it, as in DIN's mini-batch aware regularisation (KDD
    2018, eq. 5) without its division by the number of occurrences: a step pulls it towards 0 by the learning rate times
    `l2` of itself, and costs what the batch costs. A row that several replicas read is divided among them, so that the
    penalty depends neither on their number nor on the layout. Not counted are rows of padding and of events that no
    candidate sees. Of the time gap's few buckets all count; of separate search tables those of the same ids, unless the
    tables are frozen.

    Args:
      reader: of a batch that was looked up; the tables' configuration has `l2`.
      lengths: history name -> number of events a candidate sees.

    Returns:
      Scalar float32.
    """
    reading, batch = reader.reading, reader.batch
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    seen, total = seen_ids(reading.schema, lengths, batch), tf.constant(0.0)
    search = reading.search_tables
    for table, names in readers(reading.schema, reading.exclude).items():
        rows = reader.rows[table]
        ids = _joined([reading.row_ids(batch, table, name) for name in names])
        places = _joined([reader.places[name] for name in names])
        counted = _joined([seen[name] & (batch[name] != PADDING_ID) for name in names])
        shares = _shares(ids, places, counted, tf.shape(rows.attended)[0], replicas)
        total += _squares(shares, rows.attended)
        if rows.search is not None and search is not None and search.trainable:
            total += _squares(shares, rows.search)
    if reading.schema.time_gap_boundaries:
        total += _squares(1 / replicas, reader.rows[TIME_GAP].attended)
    return reading.tables.config.l2 / 2 * total


def _joined(tensors: Sequence[tf.Tensor]) -> tf.Tensor:
    return tf.concat([tf.reshape(tensor, [-1]) for tensor in tensors], 0)


def _shares(ids: tf.Tensor, places: tf.Tensor, counted: tf.Tensor, size: tf.Tensor, replicas: int) -> tf.Tensor:
    """Of each distinct id `[U]`: 1 / (the replicas that have it), 0 where this one does not count it.

    Args:
      ids: int64 `[N]`.
      places: int32 `[N]`, of each id among the distinct ones.
      counted: bool `[N]`.
      size: U; rows of other ids (negatives that were drawn) may be among them.
      replicas: their number.
    """
    named = tf.boolean_mask(places, counted)
    own = tf.raw_ops.DenseBincount(input=named, size=size, weights=tf.zeros([0]), binary_output=True)  # [U]
    if replicas == 1:
        return own
    distinct = tf.math.unsorted_segment_max(ids, places, size)  # [U]
    everyone = tf.sort(tf.distribute.get_replica_context().all_gather(tf.boolean_mask(distinct, own > 0), axis=0))
    holders = tf.searchsorted(everyone, distinct, "right") - tf.searchsorted(everyone, distinct, "left")
    return tf.math.divide_no_nan(own, tf.cast(holders, tf.float32))


def _squares(shares: tf.Tensor | float, rows: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(shares * tf.reduce_sum(tf.square(rows), axis=-1))
