"""A folder with TFDS metadata opens whatever its files are called; metadata that does not fit its files is refused."""

import json
import os
import pathlib
import re

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from lcn_tf.data.pipeline import DataConfig, read
from lcn_tf.data.prepared_folder import SPLITS
from lcn_tf.data.record_bytes import RecordError
from lcn_tf.data.record_files import RecordFiles
from tests import synthetic

TEMPLATE = "{SPLIT}-part-{SHARD_INDEX}.{FILEFORMAT}"


def write_foreign(folder: pathlib.Path, renamed: dict[str, str] | None = None) -> dict:
    """Records under names of their own, with the metadata that TFDS finds for them; returns the groups by split."""
    groups = synthetic.write_records(folder)
    (folder / "preparation.json").unlink()
    for path in folder.glob("*.tfrecord-*"):
        split, shard = re.fullmatch(r"synthetic-(\w+)\.tfrecord-(\d+)-of-\d+", path.name).groups()
        path.rename(folder / f"{(renamed or {}).get(split, split)}-part-{shard}.tfrecord")
    schema = synthetic.make_schema()
    one, many = tfds.features.Scalar(np.int64), tfds.features.Tensor(shape=(None,), dtype=np.int64)
    tfds.folder_dataset.write_metadata(
        data_dir=folder, filename_template=TEMPLATE,
        features={name: one if name in schema.user_names else many for name in schema.record_names})
    return groups


def edit(path: pathlib.Path, change) -> None:
    """Changes a JSON file in place."""
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def entry(info: dict, split: str) -> dict:
    """A split's entry in the content of `dataset_info.json`."""
    return next(found for found in info["splits"] if found["name"] == split)


def test_files_are_found_by_the_template_of_the_metadata(tmp_path):
    groups = write_foreign(tmp_path)
    files = RecordFiles.open(str(tmp_path))
    assert [os.path.basename(path) for path in files.paths] == [
        f"{split}-part-0000{shard}.tfrecord" for split in SPLITS for shard in range(2)]
    config = DataConfig(layout="flat", short_length=3, lifelong_length=11)
    for split in SPLITS:
        seen = [int(i) for batch in read(files, split, config, 29) for i in batch["impression_id"].numpy().ravel()]
        assert sorted(seen) == [i for group in groups[split] for i in group["impression_id"]]


def test_each_split_may_have_a_template_of_its_own(tmp_path):
    write_foreign(tmp_path)
    (tmp_path / "held_out").mkdir()
    for path in tmp_path.glob("test-part-*"):
        path.rename(tmp_path / "held_out" / path.name.removeprefix("test-"))
    edit(tmp_path / "dataset_info.json", lambda info: entry(info, "test").update(
        filepathTemplate="held_out/part-{SHARD_INDEX}.tfrecord"))
    assert RecordFiles.open(str(tmp_path)).splits["test"] == tuple(
        str(tmp_path / "held_out" / f"part-0000{shard}.tfrecord") for shard in range(2))


def test_files_beside_those_of_the_metadata_are_not_read(tmp_path):
    write_foreign(tmp_path)
    (tmp_path / "train-part-00002.tfrecord").write_bytes(b"no record")
    assert len(RecordFiles.open(str(tmp_path)).paths) == 6


def test_a_missing_split_is_named_with_those_there_are(tmp_path):
    write_foreign(tmp_path, {"validation": "dev"})
    with pytest.raises(FileNotFoundError, match=r"dataset_info.json: no split validation; it lists dev, test, train; "):
        RecordFiles.open(str(tmp_path))


def test_a_missing_shard_is_named(tmp_path):
    write_foreign(tmp_path)
    (tmp_path / "test-part-00001.tfrecord").unlink()
    with pytest.raises(FileNotFoundError, match=r"test-part-00001.tfrecord is missing \(1 of 2 files"):
        RecordFiles.open(str(tmp_path))


def test_other_counts_than_the_metadata_lists_are_refused(tmp_path):
    groups = write_foreign(tmp_path)
    with tf.io.TFRecordWriter(str(tmp_path / "train-part-00001.tfrecord")):
        pass
    listed = len(groups["train"][1::2])
    with pytest.raises(RecordError, match=rf"train-part-00001.tfrecord: 0 records, but the .* lists {listed}"):
        RecordFiles.open(str(tmp_path))


def test_a_feature_that_the_metadata_lacks_is_named(tmp_path):
    write_foreign(tmp_path)
    edit(tmp_path / "features.json", lambda features: features["featuresDict"]["features"].pop("slot"))
    with pytest.raises(RecordError, match=r"features.json: the features \['slot'\] of schema.json are missing"):
        RecordFiles.open(str(tmp_path))


def test_a_file_of_two_splits_is_refused(tmp_path):
    write_foreign(tmp_path)

    def same_as_test(info):
        entry(info, "train").update(filepathTemplate="test-part-{SHARD_INDEX}.tfrecord")

    edit(tmp_path / "dataset_info.json", same_as_test)
    with pytest.raises(RecordError, match=r"test-part-00000.tfrecord belongs to two splits"):
        RecordFiles.open(str(tmp_path))


def test_another_format_of_files_is_named(tmp_path):
    write_foreign(tmp_path)
    edit(tmp_path / "dataset_info.json", lambda info: info.update(fileFormat="array_record"))
    with pytest.raises(RecordError, match="records in the format 'array_record', expected 'tfrecord'"):
        RecordFiles.open(str(tmp_path))


def test_half_of_the_metadata_is_not_enough(tmp_path):
    write_foreign(tmp_path)
    (tmp_path / "features.json").unlink()
    with pytest.raises(FileNotFoundError, match="features.json is missing"):
        RecordFiles.open(str(tmp_path))


@pytest.mark.parametrize("name", ["dataset_info.json", "features.json"])
def test_damaged_metadata_is_named(tmp_path, name):
    write_foreign(tmp_path)
    (tmp_path / name).write_text('{"splits": ')
    with pytest.raises(RecordError, match=r"dataset_info.json and features.json are not TFDS metadata: "):
        RecordFiles.open(str(tmp_path))
