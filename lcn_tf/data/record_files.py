"""The files of a prepared data set: found, and checked before anything is trained on them."""

from __future__ import annotations

import contextlib
import dataclasses
import glob
import os
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import tensorflow as tf

from lcn_tf.data import record_rules, tfds_metadata, tfrecords
from lcn_tf.data.catalogue import Catalogue
from lcn_tf.data.prepared_folder import PREPARATION, SPLITS, preparation_facts
from lcn_tf.data.record_bytes import Fingerprint, RecordError
from lcn_tf.data.record_chunks import read_chunks
from lcn_tf.schema import FeatureSchema

_GZIPPED = ".gz"
_NUMBER = 5 * "[0-9]"  # of a file
_WRONG_NUMBER = "dataset was expected to contain"  # of what `tf.data.experimental.assert_cardinality` says


@dataclasses.dataclass(frozen=True)
class RecordFiles:
    """The files of a prepared data set.

    Attributes:
      data_dir: the folder.
      schema: its `schema.json`.
      splits: split -> sorted record files.
      impressions: split -> number of impressions where `preparation.json` tells it.
      largest_group: split -> candidates of the largest request where `preparation.json` tells it.
      fingerprint: hexadecimal digits that differ where the schema, a record of any split, the order of records or
        frozen vectors do.
      hidden: table -> ids that batches have as out of vocabulary.
    """

    data_dir: str
    schema: FeatureSchema
    splits: dict[str, tuple[str, ...]]
    impressions: dict[str, int]
    largest_group: dict[str, int]
    fingerprint: str
    hidden: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)

    @classmethod
    def open(cls, data_dir: str) -> RecordFiles:
        """Finds the files, checks that each is whole, and compares its first record with the schema.

        TFDS metadata says which files there are; without it, they are called `<name>-<split>.tfrecord-0000i-of-0000N`.
        Files may be gzipped, and then have `.gz` behind their names or not. All splits are looked for, or those of
        `preparation.json`: the records of a day have but one.

        Raises:
          FileNotFoundError: no schema, a split that is missing, or not all files of it.
          RecordError: files of several preparations, a file that is truncated or no TFRecord file, a first record that
            is not of the schema, another number of records than the metadata lists, a split without records, or
            metadata that cannot be read.
          ValueError: `preparation.json` is damaged.
        """
        data_dir = os.fspath(data_dir)
        schema = FeatureSchema.load(data_dir)
        facts = preparation_facts(data_dir).get("splits", {})
        wanted = tuple(split for split in SPLITS if split in facts) or SPLITS
        if tfds_metadata.has_metadata(data_dir):
            splits: Mapping[str, Mapping[str, int | None]] = tfds_metadata.listed_files(data_dir, schema, wanted)
        else:
            splits = {split: _named_files(data_dir, f"{schema.name}-{split}.tfrecord-") for split in wanted}
        splits = {split: {_as_stored(path): count for path, count in files.items()} for split, files in splits.items()}
        fingerprint = Fingerprint(schema.fingerprint)
        for split in wanted:
            fingerprint.begin(split)
            _check_files(data_dir, schema, split, splits[split], fingerprint)
        for table, name in schema.vectors.items():
            path = os.path.join(data_dir, name)
            if not os.path.exists(path):
                raise FileNotFoundError(f"{path} is missing: schema.json names it for the vectors of {table!r}")
            fingerprint.add_vectors(table, path)
        impressions, largest = ({split: counts[name] for split, counts in facts.items() if name in counts}
                                for name in ("impressions", "largest_group"))
        return cls(data_dir, schema, {split: tuple(files) for split, files in splits.items()}, impressions, largest,
                   fingerprint.digits)

    def reading(self, item_fields: Sequence[str] = (), context_fields: Sequence[str] = (),
                extra: Sequence[str] | None = None, scenario: str | None = None) -> RecordFiles:
        """The same files for a model that reads only some features and histories, see `FeatureSchema.reading`.

        Args:
          item_fields, context_fields, extra: see there.
          scenario: request feature that is the scenario instead of the schema's own, if any.

        Raises:
          ValueError: a name that is not known.
        """
        schema = self.schema.reading(item_fields, context_fields, extra)
        return dataclasses.replace(self, schema=dataclasses.replace(schema, scenario=scenario or schema.scenario))

    def hiding(self, ids: Mapping[str, np.ndarray]) -> RecordFiles:
        """The same files for a model that does not know some ids (table -> int64): batches have them as `OOV_ID`."""
        return dataclasses.replace(self, hidden={table: found for table, found in ids.items() if len(found)})

    def vectors(self) -> dict[str, np.ndarray]:
        """Table name -> frozen content vectors `[rows, width]` float32 of its ids, where the schema names a file.

        Raises:
          ValueError: a file that is missing, no NumPy array, or not of the table's rows; the message names it.
        """
        found = {}
        for table, name in self.schema.vectors.items():
            path, rows = os.path.join(self.data_dir, name), self.schema.tables[table]
            try:
                values = np.load(path, allow_pickle=False)
            except (OSError, ValueError) as error:
                raise ValueError(f"{path}: expected vectors of table {table!r}, a NumPy array: {error}") from error
            if values.ndim != 2 or len(values) != rows or not np.issubdtype(values.dtype, np.floating):
                raise ValueError(f"{path}: expected {rows} rows of numbers, one for each id of table {table!r}, got "
                                 f"{values.dtype} {list(values.shape)}")
            if not np.isfinite(values).all():
                row = int(np.argmin(np.isfinite(values).all(axis=1)))
                raise ValueError(f"{path}: the vector of id {row} of table {table!r} has a value that is not finite")
            found[table] = values.astype(np.float32)
        return found

    def catalogue(self) -> Catalogue:
        """The items of the training days. Raises what `Catalogue.read` does."""
        return Catalogue.read(self.data_dir, self.schema)

    @property
    def paths(self) -> tuple[str, ...]:
        """Every record file."""
        return tuple(path for paths in self.splits.values() for path in paths)

    def paths_of(self, split: str) -> tuple[str, ...]:
        """The record files of a split.

        Raises:
          FileNotFoundError: the data set has no such split.
        """
        if split not in self.splits:
            raise FileNotFoundError(f"{self.data_dir} has no {split} split, only {', '.join(self.splits)}")
        return self.splits[split]

    def check(self, split: str) -> None:
        """Reads every record of a split.

        Raises:
          FileNotFoundError: the data set has no such split.
          RecordError: a record that cannot be read or is no request group of the schema, by file, number and feature;
            no impression in the split, or not as many as `preparation.json` says.
        """
        chunks = (chunk for path in self.paths_of(split) for chunk in read_chunks(self.schema, path))
        found = sum(len(chunk["timestamp"].values) for chunk in chunks)
        if not found:
            raise RecordError(f"{self.data_dir}: no impression in the {split} split: its records have no candidates")
        if self.impressions.get(split, found) != found:
            path = os.path.join(self.data_dir, PREPARATION)
            raise RecordError(f"{path}: {self.impressions[split]} impressions in the {split} split, its records have "
                              f"{found}: the file is of other records")

    @contextlib.contextmanager
    def naming_bad_records(self) -> Iterator[None]:
        """Names what made TensorFlow fail in the block, if it is in the files.

        Raises:
          RecordError: as `check` of the first split that is wrong, instead of TensorFlow's error about damaged data,
            invalid values or another number of batches than was expected.
        """
        try:
            yield
        except (tf.errors.DataLossError, tf.errors.InvalidArgumentError, tf.errors.FailedPreconditionError) as error:
            if isinstance(error, tf.errors.FailedPreconditionError) and _WRONG_NUMBER not in error.message:
                raise  # a process of the cluster is gone
            for split in self.splits:
                try:
                    self.check(split)
                except RecordError as named:
                    raise named from error
            raise

    def steps(self, split: str, layout: str, batch_size: int) -> int | None:
        """Batches of one pass over a split, or None where that is not known beforehand."""
        if split not in self.impressions:
            return None
        if layout == "grouped" and self.largest_group.get(split, batch_size + 1) > batch_size:
            return None
        return -(-self.impressions[split] // batch_size)


def _named_files(data_dir: str, prefix: str) -> dict[str, None]:
    """The files `<prefix>00000-of-0000N` of a split, all N of them; how many records they hold is not known.

    Raises:
      FileNotFoundError: there is none.
      RecordError: files that are left over from another time: of another N, or one both plain and gzipped.
    """
    pattern = os.path.join(glob.escape(data_dir), f"{glob.escape(prefix)}{_NUMBER}-of-{_NUMBER}")
    paths = sorted((*glob.glob(pattern), *glob.glob(f"{pattern}{_GZIPPED}")))
    if not paths:
        raise FileNotFoundError(f"no record files: nothing in {data_dir} is called {prefix}0000i-of-0000N")
    shards = _shards(paths[0])
    for path, other in [(paths[0], path) for path in paths if _shards(path) != shards] + [
            (path, f"{path}{_GZIPPED}") for path in paths if f"{path}{_GZIPPED}" in paths]:
        raise RecordError(f"{path} and {os.path.basename(other)} do not belong together: remove those that are left "
                          "over from another time")
    return dict.fromkeys(os.path.join(data_dir, f"{prefix}{shard:05d}-of-{shards}") for shard in range(int(shards)))


def _shards(path: str) -> str:
    """The number of files of a split, as the name of one says it."""
    return path.removesuffix(_GZIPPED).rpartition("-of-")[2]


def _as_stored(path: str) -> str:
    """The path itself, or that of the gzipped file that there is instead."""
    gzipped = f"{path}{_GZIPPED}"
    return gzipped if os.path.exists(gzipped) and not os.path.exists(path) else path


def _check_files(data_dir: str, schema: FeatureSchema, split: str, files: Mapping[str, int | None],
                 fingerprint: Fingerprint) -> None:
    """Checks that a split's files exist, are whole, hold records of the schema, and as many as is known; adds them."""
    missing = [path for path in files if not os.path.exists(path)]
    if missing:
        raise FileNotFoundError(f"{missing[0]} is missing ({len(missing)} of {len(files)} files of the split)")
    total = 0
    for path, listed in files.items():
        found = fingerprint.add(path)
        if listed is not None and found != listed:
            raise RecordError(f"{path}: {found} records, but the TFDS metadata lists {listed}")
        _check_first_record(schema, path)
        total += found
    if not total:
        raise RecordError(f"{data_dir}: no record in any of the {len(files)} files of the {split} split")


def _check_first_record(schema: FeatureSchema, path: str) -> None:
    """Compares a file's first record with the schema; an empty file passes.

    Raises:
      RecordError: unreadable, or not what `record_rules` asks for.
    """
    try:
        serialized = next(tfrecords.in_order([path]).take(1).as_numpy_iterator(), None)
    except tf.errors.OpError as error:
        raise RecordError(f"{path}: {error.message}") from error
    if serialized is not None and (wrong := record_rules.objection(schema, serialized)):
        raise RecordError(f"{path}, record 0: {wrong}{record_rules.lacking(schema, serialized)}")
