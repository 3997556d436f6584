"""What a model's input looks like: an example batch, and completing a serving request.

Shape letters: B requests, C candidates, L events.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import tensorflow as tf

from lcn_tf.schema import PADDING_ID, Feature, FeatureSchema


def request_names(schema: FeatureSchema) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Names a serving request must give: those of shape `[B]`, of shape `[B, C]` and of shape `[B, L]`; all int64."""
    users = tuple(feature.name for feature in schema.user)
    histories = tuple(name for history in schema.histories for name in schema.history_names(history))
    return users, (*schema.candidate_names, "timestamp"), histories


def identifying_feature(schema: FeatureSchema, features: Sequence[Feature]) -> str:
    """Name of the feature that tells apart best: of those with one value the one with the largest table."""
    single = [feature for feature in features if feature.name not in schema.several]
    return max(single, key=lambda feature: schema.tables[feature.table]).name


def user_feature(schema: FeatureSchema) -> str | None:
    """Name of the feature that tells users apart, None where no user feature has one value.

    Users whose id is 0 or 1 (padding, out of vocabulary) have none of their own.
    """
    single = {feature.name for feature in schema.user} - schema.several
    return identifying_feature(schema, schema.user) if single else None


def complete_request(schema: FeatureSchema, request: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Adds masks (ids other than padding) and zero offsets to a request of the names of `request_names`."""
    batch = dict(request)
    first = schema.item[0].name
    batch["candidate_mask"] = tf.not_equal(request[first], PADDING_ID)
    for history in schema.histories:
        batch[f"{history}_offset"] = tf.zeros_like(request["timestamp"])
        batch[f"{history}_mask"] = tf.not_equal(request[f"{history}_{first}"], PADDING_ID)
    return batch


def example_batch(schema: FeatureSchema, lengths: Mapping[str, int]) -> dict[str, tf.Tensor]:
    """A batch of padding with B = C = 1, to build a model's weights with."""
    users, impressions, _ = request_names(schema)
    request = {name: tf.zeros([1], tf.int64) for name in users}
    request.update({name: tf.zeros([1, 1], tf.int64) for name in impressions})
    for history in schema.histories:
        for name in schema.history_names(history):
            request[name] = tf.zeros([1, lengths[history]], tf.int64)
    return complete_request(schema, request)
