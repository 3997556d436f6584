"""Adds to a batch what a lifelong model contrasts its events with: for each an event of some user of the whole batch.

Shapes: B requests, C candidates, L events, n events that get a negative.
"""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow as tf

from lcn_tf.embeddings.row_reader import NEGATIVE
from lcn_tf.ops.negative_events import draw_negative_events
from lcn_tf.ops.pair_sampling import event_windows
from lcn_tf.schema import PADDING_ID, FeatureSchema


def negative_pool(schema: FeatureSchema) -> str:
    """Name of the history that negatives are drawn from: the newest events of the lifelong history's domain."""
    return schema.short_of(schema.source)


def negative_pool_names(schema: FeatureSchema) -> tuple[str, ...]:
    """Names of the batch tensors that negatives are drawn from."""
    pool = negative_pool(schema)
    return ("candidate_mask", f"{pool}_mask", f"{pool}_offset", *(f"{pool}_{field.name}" for field in schema.item))


def add_negative_events(batch: Mapping[str, tf.Tensor], everyone: Mapping[str, tf.Tensor], schema: FeatureSchema,
                        pool_length: int, newest: int | None, seed: tf.Tensor) -> dict[str, tf.Tensor]:
    """The batch with an item for each lifelong event: of the short source history of a candidate of the whole batch.

    Args:
      batch: of this replica.
      everyone: the tensors of `negative_pool_names` of all replicas.
      schema: features.
      pool_length: events of a candidate's short source history.
      newest: visible events of each candidate that need a negative; None for all.
      seed: int64 `[2]`; the same seed gives the same negatives.

    Returns:
      `batch` and per item feature its ids, int64 `[B, n]`, under `NEGATIVE` and its name; padding where there are none.
    """
    lifelong, pool = schema.lifelong, negative_pool(schema)
    count = tf.shape(batch[f"{lifelong}_timestamp"])[1]
    if newest is not None:
        hidden = tf.reduce_max(tf.concat([[0], tf.reshape(batch[f"{lifelong}_offset"], [-1])], 0))
        count = tf.minimum(count, newest + tf.cast(hidden, tf.int32))
    names = (*(field.name for field in schema.item), "timestamp")
    ids = tf.stack([batch[f"{lifelong}_{name}"][:, :count] for name in names], -1)  # [B, n, fields + 1]
    ids = tf.concat([ids, tf.broadcast_to(seed, tf.concat([tf.shape(ids)[:2], [2]], 0))], -1)
    windows = event_windows(everyone[f"{pool}_mask"], everyone[f"{pool}_offset"], pool_length)
    places, valid = draw_negative_events(ids, windows, tf.reshape(everyone["candidate_mask"], [-1]))
    added = {}
    for field in schema.item:
        ids_of_pool = tf.concat([tf.reshape(everyone[f"{pool}_{field.name}"], [-1]), [PADDING_ID]], 0)
        added[f"{NEGATIVE}{field.name}"] = tf.where(valid, tf.gather(ids_of_pool, places), PADDING_ID)
    return {**batch, **added}
