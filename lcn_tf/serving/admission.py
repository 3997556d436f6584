"""A request as a client sends it -> a batch that the model can score, and what is odd about it.

A server merges requests of several clients, so that one bad id must not fail the others: it counts as out of
vocabulary. Padding is skipped wherever it stands. Whatever can be answered but is likely a mistake of the client is
counted per request (`WARNINGS`); a team sets alarms on these counts.

Shape letters: B requests, C candidates, L events, N values, F fields.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from lcn_tf.models.requests import complete_request, request_names
from lcn_tf.schema import OOV_ID, PADDING_ID, Feature, FeatureSchema

Request = Mapping[str, tf.Tensor]
Counts = dict[str, tf.Tensor]

LAST_SECOND = 10**11  # the year 5138; in milliseconds the year 1973

OUTSIDE_TABLES = "warning_ids_outside_tables"
PADDING_BEFORE_EVENTS = "warning_padding_before_events"
OUT_OF_ORDER = "warning_events_out_of_order"
BEFORE_EVENTS = "warning_candidates_before_events"
NOT_SECONDS = "warning_timestamps_not_seconds"

WARNINGS = {
    OUTSIDE_TABLES: "ids that are negative or not below their table's rows; each is read as id 1, out of vocabulary",
    PADDING_BEFORE_EVENTS: "padded positions with an event behind them; they are skipped, padding belongs at the end",
    OUT_OF_ORDER: "events more recent than the one before them; a history is most recent first",
    BEFORE_EVENTS: "candidates whose timestamp is before that of an event in a history of their request",
    NOT_SECONDS: f"timestamps below 0 or above {LAST_SECOND}, which are not seconds (milliseconds?)",
}


def admit(schema: FeatureSchema, lengths: Mapping[str, int], request: Request) -> tuple[dict[str, tf.Tensor], Counts]:
    """Makes a batch of a request and counts what is odd about it.

    Args:
      schema: features and tables.
      lengths: history name -> events that the model reads.
      request: tensors of `request_names`, int64.

    Returns:
      batch: histories without padding in front of events, cut to the model's lengths, at least one (padded) event long;
        every id within its table; masks, zero offsets.
      warnings: int32 `[B]` by the names of `WARNINGS`, of what the model reads: not of padding, nor of events beyond
        the model's lengths.

    Raises:
      tf.errors.InvalidArgumentError: tensors of one part that differ in shape; the message has the names.
    """
    users, impressions, _ = request_names(schema)
    request = _of_equal_shape(schema, request)
    histories, skipped = _without_gaps(
        [tf.stack([request[name] for name in schema.history_names(history)]) for history in lengths])  # [F, B, L] each
    histories = [values[:, :, :length] for values, length in zip(histories, lengths.values(), strict=True)]
    candidates = tf.stack([request[name] for name in impressions])  # [F, B, C], the timestamp is the last
    real_candidate = tf.not_equal(candidates[0], PADDING_ID)

    candidate_ids, outside = _within_tables(
        schema, (*schema.item, *schema.candidate, *schema.request), candidates[:-1], real_candidate)
    batch = dict(zip(impressions, (*tf.unstack(candidate_ids), candidates[-1]), strict=True))
    by_context: dict[tuple[Feature, ...], dict[str, tf.Tensor]] = {}  # histories of the same fields in one operation
    for history, values in zip(lengths, histories, strict=True):
        by_context.setdefault(schema.stored_context(history), {})[history] = values
    for context, alike in by_context.items():
        events = tf.concat(list(alike.values()), axis=2)  # [F, B, L], the timestamp is the last
        event_ids, outside_events = _within_tables(
            schema, (*schema.item, *context), events[:-1], tf.not_equal(events[0], PADDING_ID))
        outside += outside_events
        parts = tf.split(event_ids, [tf.shape(values)[2] for values in alike.values()], axis=2)
        for (history, values), ids in zip(alike.items(), parts, strict=True):
            batch.update(zip(schema.history_names(history), (*tf.unstack(ids), values[-1]), strict=True))
    if users:
        values = tf.stack([request[name] for name in users])[:, :, tf.newaxis]  # [F, B, 1]
        ids, outside_users = _within_tables(schema, schema.user, values, tf.ones_like(values[0], tf.bool))
        batch.update(zip(users, tf.unstack(ids[:, :, 0]), strict=True))
        outside += outside_users

    moments, items = (tf.concat([values[place] for values in histories], axis=1) for place in (-1, 0))  # [B, L]
    real_event = tf.not_equal(items, PADDING_ID)
    newest = tf.reduce_max(tf.where(real_event, moments, tf.int64.min), axis=1, keepdims=True)  # [B, 1]
    timestamps = tf.concat([moments, candidates[-1]], axis=1)
    wrong = (timestamps < 0) | (timestamps > LAST_SECOND)
    return complete_request(schema, batch), {
        OUTSIDE_TABLES: outside,
        PADDING_BEFORE_EVENTS: skipped,
        OUT_OF_ORDER: _count(tf.concat([_later_than_the_one_before(values) for values in histories], axis=1)),
        BEFORE_EVENTS: _count(real_candidate & (candidates[-1] < newest)),
        NOT_SECONDS: _count(wrong & tf.concat([real_event, real_candidate], axis=1)),
    }


def _without_gaps(histories: Sequence[tf.Tensor]) -> tuple[Sequence[tf.Tensor], tf.Tensor]:
    """Moves the events of histories `[F, B, L]` in front of all padding; each L is at least 1 afterwards.

    Returns:
      The histories, and how many padded positions of each request stood before an event, int32 `[B]`.
    """
    histories = [tf.pad(values, [[0, 0], [0, 0], [0, tf.maximum(1 - tf.shape(values)[2], 0)]]) for values in histories]
    real = [tf.not_equal(values[0], PADDING_ID) for values in histories]
    ends = [tf.reduce_max(tf.where(mask, tf.range(1, tf.shape(mask)[1] + 1), 0), axis=1) for mask in real]
    skipped = functools.reduce(operator.add, ends) - _count(tf.concat(real, axis=1))  # ONNX's `Sum` takes no integers

    def moved() -> list[tf.Tensor]:
        # Of equal numbers, `top_k` takes the first one first: events come before padding, each in their order.
        places = [tf.math.top_k(tf.cast(mask, tf.int32), tf.shape(mask)[1]).indices for mask in real]
        return [tf.gather(values, tf.broadcast_to(order, tf.shape(values)), batch_dims=2)
                for values, order in zip(histories, places, strict=True)]

    return tf.cond(tf.reduce_any(skipped > 0), moved, lambda: histories), skipped


def _within_tables(schema: FeatureSchema, features: Sequence[Feature], ids: tf.Tensor, real: tf.Tensor
                   ) -> tuple[tf.Tensor, tf.Tensor]:
    """Ids `[F, B, N]` with those outside their tables replaced, and how many these are where `real [B, N]`: `[B]`."""
    rows = tf.constant([schema.tables[feature.table] for feature in features], tf.int64)[:, tf.newaxis, tf.newaxis]
    outside = (ids < 0) | (ids >= rows)
    counted = tf.reduce_sum(tf.cast(outside & real, tf.int32), axis=[0, 2])
    return tf.where(outside, tf.constant(OOV_ID, tf.int64), ids), counted


def _later_than_the_one_before(values: tf.Tensor) -> tf.Tensor:
    """Which events of a history `[F, B, L]` are more recent than the one before them, bool `[B, L - 1]`."""
    timestamp = values[-1]
    return (timestamp[:, 1:] > timestamp[:, :-1]) & tf.not_equal(values[0, :, 1:], PADDING_ID)


def _count(values: tf.Tensor) -> tf.Tensor:
    """How many of `[B, N]` bool are True, int32 `[B]`."""
    return tf.reduce_sum(tf.cast(values, tf.int32), axis=1)


def _of_equal_shape(schema: FeatureSchema, request: Request) -> dict[str, tf.Tensor]:
    """The named tensors, checked: those of one part have one shape, and all have the same number of requests."""
    users, impressions, histories = request_names(schema)
    requests = tf.shape(request["timestamp"])[:1]
    checks = [_assert_shape(request, names, tf.shape(request["timestamp"])[:rank], "timestamp")
              for names, rank in ((users, 1), (impressions, 2)) if names]
    for history in schema.histories:
        names = schema.history_names(history)
        shape = tf.concat([requests, tf.shape(request[names[0]])[1:]], 0)
        checks.append(_assert_shape(request, names, shape, names[0]))
    with tf.control_dependencies(checks):
        return {name: tf.identity(request[name]) for name in (*users, *impressions, *histories)}


def _assert_shape(request: Request, names: Sequence[str], expected: tf.Tensor, like: str) -> Any:
    """One check for several tensors: as many as there are features would cost more than some models."""
    shapes = tf.stack([tf.shape(request[name]) for name in names])
    wrong = tf.reduce_any(tf.not_equal(shapes, expected), axis=1)
    message = tf.strings.reduce_join(tf.boolean_mask(tf.constant(names), wrong), separator=", ")
    message += f" must have the shape of {like}, and timestamp's number of requests"
    return tf.debugging.Assert(~tf.reduce_any(wrong), [message])
