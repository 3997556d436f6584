"""Batches in memory for benchmarks of the model alone: every history full, item ids drawn from a Zipf law.

The schema has one item field, one field each of the user and the request, and by default, as that of the Taobao data
has, two context fields of every event: its type and the bucket of its time gap. All candidates of a request are shown
at one moment, and every request has a user of its own. As in prepared data, small ids are those of frequent items.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from data_prep.taobao.config import TIME_GAP_BOUNDARIES
from lcn_tf.schema import FIRST_ID, TIME_GAP, Feature, FeatureSchema, usual_histories

ITEM, AGE, SLOT, TYPE = "item_id", "age", "slot", "type"
LAYOUTS = ("flat", "grouped")

_AGES, _SLOTS, _TYPES = 8, 4, 6  # rows of small tables
_MOMENT = 1_700_000_000
_MOST_SECONDS_APART = 20_000  # two events in a row
_CLICK_RATE = 0.3

Batch = dict[str, tf.Tensor]


def make_schema(table_rows: int, short_length: int, lifelong_length: int, context: bool = True) -> FeatureSchema:
    """The schema.

    Args:
      table_rows: of the item table, padding and out-of-vocabulary rows included.
      short_length, lifelong_length: events of the histories.
      context: whether events have a type and a time gap.
    """
    boundaries = TIME_GAP_BOUNDARIES if context else ()
    tables = {ITEM: table_rows, AGE: _AGES, SLOT: _SLOTS}
    if context:
        tables.update({TYPE: _TYPES, TIME_GAP: FIRST_ID + len(boundaries) + 1})
    return FeatureSchema(
        name="synthetic_batches", tables=tables, user=(Feature(AGE, AGE),), item=(Feature(ITEM, ITEM),), candidate=(),
        request=(Feature(SLOT, SLOT),), context=(Feature(TYPE, TYPE),) if context else (),
        histories=usual_histories(short_length, lifelong_length), time_gap_boundaries=boundaries)


def make_batch(schema: FeatureSchema, requests: int, candidates: int, seed: int = 1, law_ids: int | None = None
               ) -> Batch:
    """Random requests with full histories, as `lcn_tf.data.pipeline` would batch them.

    Args:
      schema: of any kind; item ids follow a Zipf law, all others are equally frequent.
      requests: B.
      candidates: C of every request.
      seed: of every draw.
      law_ids: number of ids of the Zipf law, spread evenly over the rows of the table; all its rows by default.
    """
    rng = np.random.default_rng(seed)
    cumulative = {}
    for feature in schema.item:
        rows = schema.tables[feature.table] - FIRST_ID
        number = min(law_ids or rows, rows)
        cumulative[feature.name] = np.cumsum(1.0 / np.arange(1, number + 1)), rows // number

    def ids(feature: Feature, *shape: int) -> np.ndarray:
        if feature.name in cumulative:
            law, step = cumulative[feature.name]
            return FIRST_ID + step * np.searchsorted(law, rng.random(shape) * law[-1], side="right")
        return rng.integers(FIRST_ID, schema.tables[feature.table], shape)

    impressions = (requests, candidates)
    batch = {"user_key": np.arange(requests)}
    batch.update({feature.name: ids(feature, requests) for feature in schema.user})
    batch.update({feature.name: ids(feature, *impressions)
                  for feature in (*schema.item, *schema.candidate, *schema.request)})
    batch["label"] = (rng.random(impressions) < _CLICK_RATE).astype(np.float32)
    batch["timestamp"] = np.full(impressions, _MOMENT)
    batch["impression_id"] = np.arange(requests * candidates).reshape(impressions)
    batch["row_number"] = batch["impression_id"]
    batch["candidate_mask"] = np.ones(impressions, bool)
    for history in schema.histories:
        shape = (requests, schema.lengths[history])
        for feature in (*schema.item, *schema.context):
            batch[f"{history}_{feature.name}"] = ids(feature, *shape)
        batch[f"{history}_timestamp"] = _MOMENT - np.cumsum(rng.integers(1, _MOST_SECONDS_APART, shape), axis=1)
        batch[f"{history}_mask"] = np.ones(shape, bool)
        batch[f"{history}_offset"] = np.zeros(impressions, np.int64)
    return {name: tf.constant(values) for name, values in batch.items()}


def signature(schema: FeatureSchema, batch: Batch, layout: str) -> dict[str, tf.TensorSpec]:
    """What the pipeline tells `fit` of a batch in one of the `LAYOUTS`; flat batches have C = 1."""
    of_events = {f"{history}_mask": history for history in schema.histories}
    of_events.update({name: history for history in schema.histories for name in schema.history_names(history)})

    def spec(name: str, tensor: tf.Tensor) -> tf.TensorSpec:
        flat_width = schema.lengths[of_events[name]] if name in of_events else 1
        width = [] if tensor.shape.rank == 1 else [flat_width if layout == "flat" else None]
        return tf.TensorSpec([None, *width], tensor.dtype, name)

    return {name: spec(name, tensor) for name, tensor in batch.items()}
