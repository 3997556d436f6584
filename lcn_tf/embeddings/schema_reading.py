"""Which tensors of a batch hold ids of which table, and which of their ids a candidate sees."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import tensorflow as tf

from lcn_tf.schema import PADDING_ID, FeatureSchema

Batch = Mapping[str, tf.Tensor]


def readers(schema: FeatureSchema, exclude: Collection[str] = ()) -> dict[str, list[str]]:
    """Table name -> names of the batch tensors that hold ids of its rows.

    Args:
      schema: features.
      exclude: user, candidate and request features that are not read.
    """
    found: dict[str, list[str]] = {}
    sides = (feature for feature in (*schema.user, *schema.candidate, *schema.request) if feature.name not in exclude)
    for feature in (*schema.item, *sides):
        found.setdefault(feature.table, []).append(feature.name)
    for history in schema.histories:
        for feature in (*schema.item, *schema.stored_context(history)):
            found.setdefault(feature.table, []).append(f"{history}_{feature.name}")
    return found


def visible_events(batch: Batch, name: str, length: int) -> tf.Tensor:
    """Mask `[B, C, L]` bool: real events at positions `offset ... offset + length - 1` of the history."""
    mask = batch[f"{name}_mask"][:, tf.newaxis, :]  # [B, 1, L]
    offset = batch[f"{name}_offset"][:, :, tf.newaxis]  # [B, C, 1]
    position = tf.range(tf.shape(mask, offset.dtype)[2])
    return mask & (position >= offset) & (position < offset + length)


def seen_ids(schema: FeatureSchema, lengths: Mapping[str, int], batch: Batch) -> dict[str, tf.Tensor]:
    """Name of every id tensor -> bool of its shape: whether a real candidate sees the id."""
    real = batch["candidate_mask"]
    found = {feature.name: tf.reduce_any(real, axis=1) for feature in schema.user}
    found.update({feature.name: real for feature in (*schema.item, *schema.candidate, *schema.request)})
    found.update({name: found[name] & (batch[name] != PADDING_ID) for name in schema.several})
    for history, length in lengths.items():
        events = tf.reduce_any(visible_events(batch, history, length) & real[:, :, tf.newaxis], axis=1)  # [B, L]
        found.update({f"{history}_{feature.name}": events
                      for feature in (*schema.item, *schema.stored_context(history))})
    return found
