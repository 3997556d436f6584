"""Files of request groups -> batches, in one of two layouts with the same meaning.

`flat`: one candidate a row, exactly `batch_size` impressions. `grouped`: whole requests, padded to the batch's largest
number of candidates; a request joins the batch in which its last impression falls when impressions are counted through
the split, so `batch_size` counts impressions there too. Both layouts take ceil(impressions / batch_size) steps, unless
single requests are larger than a batch. Records are cut into batches before they are parsed: that is done once, for a
whole batch at a time, and not at all for batches that a resumed run skips.

Shape letters: G records, N impressions, B rows, C candidates, L events, W longest stored events.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Literal

import numpy as np
import tensorflow as tf

from lcn_tf.data import records, tfrecords
from lcn_tf.data.hidden_ids import hide
from lcn_tf.data.record_files import RecordFiles
from lcn_tf.schema import FeatureSchema

_CHUNK = 256  # records whose impressions are counted at once


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """How records become batches; `RecordFiles.reading` chooses the features."""

    layout: Literal["flat", "grouped"] = dataclasses.field(
        default="grouped", metadata={"help": "flat: one candidate a row; grouped: whole requests, histories once"})
    short_length: int = dataclasses.field(
        default=24, metadata={"help": "events of each short history (24 public, 50 industrial)"})
    lifelong_length: int = dataclasses.field(
        default=500, metadata={"help": "events of the lifelong history (500 public, 2000 industrial)"})
    item_fields: tuple[str, ...] = dataclasses.field(
        default=(), metadata={"help": "item features that the model reads, of candidates and events, comma separated; "
                                      "none given: all of the data set"})
    context_fields: tuple[str, ...] = dataclasses.field(
        default=(), metadata={"help": "context features of events that the model reads, time_gap among them; none "
                                      "given: all of the data set"})
    scenario: str | None = dataclasses.field(
        default=None, metadata={"help": "request feature that tells scenarios apart, in place of the data set's own"})
    shuffle_buffer: int = dataclasses.field(
        default=20_000, metadata={"help": "records held in memory for shuffling the training split"})

    def __post_init__(self):
        if self.layout not in ("flat", "grouped"):
            raise ValueError(f"data.layout must be flat or grouped, got {self.layout!r}")
        for name in ("short_length", "lifelong_length", "shuffle_buffer"):
            if getattr(self, name) < 1:
                raise ValueError(f"data.{name} must be at least 1, got {getattr(self, name)}")

    def lengths_of(self, schema: FeatureSchema) -> dict[str, int]:
        """History name -> events a candidate sees; of extra histories all that are stored."""
        of_kind = {"short": self.short_length, "lifelong": self.lifelong_length}
        return {name: of_kind.get(history.kind, history.length) for name, history in schema.histories.items()}


def read(
    files: RecordFiles,
    split: str,
    config: DataConfig,
    batch_size: int,
    seed: tuple[int, ...] | None = None,
    skip: int = 0,
) -> tf.data.Dataset:
    """Batches of one pass over a split.

    Args:
      files: an opened data set.
      split: train, validation or test.
      config: layout and lengths.
      batch_size: impressions in a batch, over all replicas.
      seed: (seed, epoch), or any numbers, to shuffle files and records with; None keeps the order of the files. The
        same numbers give the same batches.
      skip: batches to leave out at the start (to resume in mid-epoch).

    Returns:
      A dataset of dicts as in the table of `lcn_tf.schema`. It fails at a record that is not of the schema, which
      `RecordFiles.naming_bad_records` then names.

    Raises:
      ValueError: a history longer than the records hold, or a batch size below 1.
    """
    return parse(cut(files, split, config, batch_size, seed, skip), files, config, batch_size)


def cut(files: RecordFiles, split: str, config: DataConfig, batch_size: int, seed: tuple[int, ...] | None = None,
        skip: int = 0) -> tf.data.Dataset:
    """The records of every batch, not parsed yet: the first half of `read`, whose arguments and errors it has.

    Returns:
      A dataset of what `parse` takes: records `[G]`, how many impressions of the first one an earlier batch has, and
      the number, within the pass, of the first one's first impression.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    for history, length in config.lengths_of(files.schema).items():
        if length > files.schema.lengths[history]:
            raise ValueError(f"{history}: {length} events asked for, but the records of {files.data_dir} hold at most "
                             f"{files.schema.lengths[history]}; prepare the data again with longer histories")
    paths = list(files.paths_of(split))
    if seed is not None:
        np.random.default_rng(seed).shuffle(paths)
    dataset = tfrecords.in_turn(paths)
    if seed is not None:
        dataset_seed = int(np.random.default_rng((*seed, 1)).integers(2**31))
        dataset = dataset.shuffle(config.shuffle_buffer, seed=dataset_seed, reshuffle_each_iteration=False)
    dataset = _cut_by_impressions(dataset, batch_size, divide=config.layout == "flat")
    steps = files.steps(split, config.layout, batch_size)
    if steps is not None:
        dataset = dataset.apply(tf.data.experimental.assert_cardinality(steps))
    return dataset.skip(skip)


def count(dataset: tf.data.Dataset) -> int:
    """Number of batches in what `cut` returned; its records are read where that is not known beforehand."""
    known = int(dataset.cardinality())
    return known if known >= 0 else int(dataset.reduce(tf.constant(0, tf.int64), lambda number, _: number + 1))


def parse(dataset: tf.data.Dataset, files: RecordFiles, config: DataConfig, batch_size: int,
          part: tuple[int, int] = (0, 1)) -> tf.data.Dataset:
    """What `cut` returned -> batches; the second half of `read`.

    Args:
      dataset: of `cut`.
      files, config, batch_size: as given to `cut`.
      part: (index, parts) keeps one of several parts of each batch, of nearly as many rows, some of which may have
        none. Apart from its rows, a part has the shape of the whole.
    """
    schema, lengths = files.schema, config.lengths_of(files.schema)

    @tf.autograph.experimental.do_not_convert
    def batch(serialized: tf.Tensor, first: tf.Tensor, number: tf.Tensor) -> dict[str, tf.Tensor]:
        if config.layout == "flat":
            rows = flat_rows(schema, serialized, lengths, first, batch_size, part, number)
        else:
            rows = grouped_rows(schema, serialized, lengths, part, number)
        return hide(schema, files.hidden, rows)

    return dataset.map(batch, tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def flat_rows(schema: FeatureSchema, serialized: tf.Tensor, lengths: dict[str, int], first: tf.Tensor | int = 0,
              size: int | None = None, part: tuple[int, int] = (0, 1), number: tf.Tensor | int = 0
              ) -> dict[str, tf.Tensor]:
    """Records `[G]` -> a batch of their impressions with C = 1: all N of them, or at most `size` from `first` on.

    Rows are numbered from `number` on, the impressions before `first` included.
    """
    parsed = records.parse(schema, serialized)
    rows = tf.shape(parsed["timestamp"].flat_values, tf.int64)[0] - first
    rows = rows if size is None else tf.minimum(rows, size)
    begin, end = _edges(rows, part)
    chosen = slice(first + begin, first + end)
    row = parsed["timestamp"].value_rowids()[chosen]  # [N]
    batch = {name: tf.gather(parsed[name], row) for name in schema.user_names}
    batch.update({name: parsed[name].flat_values[chosen, tf.newaxis] for name in schema.impression_names})
    batch["row_number"] = (number + tf.range(first + begin, first + end, dtype=tf.int64))[:, tf.newaxis]
    batch.update({key: tf.cast(batch[key], tf.float32) for key in schema.label_keys})
    batch["candidate_mask"] = tf.ones_like(batch["timestamp"], tf.bool)
    for history, length in lengths.items():
        names = schema.history_names(history)
        offset = batch[f"{history}_offset"][:, 0]
        events = _padded(parsed, names, length + tf.reduce_max(tf.concat([[0], offset], 0)))  # [G, W]
        stored = tf.gather(parsed[names[0]].row_lengths(), row)
        batch.update(_windows(events, row, offset, length))
        batch[f"{history}_mask"] = tf.sequence_mask(stored - offset, length)
        batch[f"{history}_offset"] = tf.zeros_like(batch[f"{history}_offset"])
    return batch


def grouped_rows(schema: FeatureSchema, serialized: tf.Tensor, lengths: dict[str, int],
                 part: tuple[int, int] = (0, 1), number: tf.Tensor | int = 0) -> dict[str, tf.Tensor]:
    """Records `[G]` -> a batch of G requests; histories are as long as the largest offset demands.

    Rows are numbered from `number` on.
    """
    whole = records.parse(schema, serialized)
    moments = whole["timestamp"]
    whole["row_number"] = moments.with_flat_values(number + tf.range(tf.size(moments.flat_values, tf.int64)))
    parsed = whole
    if part != (0, 1):
        begin, end = _edges(tf.shape(serialized, tf.int64)[0], part)
        parsed = {name: values[begin:end] for name, values in whole.items()}
    batch = {name: parsed[name] for name in schema.user_names}
    candidates = moments.bounding_shape(axis=1)
    batch.update(_padded(parsed, (*schema.impression_names, "row_number"), candidates))
    batch.update({key: tf.cast(batch[key], tf.float32) for key in schema.label_keys})
    batch["candidate_mask"] = tf.sequence_mask(parsed["timestamp"].row_lengths(), candidates)
    for history, length in lengths.items():
        names = schema.history_names(history)
        visible = length + tf.reduce_max(whole[f"{history}_offset"].flat_values)
        longest = tf.minimum(visible, tf.maximum(whole[names[0]].bounding_shape(axis=1), length))
        batch.update(_padded(parsed, names, longest))
        batch[f"{history}_mask"] = tf.sequence_mask(parsed[names[0]].row_lengths(), longest)
    return batch


def _edges(rows: tf.Tensor, part: tuple[int, int]) -> tuple[tf.Tensor, tf.Tensor]:
    """Where part (index, parts) of some rows begins and ends."""
    index, parts = part
    return rows * index // parts, rows * (index + 1) // parts


def _padded(parsed: dict[str, tf.RaggedTensor], names: Sequence[str], length: tf.Tensor) -> dict[str, tf.Tensor]:
    """The newest `length` events of every record, padded with 0: `[G, length]` each."""
    return {name: parsed[name].to_tensor(shape=tf.stack([-1, length])) for name in names}


def _windows(events: dict[str, tf.Tensor], row: tf.Tensor, offset: tf.Tensor, length: int) -> dict[str, tf.Tensor]:
    """Events `offset ... offset + length - 1` of the given rows: `[G, W]`, W at least their end, -> `[N, length]`."""
    def moved() -> dict[str, tf.Tensor]:
        width = tf.shape(next(iter(events.values())), row.dtype)[1]
        places = (row * width + offset)[:, tf.newaxis] + tf.range(length, dtype=row.dtype)
        return {name: tf.gather(tf.reshape(values, [-1]), places) for name, values in events.items()}

    def whole() -> dict[str, tf.Tensor]:  # without offsets W is the length, and copying rows is many times as fast
        return {name: tf.gather(values, row) for name, values in events.items()}

    cut = tf.cond(tf.reduce_any(offset > 0), moved, whole)
    return {name: tf.ensure_shape(values, [None, length]) for name, values in cut.items()}


def _cut_by_impressions(serialized: tf.data.Dataset, batch_size: int, divide: bool) -> tf.data.Dataset:
    """Records -> the records of each batch, and of its first one: impressions in an earlier batch, and before it.

    Impressions are counted through the dataset. With `divide`, a record is in every batch that has some of its
    impressions; otherwise in the batch that has its last one.
    """
    chunks = serialized.batch(_CHUNK).map(tf.autograph.experimental.do_not_convert(
        lambda chunk: (chunk, records.count_impressions(chunk), False)))
    end = tf.data.Dataset.from_tensors((tf.zeros([0], tf.string), tf.zeros([0], tf.int64), True))

    @tf.autograph.experimental.do_not_convert
    def cut(state, chunk):
        (pending, sizes, before, opened), (values, new_sizes, is_end) = state, chunk
        values, sizes = tf.concat([pending, values], 0), tf.concat([sizes, new_sizes], 0)  # [G]
        last = tf.concat([before + tf.cumsum(sizes), [tf.int64.max]], 0)  # impressions up to each record's end
        total = before + tf.reduce_sum(sizes)
        closed = tf.where(is_end, -(-total // batch_size), total // batch_size)
        edges = tf.range(opened, closed + 1) * batch_size
        places = tf.searchsorted(last, edges, "right", tf.int64)  # first record that ends behind each edge
        begins, ends = places[:-1], places[1:]
        if divide:
            ends = tf.minimum(tf.searchsorted(last, edges[1:], "left", tf.int64) + 1, tf.size(values, tf.int64))
        filled = ends > begins
        begins, ends, starts = (tf.boolean_mask(places, filled) for places in (begins, ends, edges[:-1]))
        ready = tf.gather(values, tf.ragged.range(begins, ends))
        number = tf.gather(last, begins) - tf.gather(sizes, begins)
        used = places[-1]
        state = values[used:], sizes[used:], before + tf.reduce_sum(sizes[:used]), closed
        return state, (ready, starts - number, number)

    nothing = tf.zeros([0], tf.string), tf.zeros([0], tf.int64), tf.constant(0, tf.int64), tf.constant(0, tf.int64)
    return chunks.concatenate(end).scan(nothing, cut).unbatch()
