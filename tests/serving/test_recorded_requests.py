"""Requests made of records: what a candidate may not see is gone, nothing else is."""

import numpy as np
import tensorflow as tf

from lcn_tf.data.pipeline import RecordFiles
from lcn_tf.models.requests import request_names
from lcn_tf.serving.recorded_requests import requests_from_records
from tests import synthetic
from tests.serving.conftest import DATA
from tests.synthetic import HISTORIES

SCHEMA = synthetic.make_schema()


def recorded_from(folder, groups, count=100, most=1_000, **options):
    written = synthetic.write_records(folder, groups={"train": 1, "validation": 1, "test": groups}, **options)
    return written["test"], requests_from_records(RecordFiles.open(str(folder)), "test", DATA, count, most)


def test_without_offsets_a_record_is_a_request(tmp_path):
    groups, recorded = recorded_from(tmp_path, 7, shards=1)
    assert len(recorded.examples) == 7
    names = {name for part in request_names(SCHEMA) for name in part}
    assert set(recorded.tensors) == names
    for index, group in enumerate(groups):
        example = tf.train.Example.FromString(recorded.examples[index]).features.feature
        assert {name: list(feature.int64_list.value) for name, feature in example.items()} == {
            name: group[name] for name in names}
        for name in names - set(request_names(SCHEMA)[0]):
            row = recorded.tensors[name][index]
            assert row[:len(group[name])].tolist() == group[name]
            assert not row[len(group[name]):].any()


def test_candidates_with_the_same_offsets_share_a_request(tmp_path):
    group = synthetic.make_group(SCHEMA, np.random.default_rng(0), 3, 4, SCHEMA.lengths)
    for history in HISTORIES:
        group[f"{history}_offset"] = [2, 0, 2, 1]
    _, recorded = recorded_from(tmp_path, [group], shards=1)
    assert recorded.position.tolist() == [[0, 0], [0, 1], [1, 0], [2, 0]]
    assert recorded.arrange(np.array([5, 7, 11, 13])).tolist() == [[5, 7], [11, 0], [13, 0]]
    items = recorded.tensors["lifelong_source_item_id"]
    for row, offset in enumerate([2, 0, 1]):
        events = group["lifelong_source_item_id"][offset:]
        assert items[row].tolist() == events + [0] * offset
    assert recorded.tensors["item_id"].tolist() == [
        [group["item_id"][0], group["item_id"][2]], [group["item_id"][1], 0], [group["item_id"][3], 0]]


def test_impressions_and_requests_are_the_same_rows(tmp_path):
    groups, recorded = recorded_from(tmp_path, 13, offsets=True, shards=1)
    impressions = [impression for group in groups for impression in group["impression_id"]]
    assert sorted(recorded.impressions["impression_id"][:, 0].numpy()) == impressions
    rows, columns = recorded.position.T
    assert len({tuple(place) for place in recorded.position}) == len(impressions)
    for name in request_names(SCHEMA)[1]:
        np.testing.assert_array_equal(recorded.tensors[name][rows, columns], recorded.impressions[name][:, 0])
    for history in HISTORIES:
        length = DATA.lengths_of(SCHEMA)[history]
        for name in SCHEMA.history_names(history):
            seen = np.pad(recorded.tensors[name], ((0, 0), (0, length)))[rows, :length]
            np.testing.assert_array_equal(seen, recorded.impressions[name])


def test_count_is_the_number_of_records(tmp_path):
    _, recorded = recorded_from(tmp_path, 7, count=3)
    assert len(recorded.examples) == 3


def test_of_too_many_requests_every_size_remains(tmp_path):
    """One record whose candidates all see something else, and two of the smallest and the largest size."""
    rng = np.random.default_rng(0)
    group = synthetic.make_group(SCHEMA, rng, 3, 50, SCHEMA.lengths)
    for index in range(50):
        for history, length in SCHEMA.lengths.items():
            group[f"{history}_offset"][index] = index % (length - 1)
    small = synthetic.make_group(SCHEMA, rng, 4, 1, dict.fromkeys(HISTORIES, 0), first_impression=50)
    large = synthetic.make_group(SCHEMA, rng, 5, 7, SCHEMA.lengths, first_impression=51)
    _, recorded = recorded_from(tmp_path, [group, large, small], most=11, shards=1)
    assert len(recorded.examples) == len(recorded.tensors["timestamp"]) == 11
    candidates = (recorded.tensors["item_id"] != 0).sum(1)
    events = (recorded.tensors["lifelong_source_item_id"] != 0).sum(1)
    assert sorted(candidates) == [1] * 10 + [7]
    assert events.min() == 0 and events.max() == SCHEMA.lengths["lifelong_source"] and len(set(events)) > 7
    rows, columns = recorded.position.T
    assert len(rows) == 17
    np.testing.assert_array_equal(recorded.tensors["item_id"][rows, columns], recorded.impressions["item_id"][:, 0])
