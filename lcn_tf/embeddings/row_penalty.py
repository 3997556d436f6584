"""The L2 penalty on the embedding rows that a batch reads.

Shape letters: B requests, C candidates, L events, N ids, U distinct ids, D table width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import tensorflow as tf

from lcn_tf.embeddings.batch_rows import Batch, attended_rows_name, places_name, search_rows_name
from lcn_tf.schema import PADDING_ID, TIME_GAP

if TYPE_CHECKING:
    from lcn_tf.embeddings.embedder import FeatureEmbedder


def row_penalty(embedder: FeatureEmbedder, batch: Batch) -> tf.Tensor:
    """This replica's share of `l2 / 2` times the sum of squares of the rows that the global batch reads.

    Every distinct row counts once, however often the batch names it, as in DIN's mini-batch aware regularisation (KDD
    2018, eq. 5) without its division by the number of occurrences: a step pulls it towards 0 by the learning rate times
    `l2` of itself, and costs what the batch costs. A row that several replicas read is divided among them, so that the
    penalty depends neither on their number nor on the layout. Not counted are rows of padding and of events that no
    candidate sees. Of the time gap's few buckets all count; of separate search tables those of the same ids, unless the
    tables are frozen.

    Args:
      embedder: its tables' configuration has `l2`.
      batch: of `embedder.look_up`.

    Returns:
      Scalar float32.
    """
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    seen, total = embedder.seen(batch), tf.constant(0.0)
    search = embedder.search_tables
    for table, names in embedder.readers().items():
        rows = batch[attended_rows_name(table)]
        ids = _joined([embedder.row_ids(batch, table, name) for name in names])
        places = _joined([batch[places_name(name)] for name in names])
        counted = _joined([seen[name] & (batch[name] != PADDING_ID) for name in names])
        shares = _shares(ids, places, counted, tf.shape(rows)[0], replicas)
        total += _squares(shares, rows)
        if search is not None and search.trainable and table in search.tables:
            total += _squares(shares, batch[search_rows_name(table)])
    if embedder.schema.time_gap_boundaries:
        total += _squares(1 / replicas, batch[attended_rows_name(TIME_GAP)])
    return embedder.tables.config.l2 / 2 * total


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
