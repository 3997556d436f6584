"""Where the metadata of TensorFlow Datasets says the records of a folder are."""

from __future__ import annotations

import os

from lcn_tf.data.record_bytes import RecordError
from lcn_tf.schema import FeatureSchema

_INFO, _FEATURES = "dataset_info.json", "features.json"


def has_metadata(data_dir: str) -> bool:
    """Whether a folder has TFDS metadata."""
    return os.path.exists(os.path.join(data_dir, _INFO))


def listed_files(data_dir: str, schema: FeatureSchema, splits: tuple[str, ...]) -> dict[str, dict[str, int]]:
    """The record files of a folder, whatever the template of their names.

    Args:
      data_dir: folder with `dataset_info.json` and `features.json`.
      schema: of the records.
      splits: those to look up.

    Returns:
      split -> path of each file, in the order of the shards -> records in it, as the metadata lists them.

    Raises:
      FileNotFoundError: a split is not listed, or there is no `features.json`.
      RecordError: unreadable metadata, another format than TFRecord, a feature of the schema that is not listed, or a
        file that is listed twice.
    """
    import tensorflow_datasets as tfds  # here, because records without metadata do without it

    info_path, features_path = (os.path.join(data_dir, name) for name in (_INFO, _FEATURES))
    if not os.path.exists(features_path):
        raise FileNotFoundError(f"{features_path} is missing: {_INFO} and {_FEATURES} belong together")
    try:
        info = tfds.builder_from_directory(data_dir).info
        listed_features = set(info.features)
    except Exception as error:
        raise RecordError(f"{info_path} and {_FEATURES} are not TFDS metadata: {error}") from error
    if info.file_format.value != "tfrecord":
        raise RecordError(f"{info_path}: records in the format {info.file_format.value!r}, expected 'tfrecord'")
    missing = [split for split in splits if split not in info.splits]
    if missing:
        raise FileNotFoundError(f"{info_path}: no split {' and no split '.join(missing)}; it lists "
                                f"{', '.join(info.splits) or 'none'}; {', '.join(splits)} are needed")
    unlisted = [name for name in schema.record_names if name not in listed_features]
    if unlisted:
        raise RecordError(f"{features_path}: the features {unlisted} of schema.json are missing; it lists "
                          f"{sorted(listed_features)}")
    files = {}
    for split in splits:
        paths = [os.fspath(path) for path in info.splits[split].filepaths]
        files[split] = dict(zip(paths, info.splits[split].shard_lengths, strict=True))
    every = [path for paths in files.values() for path in paths]
    if len(set(every)) < len(every):
        twice = next(path for path in every if every.count(path) > 1)
        raise RecordError(f"{info_path}: {os.path.basename(twice)} belongs to two splits")
    return files
