"""The files of a prepared data set: found, and checked before anything is trained on them."""

from __future__ import annotations

import dataclasses
import glob
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

from lcn_tf.data import records, tfds_metadata
from lcn_tf.schema import FeatureSchema

SPLITS = ("train", "validation", "test")


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

        TFDS metadata says which files there are; without it, they are called `<name>-<split>.tfrecord-0000i-of-0000N`.

        Raises:
          FileNotFoundError: no schema, a split that is missing, or not all files of it.
          RecordError: a file is truncated, of another schema or of another length than the metadata lists, a split has
            no record, or the metadata cannot be read.
          ValueError: `preparation.json` is damaged.
        """
        data_dir = os.fspath(data_dir)
        schema = FeatureSchema.load(data_dir)
        if tfds_metadata.has_metadata(data_dir):
            splits: Mapping[str, Mapping[str, int | None]] = tfds_metadata.listed_files(data_dir, schema, SPLITS)
        else:
            splits = {split: _named_files(data_dir, f"{schema.name}-{split}.tfrecord-") for split in SPLITS}
        for split, files in splits.items():
            _check_files(data_dir, schema, split, files)
        facts = preparation_facts(data_dir).get("splits", {})
        impressions, largest = ({split: counts[name] for split, counts in facts.items() if name in counts}
                                for name in ("impressions", "largest_group"))
        return cls(data_dir, schema, {split: tuple(files) for split, files in splits.items()}, impressions, largest)

    def reading(self, item_fields: Sequence[str] = (), context_fields: Sequence[str] = ()) -> RecordFiles:
        """The same files for a model that reads only some features of events, see `FeatureSchema.reading`."""
        return dataclasses.replace(self, schema=self.schema.reading(item_fields, context_fields))

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


def _named_files(data_dir: str, prefix: str) -> dict[str, None]:
    """The files `<prefix>00000-of-0000N` of a split, all N of them; how many records they hold is not known."""
    paths = sorted(glob.glob(os.path.join(glob.escape(data_dir), f"{glob.escape(prefix)}?????-of-?????")))
    if not paths:
        raise FileNotFoundError(f"no record files: nothing in {data_dir} is called {prefix}0000i-of-0000N")
    shards = paths[0].rpartition("-of-")[2]
    return dict.fromkeys(os.path.join(data_dir, f"{prefix}{shard:05d}-of-{shards}") for shard in range(int(shards)))


def _check_files(data_dir: str, schema: FeatureSchema, split: str, files: Mapping[str, int | None]) -> None:
    """Checks that a split's files exist, are whole, hold records of the schema, and as many as is known."""
    missing = [path for path in files if not os.path.exists(path)]
    if missing:
        raise FileNotFoundError(f"{missing[0]} is missing ({len(missing)} of {len(files)} files of the split)")
    total = 0
    for path, listed in files.items():
        found = records.count_records(path)
        if listed is not None and found != listed:
            raise records.RecordError(f"{path}: {found} records, but the TFDS metadata lists {listed}")
        records.check_first_record(schema, path)
        total += found
    if not total:
        raise records.RecordError(f"{data_dir}: no record in any of the {len(files)} files of the {split} split")
