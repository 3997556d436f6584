"""Real request groups in the forms a server takes them, beside the same impressions as training reads them.

A record may hide newer events from a candidate by an offset; a request cannot, since serving happens after every event.
Candidates of one record with the same offsets become one request whose histories start behind the hidden events.

Shape letters: G requests, C candidates, L events, N impressions.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from lcn_tf.data import pipeline, records, tfrecords
from lcn_tf.data.pipeline import DataConfig, RecordFiles
from lcn_tf.models.requests import request_names
from lcn_tf.schema import PADDING_ID, FeatureSchema

Values = dict[str, list[int]]


@dataclasses.dataclass(frozen=True)
class RecordedRequests:
    """Requests with the impressions they were made of.

    Attributes:
      tensors: what `serving_default` takes: name -> int64 `[G]`, `[G, C]` or `[G, L]`, padded with id 0.
      examples: what `serving_examples` takes: G serialized groups.
      impressions: the N impressions as a batch of the `flat` layout, `[N, 1]`, request by request.
      position: int64 `[N, 2]`, request and candidate of each impression.
    """

    tensors: dict[str, np.ndarray]
    examples: list[bytes]
    impressions: dict[str, tf.Tensor]
    position: np.ndarray

    def arrange(self, values: np.ndarray) -> np.ndarray:
        """Values `[N]` of the impressions -> `[G, C]`, 0 at padded candidates."""
        arranged = np.zeros((len(self.examples), self.position[:, 1].max() + 1), values.dtype)
        arranged[self.position[:, 0], self.position[:, 1]] = values
        return arranged


def requests_from_records(files: RecordFiles, split: str, data: DataConfig, records_read: int, most: int
                          ) -> RecordedRequests:
    """Requests of the first records of a split.

    A record whose candidates differ in what they may see makes many requests. Of more than `most`, those are kept that
    spread evenly over the sizes: the smallest, the largest, and what lies between.

    Args:
      files: an opened data set.
      split: train, validation or test.
      data: lengths of the histories that training sees; requests keep whatever the records hold.
      records_read: records to read, of those that have candidates.
      most: requests to keep at most.

    Raises:
      RecordError: a record that is not of the schema.
    """
    schema = files.schema
    with files.naming_bad_records():
        stored = tfrecords.in_order(files.paths_of(split)).filter(
            lambda record: records.count_impressions(record[tf.newaxis])[0] > 0)
        serialized = list(stored.take(records_read).as_numpy_iterator())
    found = [part for record in serialized for part in requests_of(schema, record)]
    found = [found[index] for index in _spread_over_sizes([_size_of(schema, request) for _, request in found], most)]
    requests = [request for _, request in found]
    serialized_parts = [records.encode(schema, part) for part, _ in found]
    position = [(place, candidate) for place, (part, _) in enumerate(found)
                for candidate in range(len(part["timestamp"]))]
    with files.naming_bad_records():
        impressions = pipeline.flat_rows(schema, tf.constant(serialized_parts), data.lengths_of(schema))
    return RecordedRequests(
        tensors=named_tensors(schema, requests),
        examples=[encode_request(schema, request) for request in requests],
        impressions=impressions,
        position=np.array(position))


def encode_request(schema: FeatureSchema, request: Mapping[str, Sequence[int]]) -> bytes:
    """Serializes one request of `request_names`: a record without what only training needs."""
    names = (name for part in request_names(schema) for name in part)
    features = {name: tf.train.Feature(int64_list=tf.train.Int64List(value=request[name])) for name in names}
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString(deterministic=True)


def named_tensors(schema: FeatureSchema, requests: Sequence[Mapping[str, Sequence[int]]]) -> dict[str, np.ndarray]:
    """Requests -> int64 arrays `[G]`, `[G, C]` and `[G, L]`, padded with id 0 to the largest C and L of each part."""
    users, impressions, _ = request_names(schema)
    tensors = {name: np.array([request[name][0] for request in requests], np.int64) for name in users}
    for names in (impressions, *(schema.history_names(history) for history in schema.histories)):
        longest = max(len(request[names[0]]) for request in requests)
        for name in names:
            tensors[name] = np.full((len(requests), longest), PADDING_ID, np.int64)
            for row, request in enumerate(requests):
                tensors[name][row, :len(request[name])] = request[name]
    return tensors


def requests_of(schema: FeatureSchema, record: bytes) -> list[tuple[Values, Values]]:
    """For each combination of offsets in a record: the record with these candidates alone, and their request."""
    features = tf.train.Example.FromString(record).features.feature
    values = {name: list(features[name].int64_list.value) for name in schema.record_names}
    users, impressions, _ = request_names(schema)
    together: dict[tuple[int, ...], list[int]] = {}
    offsets = zip(*(values[f"{history}_offset"] for history in schema.histories), strict=True)
    for candidate, hidden in enumerate(offsets):
        together.setdefault(hidden, []).append(candidate)
    parts = []
    for hidden, members in together.items():
        chosen = {name: [values[name][member] for member in members] for name in schema.impression_names}
        request = {name: values[name] for name in users} | {name: chosen[name] for name in impressions}
        for history, offset in zip(schema.histories, hidden, strict=True):
            request.update({name: values[name][offset:] for name in schema.history_names(history)})
        parts.append(({**values, **chosen}, request))
    return parts


def _size_of(schema: FeatureSchema, request: Values) -> tuple[int, int]:
    """Candidates and events of a request."""
    events = sum(len(request[schema.history_names(history)[0]]) for history in schema.histories)
    return len(request["timestamp"]), events


def _spread_over_sizes(sizes: Sequence[tuple[int, int]], most: int) -> list[int]:
    """Increasing indices of at most so many sizes, at even steps through them in order, ends included."""
    if len(sizes) <= most:
        return list(range(len(sizes)))
    ordered = sorted(range(len(sizes)), key=sizes.__getitem__)
    return sorted(ordered[round(step)] for step in np.linspace(0, len(sizes) - 1, most))
