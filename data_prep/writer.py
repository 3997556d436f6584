"""Ordered tables -> TFRecord shards with the metadata of TFDS."""

from __future__ import annotations

import os
from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from data_prep.description import SPLITS
from data_prep.examples import Column, ExampleEncoder, Slices
from data_prep.histories import UserSequences
from lcn_tf.schema import HISTORIES, FeatureSchema

DOMAINS = {"short_target": "target", "short_source": "source", "lifelong_source": "source"}


class ShardWriter:
    """Writes the records of a data set shard by shard and remembers what TFDS wants to know about them.

    Args:
      directory: where the shards go.
      schema: of the records.
      shards: files per split.
      exclude_recent: `lifelong_source` begins after `short_source`.
    """

    def __init__(self, directory: str, schema: FeatureSchema, shards: int, exclude_recent: bool):
        self._directory, self._schema, self._shards = directory, schema, shards
        skipped = schema.lengths["short_source"] if exclude_recent else 0
        self._skips = {"short_target": 0, "short_source": 0, "lifelong_source": skipped}
        self._lengths: dict[str, list[int]] = {split: [] for split in SPLITS}
        self._bytes = dict.fromkeys(SPLITS, 0)

    def write(self, shard: int, impressions: pa.Table, events: Mapping[str, pa.Table]) -> None:
        """Writes one shard of every split.

        Args:
          shard: its number.
          impressions: of `pipeline.shard_impressions`.
          events: domain -> `pipeline.shard_events`.
        """
        import tensorflow as tf

        groups = _group_bounds(impressions)
        encoder = ExampleEncoder(self._features(groups, impressions, events))
        splits = np.asarray(impressions["split"].to_pylist(), dtype=object)[groups[:-1]]
        order = _scattered(_integers(impressions, "user")[groups[:-1]], _integers(impressions, "moment")[groups[:-1]])
        for split in SPLITS:
            records = order[splits[order] == split]
            path = os.path.join(
                self._directory, f"{self._schema.name}-{split}.tfrecord-{shard:05d}-of-{self._shards:05d}")
            with tf.io.TFRecordWriter(path) as file:
                for record in records.tolist():
                    serialized = encoder.serialize(record)
                    self._bytes[split] += len(serialized)
                    file.write(serialized)
            self._lengths[split].append(len(records))

    def finish(self, about: Mapping[str, str]) -> None:
        """Writes `features.json`, `dataset_info.json` and `schema.json`, once all shards are written."""
        import tensorflow_datasets as tfds

        template = tfds.core.ShardedFileTemplate(
            dataset_name=self._schema.name, data_dir=self._directory, filetype_suffix="tfrecord")
        one, many = tfds.features.Scalar(np.int64), tfds.features.Tensor(shape=(None,), dtype=np.int64)
        features = {name: one if name in self._schema.user_names else many for name in self._schema.record_names}
        tfds.folder_dataset.write_metadata(
            data_dir=self._directory, features=features, filename_template=template, check_data=False,
            split_infos=[tfds.core.SplitInfo(
                name=split, shard_lengths=self._lengths[split], num_bytes=self._bytes[split],
                filename_template=template) for split in SPLITS], **about)
        with open(os.path.join(self._directory, "schema.json"), "w", encoding="utf-8") as file:
            file.write(self._schema.to_json())

    def _features(
            self, groups: np.ndarray, impressions: pa.Table, events: Mapping[str, pa.Table]) -> dict[str, Slices]:
        """Name -> slices of every record of a shard, in the order of `schema.record_names`."""
        schema, group_range = self._schema, np.arange(len(groups))
        users = _integers(impressions, "user")[groups[:-1]]
        cutoffs = _integers(impressions, "cutoff")[groups[:-1]]
        features = {}
        for name in schema.user_names:
            values = users if name == "user_key" else _integers(impressions, name)[groups[:-1]]
            features[name] = Column(values).slices(group_range[:-1], group_range[1:])
        zeros = np.zeros(impressions.num_rows, np.int64)
        for name in schema.impression_names:
            values = _integers(impressions, name) if name in impressions.column_names else zeros
            features[name] = Column(values).slices(groups[:-1], groups[1:])
        columns, sequences = {}, {}
        for domain, table in events.items():
            sequences[domain] = UserSequences(_integers(table, "user"), _integers(table, "timestamp"))
            columns[domain] = {name: Column(_integers(table, name)) for name in table.column_names
                               if name not in ("user", "row")}
        for history in HISTORIES:
            domain = DOMAINS[history]
            starts, stops = sequences[domain].slices(users, cutoffs, self._skips[history], schema.lengths[history])
            for name in schema.history_names(history):
                features[name] = columns[domain][name.removeprefix(f"{history}_")].slices(starts, stops)
        return features


def _integers(table: pa.Table, name: str) -> np.ndarray:
    return table[name].to_numpy().astype(np.int64, copy=False)


def _group_bounds(impressions: pa.Table) -> np.ndarray:
    """`[G + 1]` int64: where each run of equal (user, moment) begins, and the number of rows."""
    users, moments = _integers(impressions, "user"), _integers(impressions, "moment")
    changes = np.flatnonzero((users[1:] != users[:-1]) | (moments[1:] != moments[:-1])) + 1
    ends = [impressions.num_rows] if impressions.num_rows else []
    return np.concatenate([np.zeros(1, np.int64), changes, np.array(ends, np.int64)])


def _scattered(users: np.ndarray, moments: np.ndarray) -> np.ndarray:
    """A fixed order of the groups that keeps a user's groups apart: a shuffle buffer then sees many users at once."""
    return np.lexsort((moments, users, _mixed(_mixed(users.view(np.uint64)) ^ moments.view(np.uint64))))


def _mixed(values: np.ndarray) -> np.ndarray:
    """The finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014), modulo 2^64."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
