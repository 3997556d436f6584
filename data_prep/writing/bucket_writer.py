"""Encoded tables -> TFRecord shards, one bucket of users at a time."""

from __future__ import annotations

import dataclasses
import glob
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from data_prep.errors import OutputError
from data_prep.writing import tfrecord
from data_prep.writing.examples import Column, ExampleEncoder, Slices
from data_prep.writing.histories import UserSequences
from data_prep.writing.output_folder import write_json
from lcn_tf import json_files
from lcn_tf.data.prepared_folder import SPLITS
from lcn_tf.data.record_bytes import Fingerprint
from lcn_tf.schema import TARGET, UNCLICKED, FeatureSchema
from lcn_tf.whole_files import replacing

_IMPRESSION_KEYS = ("user", "split", "moment", "cutoff", "timestamp", "impression_id")
_EVENT_KEYS = ("user", "timestamp", "row", "is_target")


@dataclasses.dataclass(frozen=True)
class BucketWriter:
    """Writes the shards of a bucket, then a summary that says they are whole; picklable.

    Attributes:
      records: folder of the shards, `{schema.name}-{split}.tfrecord-0000i-of-0000N` for bucket i.
      work: folder of `impressions/bucket=i/*.parquet`, `events/bucket=i/*.parquet` and `summaries/`.
      schema: of the records.
      splits: those that there are.
      buckets: their number, that of the shards of a split.
      exclude_recent: the lifelong history begins after the short one of its domain.
      max_candidates: impressions of a record at most, or None.
    """

    records: str
    work: str
    schema: FeatureSchema
    splits: tuple[str, ...]
    buckets: int
    exclude_recent: bool
    max_candidates: int | None

    def summary_path(self, bucket: int) -> str:
        """The file that says a bucket is written."""
        return os.path.join(self.work, "summaries", f"{bucket}.json")

    def shard_name(self, split: str, bucket: int) -> str:
        """Name of a bucket's file of a split."""
        return f"{self.schema.name}-{split}.tfrecord-{bucket:05d}-of-{self.buckets:05d}"

    def fingerprint(self) -> str:
        """Of all records, once they are written (`lcn_tf.data.record_bytes.Fingerprint`)."""
        found = Fingerprint(self.schema.fingerprint)
        for split in self.splits:
            found.begin(split)
            for bucket in range(self.buckets):
                found.add(os.path.join(self.records, self.shard_name(split, bucket)))
        return found.digits

    def __call__(self, bucket: int) -> None:
        """Writes a bucket; its files appear when they are whole.

        Raises:
          OutputError: they cannot be written.
        """
        try:
            write_json(self.summary_path(bucket), self._write(bucket))
        except OSError as error:
            raise OutputError(f"shard {bucket} cannot be written: {error}") from error

    def _write(self, bucket: int) -> dict[str, dict[str, Any]]:
        """Writes the shards and returns what is in them.

        `clicks` are the impressions with the first label, `labels` has those with each other one; beside a history's
        name are the impressions that see events.
        """
        user, acted = ([feature.name for feature in features] for features in (
            self.schema.user, (*self.schema.item, *self.schema.context)))
        impressions = _read(os.path.join(self.work, "impressions"), bucket,
                            (*_IMPRESSION_KEYS, *user, *self.schema.candidate_names, *self.schema.label_keys))
        groups = _Groups(impressions, self.max_candidates)
        events = _read(os.path.join(self.work, "events"), bucket, (*_EVENT_KEYS, *acted))
        features, has_events = self._features(groups, events)
        encoder = ExampleEncoder(features)
        sizes = np.diff(groups.bounds)
        positives = [groups.total(groups.column(key)) for key in self.schema.label_keys]
        names = [label.name for label in self.schema.labels[1:]]
        summary = {}
        for split in self.splits:
            number = SPLITS.index(split)
            chosen = groups.order[groups.first("split")[groups.order] == number]
            path = self.shard_name(split, bucket)
            partial = os.path.join(self.work, f"{path}.{os.getpid()}")
            with replacing(os.path.join(self.records, path), "wb", partial, sync=False) as file:
                written = tfrecord.write(file, map(encoder.serialize, chosen.tolist()))
            clicks, *others = (int(found[chosen].sum()) for found in positives)
            summary[split] = {
                "groups": len(chosen), "impressions": int(sizes[chosen].sum()),
                "largest_group": int(sizes[chosen].max(initial=0)), "clicks": clicks,
                "labels": dict(zip(names, others, strict=True)),
                "users": len(np.unique(groups.first("user")[chosen])), "bytes": written,
                **{history: int(np.count_nonzero(found[groups.column("split") == number]))
                   for history, found in has_events.items()}}
        return summary

    def _features(self, groups: _Groups, events: Mapping[str, np.ndarray]
                  ) -> tuple[dict[str, Slices], dict[str, np.ndarray]]:
        """Name -> slices of every record, in the order of `schema.record_names`; history -> whether each impression
        sees an event in it, `[N]` bool."""
        schema, one_each = self.schema, np.arange(len(groups.bounds))
        acted_on = [feature.name for feature in schema.item]
        features, offsets, histories, has_events = {}, {}, {}, {}
        sequences = {is_target: _Sequences(events, events["is_target"] == is_target) for is_target in (True, False)}
        unclicked = None
        if UNCLICKED in schema.histories:
            shown = {name: groups.column(name) for name in ("user", "timestamp", *acted_on)}
            unclicked = _Sequences({**shown, "row": groups.column("impression_id")},
                                   groups.column(schema.label_keys[0]) == 0)
        for history, spec in schema.histories.items():
            lifelong = spec.kind == "lifelong"
            skipped = schema.lengths[schema.short_of(spec.domain)] if self.exclude_recent and lifelong else 0
            domain = unclicked if history == UNCLICKED else sequences[spec.domain == TARGET]
            starts, stops = domain.slices(
                groups.column("user"), groups.column("cutoff"), skipped, schema.lengths[history])
            has_events[history] = starts < stops
            # What is stored goes from the newest event that any candidate sees to the oldest.
            firsts = groups.least(starts)
            lasts = np.maximum(groups.most(np.where(starts < stops, stops, 0)), firsts)
            sizes = np.diff(groups.bounds)
            offsets[f"{history}_offset"] = np.minimum(starts, np.repeat(lasts, sizes)) - np.repeat(firsts, sizes)
            for name in schema.history_names(history):
                histories[name] = domain.column(name.removeprefix(f"{history}_")).slices(firsts, lasts)
        for name in schema.user_names:
            values = groups.first("user" if name == "user_key" else name)
            features[name] = Column(values).slices(one_each[:-1], one_each[1:])
        for name in schema.impression_names:
            values = offsets[name] if name in offsets else groups.column(name)
            features[name] = Column(values).slices(groups.bounds[:-1], groups.bounds[1:])
        return {name: {**features, **histories}[name] for name in schema.record_names}, has_events


class _Groups:
    """The impressions of a bucket, ordered, and where each record begins.

    Args:
      impressions: columns, `[N]` each.
      max_candidates: impressions of a record at most, or None.

    Attributes:
      bounds: `[G + 1]` int64, positions of the records' first impressions, and N.
      order: `[G]` int64, in which records are written: fixed, with a user's records apart, so that a shuffle buffer
        sees many users at once.
    """

    def __init__(self, impressions: Mapping[str, np.ndarray], max_candidates: int | None):
        keys = ("user", "split", "moment", "timestamp", "impression_id")
        rows = _ascending(*(impressions[name] for name in keys))
        self._columns = {name: values[rows] for name, values in impressions.items()}
        user, split, moment = (self.column(name) for name in keys[:3])
        changes = (user[1:] != user[:-1]) | (split[1:] != split[:-1]) | (moment[1:] != moment[:-1])
        bounds = np.flatnonzero(np.concatenate([[True], changes, [True]])) if len(user) else np.zeros(1, np.int64)
        if max_candidates:
            parts = -(-np.diff(bounds) // max_candidates)
            within = np.arange(parts.sum()) - np.repeat(np.cumsum(parts) - parts, parts)
            bounds = np.append(np.repeat(bounds[:-1], parts) + within * max_candidates, bounds[-1:])
        self.bounds = bounds
        users, times = self.first("user"), self.first("timestamp")
        self.order = np.lexsort((times, users, _mixed(_mixed(users.view(np.uint64)) ^ times.view(np.uint64))))

    def column(self, name: str) -> np.ndarray:
        """`[N]` values of the ordered impressions."""
        return self._columns[name]

    def first(self, name: str) -> np.ndarray:
        """`[G]` values of the records' first impressions."""
        return self._columns[name][self.bounds[:-1]]

    def total(self, values: np.ndarray) -> np.ndarray:
        """`[N]` -> `[G]`, the sum over each record."""
        return np.add.reduceat(values, self.bounds[:-1]) if len(values) else values

    def least(self, values: np.ndarray) -> np.ndarray:
        """`[N]` -> `[G]`, the smallest of each record."""
        return np.minimum.reduceat(values, self.bounds[:-1]) if len(values) else values

    def most(self, values: np.ndarray) -> np.ndarray:
        """`[N]` -> `[G]`, the largest of each record."""
        return np.maximum.reduceat(values, self.bounds[:-1]) if len(values) else values


class _Sequences:
    """Some events of a bucket: user by user, most recent first, later rows of a second first."""

    def __init__(self, events: Mapping[str, np.ndarray], chosen: np.ndarray):
        rows = np.flatnonzero(chosen)
        order = rows[_ascending(events["user"][rows], -events["timestamp"][rows], -events["row"][rows])]
        self._events, self._order, self._columns = events, order, {}
        self.slices = UserSequences(events["user"][order], events["timestamp"][order]).slices

    def column(self, name: str) -> Column:
        """The encoded values of a column; encoded once."""
        if name not in self._columns:
            self._columns[name] = Column(self._events[name][self._order])
        return self._columns[name]


def read_summary(path: str) -> dict[str, dict[str, Any]]:
    """What a bucket's summary says: split -> counts."""
    return json_files.read(path, {str: dict})


def _read(folder: str, bucket: int, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Columns of one bucket of a partitioned table, int64 or bool; a bucket without rows has no file."""
    paths = sorted(glob.glob(os.path.join(glob.escape(folder), f"bucket={bucket}", "*.parquet")))
    if not paths:
        return {name: np.zeros(0, np.int64) for name in names}
    table = pa.concat_tables([pq.ParquetFile(path).read(list(names)) for path in paths])
    # Spark's row numbers have 32 bits.
    return {name: values if values.dtype == bool else values.astype(np.int64, copy=False)
            for name in names for values in [table[name].to_numpy()]}


def _ascending(*keys: np.ndarray) -> np.ndarray:
    """Positions of rows in ascending order of the first key, then of the next ones; no two rows have the same keys."""
    if not len(keys[0]):
        return np.zeros(0, np.int64)
    spans = [int(key.max()) - int(key.min()) + 1 for key in keys]
    if math.prod(spans) >= 2**63:
        return np.lexsort(keys[::-1])
    packed = np.zeros(len(keys[0]), np.int64)
    for key, span in zip(keys, spans, strict=True):
        packed = packed * span + (key - key.min())
    return np.argsort(packed)  # of one key, ten times as fast


def _mixed(values: np.ndarray) -> np.ndarray:
    """The finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014), modulo 2^64."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
