"""Records arrive as they were written; what is wrong with a record is named with its file and number."""

import numpy as np
import pytest
import tensorflow as tf

from data_prep.errors import InputError
from data_prep.inspect.record_chunks import CHUNK, read_chunks
from lcn_tf.data import records
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
    ("slot", [1], r"record 300: feature 'slot' has 1 values, 'label' 3"),
    ("short_source_offset", [], r"record 300: feature 'short_source_offset' has 0 values, 'label' 3"),
    ("short_target_category", [1], r"record 300: feature 'short_target_category' has 1 values, 'short_t"),
    ("price", [1, 7, 2], r"record 300: feature 'price' has the value 7, expected 0 to 6"),
    ("label", [0, 1, 2], r"record 300: feature 'label' has the value 2, expected 0 to 1"),
    ("timestamp", [synthetic.MOMENT * 1000] * 3, r"feature 'timestamp' has the value 1700000000000, expected 0 to"),
    ("age", [], r"from record 256: not a record of 'synthetic'.*age"),
])
def test_a_wrong_record_is_named(tmp_path, feature, value, message):
    groups = synthetic.make_groups(SCHEMA, 310)
    lengths = {"short_target": 5, "short_source": 7, "lifelong_source": 23}
    groups[300] = synthetic.make_group(SCHEMA, np.random.default_rng(1), 9, 3, lengths) | {feature: value}
    path = write(tmp_path / "records", groups)
    with pytest.raises(InputError, match=f"{path}.*{message}"):
        list(read_chunks(SCHEMA, path))


def test_a_damaged_file_is_named(tmp_path):
    path = write(tmp_path / "records", synthetic.make_groups(SCHEMA, 3))
    content = bytearray((tmp_path / "records").read_bytes())
    content[-20] ^= 1
    (tmp_path / "records").write_bytes(bytes(content))
    with pytest.raises(records.RecordError, match=f"{path}: damaged after record 2"):
        list(read_chunks(SCHEMA, path))
