"""A data set's files are found by TFDS metadata or by name, and what is wrong with them is said before training."""

import dataclasses

import pytest
import tensorflow as tf

from lcn_tf.data import records
from lcn_tf.data.record_files import RecordFiles
from tests import synthetic


def test_missing_split_is_named(tmp_path):
    synthetic.write_records(tmp_path, groups={"train": 3})
    with pytest.raises(FileNotFoundError, match="validation"):
        RecordFiles.open(str(tmp_path))


def test_folder_without_schema_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="schema.json"):
        RecordFiles.open(str(tmp_path))


def test_records_of_another_schema_are_refused(tmp_path):
    synthetic.write_records(tmp_path)
    other = synthetic.make_schema(time_gap=False)
    renamed = dataclasses.replace(other, request=(dataclasses.replace(other.request[0], name="tab"),))
    (tmp_path / "schema.json").write_text(renamed.to_json())
    with pytest.raises(records.RecordError, match=r"synthetic-train.*another schema.*\['tab'\]"):
        RecordFiles.open(str(tmp_path))


def test_feature_of_another_type_is_refused(tmp_path):
    schema = synthetic.make_schema()
    groups = synthetic.write_records(tmp_path, schema)
    example = tf.train.Example.FromString(records.encode(schema, groups["train"][0]))
    example.features.feature["price"].float_list.value[:] = [0.5]
    path = tmp_path / "synthetic-train.tfrecord-00000-of-00002"
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(example.SerializeToString())
    with pytest.raises(records.RecordError, match=f"{path.name}: feature 'price' is a float_list"):
        RecordFiles.open(str(tmp_path))


def test_wrong_number_of_values_is_refused(tmp_path):
    schema = synthetic.make_schema()
    groups = synthetic.write_records(tmp_path, schema)
    broken = {**groups["test"][0], "slot": [1] * 9}
    with tf.io.TFRecordWriter(str(tmp_path / "synthetic-test.tfrecord-00001-of-00002")) as writer:
        writer.write(records.encode(schema, broken))
    with pytest.raises(records.RecordError, match="'slot' has 9 values"):
        RecordFiles.open(str(tmp_path))


def test_truncated_file_is_named_with_the_record(tmp_path):
    synthetic.write_records(tmp_path)
    path = tmp_path / "synthetic-test.tfrecord-00001-of-00002"
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(records.RecordError, match=f"{path.name}: truncated: .* after record 7"):
        RecordFiles.open(str(tmp_path))


def test_missing_shard_is_named(tmp_path):
    synthetic.write_records(tmp_path, shards=3)
    (tmp_path / "synthetic-test.tfrecord-00001-of-00003").unlink()
    with pytest.raises(FileNotFoundError, match=r"synthetic-test.tfrecord-00001-of-00003 is missing \(1 of 3 files"):
        RecordFiles.open(str(tmp_path))


def test_split_without_records_is_named(tmp_path):
    synthetic.write_records(tmp_path)
    for path in tmp_path.glob("*-test.tfrecord-*"):
        path.write_bytes(b"")
    with pytest.raises(records.RecordError, match="no record in any of the 2 files of the test split"):
        RecordFiles.open(str(tmp_path))


def test_ids_beyond_their_table_are_refused(tmp_path):
    schema = synthetic.make_schema()
    synthetic.write_records(tmp_path, schema)
    smaller = dataclasses.replace(schema, tables={**schema.tables, "item": 3})
    (tmp_path / "schema.json").write_text(smaller.to_json())
    with pytest.raises(records.RecordError, match=r"another schema: feature '\w*item_id' has the id \d+, its table 3 "):
        RecordFiles.open(str(tmp_path))


def test_damaged_preparation_facts_are_named(tmp_path):
    synthetic.write_records(tmp_path)
    (tmp_path / "preparation.json").write_text('{"splits": ')
    with pytest.raises(ValueError, match="preparation.json: not JSON"):
        RecordFiles.open(str(tmp_path))


def test_folder_names_are_not_patterns(tmp_path):
    folder = tmp_path / "data[1]*"
    synthetic.write_records(folder)
    assert len(RecordFiles.open(str(folder)).paths) == 6
