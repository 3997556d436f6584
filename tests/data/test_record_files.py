"""A data set's files are found by TFDS metadata or by name, and what is wrong with them is said before training."""

import dataclasses
import gzip
import json
import zlib

import numpy as np
import pytest
import tensorflow as tf

from lcn_tf.data import record_bytes, records
from lcn_tf.data.pipeline import DataConfig, read
from lcn_tf.data.record_files import RecordFiles
from lcn_tf.schema import CLICK, Label
from tests import synthetic


@pytest.mark.parametrize("noted", [True, False])
def test_missing_split_is_named(tmp_path, noted):
    synthetic.write_records(tmp_path)
    for path in tmp_path.glob("*-validation.*"):
        path.unlink()
    if not noted:
        (tmp_path / "preparation.json").unlink()
    with pytest.raises(FileNotFoundError, match="validation"):
        RecordFiles.open(str(tmp_path))


def test_records_of_a_day_have_one_split(tmp_path):
    synthetic.write_records(tmp_path, groups={"train": 3})
    files = RecordFiles.open(str(tmp_path))
    files.check("train")
    with pytest.raises(FileNotFoundError, match="has no validation split, only train"):
        files.check("validation")


def test_folder_without_schema_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="schema.json"):
        RecordFiles.open(str(tmp_path))


def test_records_of_another_schema_are_refused(tmp_path):
    synthetic.write_records(tmp_path)
    other = synthetic.make_schema(time_gap=False)
    renamed = dataclasses.replace(other, request=(dataclasses.replace(other.request[0], name="tab"),))
    (tmp_path / "schema.json").write_text(renamed.to_json())
    with pytest.raises(record_bytes.RecordError, match=r"synthetic-train.*another schema.*\['tab'\]"):
        RecordFiles.open(str(tmp_path))


def test_feature_of_another_type_is_refused(tmp_path):
    schema = synthetic.make_schema()
    groups = synthetic.write_records(tmp_path, schema)
    example = tf.train.Example.FromString(records.encode(schema, groups["train"][0]))
    example.features.feature["price"].float_list.value[:] = [0.5]
    path = tmp_path / "synthetic-train.tfrecord-00000-of-00002"
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(example.SerializeToString())
    with pytest.raises(record_bytes.RecordError, match=f"{path.name}, record 0: feature 'price' is a float_list"):
        RecordFiles.open(str(tmp_path))


def test_wrong_number_of_values_is_refused(tmp_path):
    schema = synthetic.make_schema()
    groups = synthetic.write_records(tmp_path, schema)
    broken = {**groups["test"][0], "slot": [1] * 9}
    with tf.io.TFRecordWriter(str(tmp_path / "synthetic-test.tfrecord-00001-of-00002")) as writer:
        writer.write(records.encode(schema, broken))
    with pytest.raises(record_bytes.RecordError, match="'slot' has 9 values"):
        RecordFiles.open(str(tmp_path))


def test_truncated_file_is_named_with_the_record(tmp_path):
    synthetic.write_records(tmp_path)
    path = tmp_path / "synthetic-test.tfrecord-00001-of-00002"
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(record_bytes.RecordError, match=f"{path.name}: truncated: .* after record 7"):
        RecordFiles.open(str(tmp_path))


def test_missing_shard_is_named(tmp_path):
    synthetic.write_records(tmp_path, shards=3)
    (tmp_path / "synthetic-test.tfrecord-00001-of-00003").unlink()
    with pytest.raises(FileNotFoundError, match=r"synthetic-test.tfrecord-00001-of-00003 is missing \(1 of 3 files"):
        RecordFiles.open(str(tmp_path))


@pytest.mark.parametrize("before, after, message", [
    ("00000-of-00003", "00000-of-00001", "00000-of-00001 and synthetic-test.tfrecord-00000-of-00003 do not belong tog"),
    ("00001-of-00003", "00001-of-00003.gz", "00001-of-00003 and synthetic-test.tfrecord-00001-of-00003.gz do not bel"),
])
def test_files_left_over_from_another_preparation_are_named(tmp_path, before, after, message):
    synthetic.write_records(tmp_path, shards=3)
    content = (tmp_path / f"synthetic-test.tfrecord-{before}").read_bytes()
    (tmp_path / f"synthetic-test.tfrecord-{after}").write_bytes(content)
    with pytest.raises(record_bytes.RecordError, match=message):
        RecordFiles.open(str(tmp_path))


def test_padding_is_refused_while_it_is_trained_on(tmp_path):
    groups = synthetic.write_records(tmp_path)["train"]
    groups[9]["item_id"][-1] = 0  # the first of a file are looked at at once
    synthetic.write_records(tmp_path, groups={"train": groups, "validation": 3, "test": 3})
    files = RecordFiles.open(str(tmp_path))
    message = r"train.*, record 4: feature 'item_id' has the value 0 at place \d: that is padding, no candidate"
    with pytest.raises(record_bytes.RecordError, match=message), files.naming_bad_records():
        list(read(files, "train", DataConfig("flat", 3, 11), 29))


def test_split_without_records_is_named(tmp_path):
    synthetic.write_records(tmp_path)
    for path in tmp_path.glob("*-test.tfrecord-*"):
        path.write_bytes(b"")
    with pytest.raises(record_bytes.RecordError, match="no record in any of the 2 files of the test split"):
        RecordFiles.open(str(tmp_path))


def test_ids_beyond_their_table_are_refused(tmp_path):
    schema = synthetic.make_schema()
    synthetic.write_records(tmp_path, schema)
    smaller = dataclasses.replace(schema, tables={**schema.tables, "item": 3})
    (tmp_path / "schema.json").write_text(smaller.to_json())
    with pytest.raises(record_bytes.RecordError, match=r"record 0: feature '\w*item_id' has the value \d+, .* 3 rows"):
        RecordFiles.open(str(tmp_path))


def compress(folder, pattern, suffix=""):
    for path in folder.glob(pattern):
        content = path.read_bytes()
        path.unlink()
        path.with_name(path.name + suffix).write_bytes(gzip.compress(content[:777]) + gzip.compress(content[777:]))


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_gzipped_files_are_read_as_if_they_were_not(tmp_path, suffix):
    groups = synthetic.write_records(tmp_path)
    config = DataConfig("flat", 3, 11)
    plain = list(read(RecordFiles.open(str(tmp_path)), "train", config, 29, (1, 1)).as_numpy_iterator())
    compress(tmp_path, "*-00001-of-00002", suffix)  # beside others that are not
    files = RecordFiles.open(str(tmp_path))
    files.check("train")
    found = list(read(files, "train", config, 29, (1, 1)).as_numpy_iterator())
    if not suffix:  # the order of the files is shuffled by their names
        for one, other in zip(plain, found, strict=True):
            for name in one:
                np.testing.assert_array_equal(one[name], other[name])
    seen = np.concatenate([batch["impression_id"].ravel() for batch in found])
    assert sorted(seen.tolist()) == [i for group in groups["train"] for i in group["impression_id"]]


@pytest.mark.parametrize(("damage", "message"), [
    (lambda content: gzip.compress(content)[:-400], "damaged gzip file, after record .*end-of-stream"),
    (lambda content: gzip.compress(content[:-7]), "truncated: it ends within the record after record 7"),
    (lambda content: gzip.compress(content) + b"more", "damaged gzip file, after record 8: Not a gzipped file"),
    (lambda content: zlib.compress(content), "compressed with zlib; expected TFRecords as they are, or gzipped"),
    (lambda content: b'{"label": 1}', "not a TFRecord file: it begins with b'{\"label\"', which is no length"),
    (lambda content: content + b"some text behind it", "damaged after record 8: the length of the next one"),
])
def test_files_that_are_no_whole_record_files_are_named(tmp_path, damage, message):
    synthetic.write_records(tmp_path)
    path = tmp_path / "synthetic-test.tfrecord-00001-of-00002"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(record_bytes.RecordError, match=f"{path.name}: {message}"):
        RecordFiles.open(str(tmp_path))


def test_a_record_as_long_as_a_gzip_header_reads_is_no_gzip(tmp_path):
    path = tmp_path / "records"
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(b"x" * 0x8b1f)
    assert path.read_bytes().startswith(b"\x1f\x8b")
    assert record_bytes.compression_of(str(path)) == "" and record_bytes.count_records(str(path)) == 1


def test_a_split_without_candidates_is_refused_before_training(tmp_path):
    schema = synthetic.make_schema()
    empty = synthetic.make_groups(schema, 1)[0] | {name: [] for name in schema.impression_names}
    synthetic.write_records(tmp_path, schema, {"train": 3, "validation": 3, "test": [empty] * 4})
    files = RecordFiles.open(str(tmp_path))
    files.check("validation")
    with pytest.raises(record_bytes.RecordError, match="no impression in the test split"):
        files.check("test")


@pytest.mark.parametrize("change", [-100, 100])
def test_preparation_facts_of_other_records_are_named(tmp_path, change):
    synthetic.write_records(tmp_path)
    path = tmp_path / "preparation.json"
    facts = json.loads(path.read_text())
    for split in ("train", "test"):
        facts["splits"][split]["impressions"] += change
    path.write_text(json.dumps(facts))
    files = RecordFiles.open(str(tmp_path))
    with pytest.raises(record_bytes.RecordError, match=r"preparation.json: -?\d+ impressions in the test split, its"):
        files.check("test")
    with pytest.raises(record_bytes.RecordError, match=r"preparation.json: \d+ impressions in the train split, its rec"
                       ), files.naming_bad_records():
        list(read(files, "train", DataConfig("flat", 3, 11), 29))


def test_other_errors_of_tensorflow_stay_what_they_are(tmp_path):
    synthetic.write_records(tmp_path)
    files = RecordFiles.open(str(tmp_path))
    with pytest.raises(tf.errors.InvalidArgumentError, match="of the model"), files.naming_bad_records():
        raise tf.errors.InvalidArgumentError(None, None, "of the model")


def test_folder_names_are_not_patterns(tmp_path):
    folder = tmp_path / "data[1]*"
    synthetic.write_records(folder)
    assert len(RecordFiles.open(str(folder)).paths) == 6


def with_vectors(folder, values, name="texts.npy"):
    """A data set whose schema names a file of vectors for the item table."""
    schema = dataclasses.replace(synthetic.make_schema(), vectors={"item": name})
    synthetic.write_records(folder, schema)
    if values is not None:
        np.save(folder / name, values)
    return folder


def test_vectors_belong_to_the_records(tmp_path):
    values = np.random.default_rng(1).normal(size=(61, 3))
    files = RecordFiles.open(str(with_vectors(tmp_path, values)))
    np.testing.assert_allclose(files.vectors()["item"], values, rtol=1e-6)
    np.save(tmp_path / "texts.npy", 2 * values)
    assert RecordFiles.open(str(tmp_path)).fingerprint != files.fingerprint
    assert files.reading(["category"]).vectors() == {}  # nothing reads the table


@pytest.mark.parametrize("values, message", [
    (np.zeros((60, 3)), r"expected 61 rows of numbers, one for each id of table 'item', got float64 \[60, 3\]"),
    (np.zeros((61, 3), int), r"texts.npy: expected 61 rows of numbers.*got int64 \[61, 3\]"),
    (np.where(np.arange(61)[:, np.newaxis] == 7, np.nan, np.ones((61, 3))), "the vector of id 7 of table 'item' has"),
    (np.array([["a"]]), "texts.npy: expected 61 rows of numbers"),
])
def test_vectors_that_are_none_are_refused(tmp_path, values, message):
    with pytest.raises(ValueError, match=message):
        RecordFiles.open(str(with_vectors(tmp_path, values))).vectors()


def test_a_file_of_vectors_must_be_there_and_an_array(tmp_path):
    with pytest.raises(FileNotFoundError, match="texts.npy is missing: schema.json names it for the vectors"):
        RecordFiles.open(str(with_vectors(tmp_path / "a", None)))
    files = RecordFiles.open(str(with_vectors(tmp_path / "b", np.zeros((61, 3)))))
    (tmp_path / "b" / "texts.npy").write_bytes(b"no array")
    with pytest.raises(ValueError, match=r"texts.npy: expected vectors of table 'item', a NumPy array"):
        files.vectors()


def test_a_label_that_is_given_another_is_0_where_that_is(tmp_path):
    schema = dataclasses.replace(synthetic.make_schema(), labels=(CLICK, Label("long_stay", given="click")))
    groups = synthetic.write_records(tmp_path, schema)["train"]
    group = next(group for group in groups[9:] if 0 in group["label"])  # the first of a file are looked at at once
    group["long_stay"][group["label"].index(0)] = 1
    synthetic.write_records(tmp_path, schema, {"train": groups, "validation": 3, "test": 3})
    files = RecordFiles.open(str(tmp_path))
    message = r"train.*, record \d+: feature 'long_stay' has the value 1 where 'label' has 0"
    with pytest.raises(record_bytes.RecordError, match=message), files.naming_bad_records():
        list(read(files, "train", DataConfig("flat", 3, 11), 29))
