"""Records arrive as they were written; what is wrong with a record is named with its file and number."""

import numpy as np
import pytest
import tensorflow as tf

from lcn_tf.data import record_bytes, records
from lcn_tf.data.record_chunks import CHUNK, read_chunks
from tests import synthetic

SCHEMA = synthetic.make_schema()


def write(path, groups):
    with tf.io.TFRecordWriter(str(path)) as file:
        for group in groups:
            file.write(records.encode(SCHEMA, group))
    return str(path)


def test_every_list_of_every_record(tmp_path):
    groups = synthetic.make_groups(SCHEMA, 2 * CHUNK + 3, offsets=True)
    chunks = list(read_chunks(SCHEMA, write(tmp_path / "records", groups)))
    assert [len(chunk["label"].lengths) for chunk in chunks] == [CHUNK, CHUNK, 3]
    for number, group in enumerate(groups):
        chunk = chunks[number // CHUNK]
        assert {name: lists.of(number % CHUNK).tolist() for name, lists in chunk.items()} == group


@pytest.mark.parametrize(("feature", "value", "message"), [
    ("slot", [1], r"feature 'slot' has 1 values, but 'item_id' has 3; expected one for each candidate$"),
    ("label", [1, 0], r"feature 'label' has 2 values, but 'item_id' has 3; expected one for each candidate$"),
    ("item_id", [1, 2, 3, 4], r"feature 'item_id' has 4 values, but 'category' has 3; expected one for"),
    ("short_source_offset", [], r"feature 'short_source_offset' has 0 values, but 'item_id' has 3; expected one for"),
    ("short_target_category", [1], r"'short_target_category' has 1 values, but .* has 5; .* event of short_target$"),
    ("short_target_timestamp", [1] * 4, r"'short_target_timestamp' has 4 values, but .* has 5; .* event of short"),
    ("price", [1, 7, 2], r"feature 'price' has the value 7, expected 0 to 6 \(its table 'price' has 7 rows\)$"),
    ("age", [5], r"feature 'age' has the value 5, expected 0 to 4 \(its table 'age' has 5 rows\)$"),
    ("lifelong_source_item_id", [1] * 22 + [-1], r"'lifelong_source_item_id' has the value -1, expected 0 to 60"),
    ("label", [0, 1, 5], r"feature 'label' has the value 5, expected 0 to 1 \(a click or none\)$"),
    ("label", [0, -1, 1], r"feature 'label' has the value -1, expected 0 to 1"),
    ("timestamp", [synthetic.MOMENT * 1000] * 3, r"feature 'timestamp' has the value 1700000000000, expected 0 to"),
    ("short_source_timestamp", [9, 8, 7, 6, 5, 4, -3], r"'short_source_timestamp' has the value -3, expected 0 to"),
    ("lifelong_source_offset", [0, -2, 0], r"'lifelong_source_offset' has the value -2, expected 0 to 23"),
    ("lifelong_source_offset", [0, 24, 0], r"'lifelong_source_offset' has the value 24, expected 0 to 23"),
    ("age", [], r"feature 'age' has 0 values, expected 1$"),
    ("user_key", [7, 8], r"feature 'user_key' has 2 values, expected 1$"),
    ("item_id", [1, 2, 0], r"feature 'item_id' has the value 0 at place 2: that is padding, no candidate; an unknown"),
    ("short_source_item_id", [0] + [1] * 6, r"'short_source_item_id' has the value 0 at place 0: that is padding, "
     "no event of short_source; an unknown item is 1$"),
    ("short_target_timestamp", [9, 9, 8, 7, 8], r"'short_target_timestamp' rises from 7 at place 3 to 8 at place 4"),
    ("lifelong_source_timestamp", [synthetic.MOMENT + 1] + [9] * 22, r"'lifelong_source_timestamp' has the value "
     r"1700000001 at place 0, later than the candidate at place 0 that sees it: 'timestamp' 1700000000"),
    ("timestamp", [synthetic.MOMENT, 9, synthetic.MOMENT], r"place 0, later than the candidate at place 1 that"),
])
def test_a_wrong_record_is_named(tmp_path, feature, value, message):
    groups = synthetic.make_groups(SCHEMA, 310)
    lengths = {"short_target": 5, "short_source": 7, "lifelong_source": 23}
    groups[300] = synthetic.make_group(SCHEMA, np.random.default_rng(1), 9, 3, lengths)
    groups[300] |= dict.fromkeys(feature if isinstance(feature, tuple) else (feature,), value)
    path = write(tmp_path / "records", groups)
    with pytest.raises(record_bytes.RecordError, match=f"{path}, record 300: .*{message}"):
        list(read_chunks(SCHEMA, path))


@pytest.mark.parametrize("change", [
    {"item_id": [1, 1, 1], "category": [1, 0, 1]},  # items without a category
    {"short_target_timestamp": [9, 9, 8, 8, 8]},
    {"short_target_timestamp": [synthetic.MOMENT] * 5},
    {"short_target_timestamp": [synthetic.MOMENT + 1, *[7] * 4], "short_target_offset": [1, 5, 2]},  # nobody sees it
    {"timestamp": [0, 0, 0]}, {"timestamp": [0] * 3, **{f"{name}_timestamp": [0] * length for name, length in
                                                         synthetic.LENGTHS.items()}},  # no times
])
def test_records_that_are_odd_but_no_wrong_ones(tmp_path, change):
    group = synthetic.make_group(SCHEMA, np.random.default_rng(1), 9, 3, synthetic.LENGTHS)
    groups = synthetic.make_groups(SCHEMA, 7, offsets=True)
    list(read_chunks(SCHEMA, write(tmp_path / "records", [*groups, group | change, *groups])))


def without(name):
    def change(features):
        del features.feature[name]
    return change


def as_floats(name):
    def change(features):
        features.feature[name].float_list.value[:] = [0.5]
    return change


@pytest.mark.parametrize(("change", "message"), [
    (without("label"), "feature 'label' is missing, but 'item_id' has 3; expected one for each candidate$"),
    (without("user_id"), "feature 'user_id' is missing, expected 1$"),
    (without("short_target_behaviour"), "feature 'short_target_behaviour' is missing, but .* has 5"),
    (as_floats("price"), "feature 'price' is a float_list, expected an int64_list$"),
    (as_floats("age"), "feature 'age' is a float_list, expected an int64_list$"),
    (None, r"not a tf.train.Example \("),
])
def test_another_record_in_the_middle_of_a_file_is_named(tmp_path, change, message):
    lengths = {"short_target": 5, "short_source": 7, "lifelong_source": 23}
    example = tf.train.Example.FromString(records.encode(
        SCHEMA, synthetic.make_group(SCHEMA, np.random.default_rng(1), 9, 3, lengths)))
    if change:
        change(example.features)
    path = str(tmp_path / "records")
    with tf.io.TFRecordWriter(path) as file:
        for group in synthetic.make_groups(SCHEMA, 5):
            file.write(records.encode(SCHEMA, group))
        file.write(example.SerializeToString() if change else b"no example")
    with pytest.raises(record_bytes.RecordError, match=f"{path}, record 5: {message}"):
        list(read_chunks(SCHEMA, path))


def test_what_is_empty_may_be_left_out(tmp_path):
    group = synthetic.make_group(SCHEMA, np.random.default_rng(1), 9, 3, dict.fromkeys(synthetic.LENGTHS, 0))
    example = tf.train.Example.FromString(records.encode(SCHEMA, group))
    for name in SCHEMA.history_names("short_target"):
        del example.features.feature[name]
    path = str(tmp_path / "records")
    with tf.io.TFRecordWriter(path) as file:
        file.write(example.SerializeToString())
    (chunk,) = read_chunks(SCHEMA, path)
    assert {name: lists.of(0).tolist() for name, lists in chunk.items()} == group


def test_a_damaged_file_is_named(tmp_path):
    path = write(tmp_path / "records", synthetic.make_groups(SCHEMA, 3))
    content = bytearray((tmp_path / "records").read_bytes())
    content[-20] ^= 1
    (tmp_path / "records").write_bytes(bytes(content))
    with pytest.raises(record_bytes.RecordError, match=f"{path}: damaged after record 2"):
        list(read_chunks(SCHEMA, path))
