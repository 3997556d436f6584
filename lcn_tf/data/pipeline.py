"""Files of request groups -> batches, in one of two layouts with the same meaning (DESIGN section 4).

`flat`: one candidate a row, exactly `batch_size` impressions. `grouped`: whole requests, padded to the batch's largest
number of candidates; a request joins the batch in which its last impression falls when impressions are counted through
the split, so `batch_size` counts impressions there too. Both layouts take ceil(impressions / batch_size) steps, unless
single requests are larger than a batch. Shape letters: G records, N impressions, B rows, C candidates, L events.
"""

from __future__ import annotations

import dataclasses
import glob
import json
import os
from typing import Any, Literal

import numpy as np
import tensorflow as tf

from lcn_tf.data import records
from lcn_tf.schema import HISTORIES, FeatureSchema

SPLITS = ("train", "validation", "test")
_CHUNK = 256  # records parsed at once: large enough to vectorise, small enough to shuffle and prefetch smoothly


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """How records become batches."""

    layout: Literal["flat", "grouped"] = dataclasses.field(
        default="grouped", metadata={"help": "flat: one candidate a row; grouped: whole requests, histories once"})
    short_length: int = dataclasses.field(
        default=24, metadata={"help": "events of each short history (24 public, 50 industrial; SPEC A-19)"})
    lifelong_length: int = dataclasses.field(
        default=500, metadata={"help": "events of the lifelong history (500 public, 2000 industrial)"})
    shuffle_buffer: int = dataclasses.field(
        default=20_000, metadata={"help": "records held in memory for shuffling the training split"})

    def __post_init__(self):
        if self.layout not in ("flat", "grouped"):
            raise ValueError(f"data.layout must be flat or grouped, got {self.layout!r}")
        for name in ("short_length", "lifelong_length", "shuffle_buffer"):
            if getattr(self, name) < 1:
                raise ValueError(f"data.{name} must be at least 1, got {getattr(self, name)}")

    @property
    def lengths(self) -> dict[str, int]:
        """History name -> events a candidate sees."""
        return {name: self.lifelong_length if name == "lifelong_source" else self.short_length for name in HISTORIES}


@dataclasses.dataclass(frozen=True)
class RecordFiles:
    """The files of a prepared data set.

    Attributes:
      data_dir: the folder.
      schema: its `schema.json`.
      splits: split -> sorted record files.
      impressions: split -> number of impressions where `preparation.json` tells it.
      largest_group: split -> candidates of the largest request where `preparation.json` tells it.
    """

    data_dir: str
    schema: FeatureSchema
    splits: dict[str, tuple[str, ...]]
    impressions: dict[str, int]
    largest_group: dict[str, int]

    @classmethod
    def open(cls, data_dir: str) -> RecordFiles:
        """Finds the files, checks that each is whole, and compares its first record with the schema.

        Raises:
          FileNotFoundError: no schema, no file of a split, or not all of them.
          RecordError: a file is truncated or of another schema, or a split has no record.
          ValueError: `preparation.json` is damaged.
        """
        schema = FeatureSchema.load(data_dir)
        splits = {}
        for split in SPLITS:
            splits[split] = _split_files(data_dir, f"{schema.name}-{split}.tfrecord-")
            for path in splits[split]:
                records.check_length(path)
                records.check_first_record(schema, path)
        facts = preparation_facts(data_dir).get("splits", {})
        impressions, largest = ({split: counts[name] for split, counts in facts.items() if name in counts}
                                for name in ("impressions", "largest_group"))
        return cls(os.fspath(data_dir), schema, splits, impressions, largest)

    @property
    def paths(self) -> tuple[str, ...]:
        """Every record file."""
        return tuple(path for paths in self.splits.values() for path in paths)

    def steps(self, split: str, layout: str, batch_size: int) -> int | None:
        """Batches of one pass over a split, or None where that is not known beforehand."""
        if split not in self.impressions:
            return None
        if layout == "grouped" and self.largest_group.get(split, batch_size + 1) > batch_size:
            return None
        return -(-self.impressions[split] // batch_size)


def preparation_facts(data_dir: str) -> dict[str, Any]:
    """What `preparation.json` says; {} where there is none, as with records that were prepared elsewhere.

    Raises:
      ValueError: it is not a JSON object; the message names the file.
    """
    path = os.path.join(data_dir, "preparation.json")
    if not os.path.exists(path):
        return {}
    with open(path, encoding="utf-8") as file:
        text = file.read()
    try:
        facts = json.loads(text)
    except ValueError as error:
        raise ValueError(f"{path}: not JSON: {error}") from error
    if not isinstance(facts, dict):
        raise ValueError(f"{path}: expected a JSON object, got {type(facts).__name__}")
    return facts


def _split_files(data_dir: str, prefix: str) -> tuple[str, ...]:
    """The files `<prefix>00000-of-0000N` of a split, all N of them and not all empty."""
    pattern = os.path.join(glob.escape(os.fspath(data_dir)), f"{glob.escape(prefix)}*")
    paths = sorted(glob.glob(pattern))
    if not paths:
        raise FileNotFoundError(f"no record files: nothing in {data_dir} is called {prefix}*")
    shards = paths[0].rpartition("-of-")[2]
    expected = [os.path.join(data_dir, f"{prefix}{shard:05d}-of-{shards}") for shard in range(int(shards or 0))]
    missing = sorted(set(expected) - set(paths))
    if missing:
        raise FileNotFoundError(f"{missing[0]} is missing ({len(missing)} of {len(expected)} files of the split)")
    if not any(os.path.getsize(path) for path in paths):
        raise records.RecordError(f"{paths[0]}: no record in any of the {len(paths)} files of the split")
    return tuple(paths)


def read(
    files: RecordFiles,
    split: str,
    config: DataConfig,
    batch_size: int,
    seed: tuple[int, int] | None = None,
    skip: int = 0,
) -> tf.data.Dataset:
    """Batches of one pass over a split.

    Args:
      files: an opened data set.
      split: train, validation or test.
      config: layout and lengths.
      batch_size: impressions in a batch, over all replicas.
      seed: (seed, epoch) to shuffle files and records with; None keeps the order of the files. The same seed gives
        the same batches.
      skip: batches to leave out at the start (to resume in mid-epoch).

    Returns:
      A dataset of dicts as in the table of `lcn_tf.schema`.

    Raises:
      ValueError: a history longer than the records hold, or a batch size below 1.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    for history, length in config.lengths.items():
        if length > files.schema.lengths[history]:
            raise ValueError(f"{history}: {length} events asked for, but the records of {files.data_dir} hold at most "
                             f"{files.schema.lengths[history]}; prepare the data again with longer histories")
    paths = list(files.splits[split])
    if seed is not None:
        np.random.default_rng(seed).shuffle(paths)
    dataset = tf.data.Dataset.from_tensor_slices(paths)
    dataset = dataset.interleave(tf.data.TFRecordDataset, cycle_length=len(paths))
    if seed is not None:
        dataset_seed = int(np.random.default_rng((*seed, 1)).integers(2**31))
        dataset = dataset.shuffle(config.shuffle_buffer, seed=dataset_seed, reshuffle_each_iteration=False)
    schema, lengths = files.schema, config.lengths
    if config.layout == "flat":
        dataset = dataset.batch(_CHUNK)
        dataset = dataset.map(lambda serialized: flat_rows(schema, serialized, lengths), tf.data.AUTOTUNE)
        dataset = dataset.rebatch(batch_size)
    else:
        dataset = _cut_by_impressions(dataset, batch_size)
        dataset = dataset.map(lambda serialized: grouped_rows(schema, serialized, lengths), tf.data.AUTOTUNE)
    steps = files.steps(split, config.layout, batch_size)
    if steps is not None:
        dataset = dataset.apply(tf.data.experimental.assert_cardinality(steps))
    return dataset.skip(skip).prefetch(tf.data.AUTOTUNE)


def flat_rows(schema: FeatureSchema, serialized: tf.Tensor, lengths: dict[str, int]) -> dict[str, tf.Tensor]:
    """Records `[G]` -> a batch of their N impressions with C = 1."""
    parsed = records.parse(schema, serialized)
    row = parsed["label"].value_rowids()  # [N]
    batch = {name: tf.gather(parsed[name], row) for name in schema.user_names}
    batch.update({name: parsed[name].flat_values[:, tf.newaxis] for name in schema.impression_names})
    batch["label"] = tf.cast(batch["label"], tf.float32)
    batch["candidate_mask"] = tf.ones_like(batch["label"], tf.bool)
    for history, length in lengths.items():
        offset = batch[f"{history}_offset"][:, 0]
        for name in schema.history_names(history):
            batch[name], batch[f"{history}_mask"] = _window(parsed[name], row, offset, length)
        batch[f"{history}_offset"] = tf.zeros_like(batch[f"{history}_offset"])
    return batch


def grouped_rows(schema: FeatureSchema, serialized: tf.Tensor, lengths: dict[str, int]) -> dict[str, tf.Tensor]:
    """Records `[G]` -> a batch of G requests; histories are as long as the largest offset demands."""
    parsed = records.parse(schema, serialized)
    batch = {name: parsed[name] for name in schema.user_names}
    batch.update({name: parsed[name].to_tensor() for name in schema.impression_names})
    batch["label"] = tf.cast(batch["label"], tf.float32)
    batch["candidate_mask"] = tf.sequence_mask(parsed["label"].row_lengths(), tf.shape(batch["label"])[1])
    row = tf.range(tf.shape(serialized, tf.int64)[0])
    for history, length in lengths.items():
        longest = length + tf.reduce_max(batch[f"{history}_offset"])
        for name in schema.history_names(history):
            batch[name], batch[f"{history}_mask"] = _window(parsed[name], row, tf.zeros_like(row), longest)
    return batch


def _window(values: tf.RaggedTensor, row: tf.Tensor, offset: tf.Tensor, length) -> tuple[tf.Tensor, tf.Tensor]:
    """Events `offset ... offset + length - 1` of the rows, padded with 0: values and mask `[len(row), length]`."""
    position = offset[:, tf.newaxis] + tf.range(tf.cast(length, tf.int64))
    mask = position < tf.gather(values.row_lengths(), row)[:, tf.newaxis]
    source = tf.concat([values.flat_values, [0]], 0)  # the appended 0 is what padding reads
    padding = tf.size(values.flat_values, tf.int64)
    index = tf.where(mask, position + tf.gather(values.row_starts(), row)[:, tf.newaxis], padding)
    return tf.gather(source, index), mask


def _cut_by_impressions(serialized: tf.data.Dataset, batch_size: int) -> tf.data.Dataset:
    """Records -> vectors of records; a record goes to the batch in which its last impression falls."""
    chunks = serialized.batch(_CHUNK).map(lambda chunk: (chunk, False))
    end = tf.data.Dataset.from_tensors((tf.zeros([0], tf.string), True))

    def cut(state, chunk):
        pending, before = state  # records of the open batch, impressions of the split before them
        values, is_end = chunk
        values = tf.concat([pending, values], 0)
        after = before + tf.cumsum(records.count_impressions(values))
        batch = (tf.maximum(after, 1) - 1) // batch_size
        closed = tf.logical_or(is_end, batch < tf.reduce_max(batch))
        ready = tf.RaggedTensor.from_row_lengths(
            tf.boolean_mask(values, closed), tf.unique_with_counts(tf.boolean_mask(batch, closed), tf.int64).count)
        used = tf.reduce_max(tf.concat([[before], tf.boolean_mask(after, closed)], 0))
        return (tf.boolean_mask(values, ~closed), used), ready

    initial = (tf.zeros([0], tf.string), tf.constant(0, tf.int64))
    return chunks.concatenate(end).scan(initial, cut).unbatch()
