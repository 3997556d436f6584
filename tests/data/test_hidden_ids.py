"""Ids that a model does not know yet are out of vocabulary in its batches, everywhere."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from lcn_tf.data.hidden_ids import hide
from lcn_tf.data.pipeline import DataConfig, RecordFiles, read
from lcn_tf.schema import OOV_ID, Feature
from tests import synthetic


@pytest.mark.parametrize("layout", ["flat", "grouped"])
def test_hidden_ids_are_out_of_vocabulary_and_no_others(tmp_path, layout):
    synthetic.write_records(tmp_path, seed=3)
    files, config = RecordFiles.open(str(tmp_path)), DataConfig(layout=layout, short_length=3, lifelong_length=11)
    table = files.schema.item[0].table
    hidden = np.arange(3, files.schema.tables[table], 2, dtype=np.int64)
    hiding = files.hiding({table: hidden, "of no feature": hidden, "empty": hidden[:0]})
    changed = set()
    for before, after in zip(read(files, "train", config, 17), read(hiding, "train", config, 17), strict=True):
        assert before.keys() == after.keys()
        for name, values in before.items():
            expected = values.numpy()
            if files.schema.table_of_feature.get(name) == table:
                is_hidden = np.isin(expected, hidden)
                changed.update([name] if is_hidden.any() else [])
                expected = np.where(is_hidden, OOV_ID, expected)
            np.testing.assert_array_equal(after[name].numpy(), expected)
    assert {files.schema.item[0].name, f"lifelong_source_{files.schema.item[0].name}"} <= changed


def test_several_hidden_values_are_one():
    plain, tags = synthetic.make_schema(), ("tags_1", "tags_2", "tags_3")
    schema = dataclasses.replace(plain, tables={**plain.tables, "tag": 8}, means={"tags": tags},
                                 user=(*plain.user, *(Feature(name, "tag") for name in tags)))
    rows = [(5, 2, 6), (1, 5, 2), (0, 5, 6), (2, 3, 0)]
    batch = {name: tf.zeros([4], tf.int64) for name in schema.table_of_feature}
    batch |= {name: tf.constant(ids, tf.int64) for name, ids in zip(tags, zip(*rows, strict=True), strict=True)}
    found = hide(schema, {"tag": np.array([5, 6])}, batch)
    assert list(zip(*(found[name].numpy().tolist() for name in tags), strict=True)) == [
        (1, 2, 0), (1, 0, 2), (0, 1, 0), (2, 3, 0)]
