"""A split's statistics against plain counting over the groups it was written from."""

import collections
import dataclasses

import numpy as np
import pytest

from data_prep.inspect.split_statistics import LengthCounts, _DistinctIntegers, measure_split
from lcn_tf.data.record_files import RecordFiles
from lcn_tf.schema import FIRST_ID, Feature
from tests import synthetic
from tests.synthetic import HISTORIES


def spread_out(groups):
    """The groups over several days, with users that come back."""
    for number, group in enumerate(groups):
        group["timestamp"] = [moment + 7_200 * number for moment in group["timestamp"]]
        group["user_key"] = [group["user_key"][0] // 3 * 3]
    return groups


@pytest.fixture(scope="module", params=[False, True], ids=["no_offsets", "offsets"])
def written(request, tmp_path_factory):
    data_dir, schema = tmp_path_factory.mktemp("data"), synthetic.make_schema()
    groups = {split: spread_out(synthetic.make_groups(schema, count, count, offsets=request.param))
              for split, count in (("train", 600), ("validation", 2), ("test", 41))}
    synthetic.write_records(data_dir, schema, groups, shards=2)
    return RecordFiles.open(str(data_dir)), groups


@pytest.mark.parametrize("split", ["train", "validation", "test"])
@pytest.mark.parametrize("utc_offset", [0, 8 * 3600])
def test_equals_plain_counting(written, split, utc_offset):
    files, groups = written
    found = measure_split(files, split, utc_offset)
    impressions = [(group, place) for group in groups[split] for place in range(len(group["label"]))]
    assert found.groups == len(groups[split]) and found.impressions == len(impressions)
    assert found.clicks == sum(group["label"][place] for group, place in impressions) == found.positives["click"]
    assert found.users == len({group["user_key"][0] for group in groups[split]})
    days = collections.defaultdict(lambda: [0, 0])
    for group, place in impressions:
        counts = days[(group["timestamp"][place] + utc_offset) // 86_400]
        counts[0] += 1
        counts[1] += group["label"][place]
    assert found.days == {day: tuple(days[day]) for day in sorted(days)} and (len(days) > 3) == (split != "validation")
    for history in HISTORIES:
        seen = collections.Counter(
            len(group[f"{history}_timestamp"][group[f"{history}_offset"][place]:][:files.schema.lengths[history]])
            for group, place in impressions)
        assert {length: count for length, count in enumerate(found.lengths[history].impressions) if count} == seen


def test_known_ids_of_users_count_once_per_impression(written):
    files, groups = written
    known = measure_split(files, "test", 0).known
    assert list(known) == ["impressions", *HISTORIES]
    assert list(known["impressions"]) == ["user_id", "age", "item_id", "category", "price", "slot"]
    for name in ("user_id", "age"):
        ids = [value for group in groups["test"] for value in group[name] * len(group["label"])]
        assert known["impressions"][name] == pytest.approx(np.mean([value >= FIRST_ID for value in ids]))
    for place, name, feature in (("impressions", "slot", "slot"),
                                 ("short_source", "behaviour", "short_source_behaviour"),
                                 ("lifelong_source", "category", "lifelong_source_category")):
        ids = [value for group in groups["test"] for value in group[feature]]
        share = np.mean([value >= FIRST_ID for value in ids])
        assert known[place][name] == pytest.approx(share) and 0 < share < 1


def test_padding_of_several_values_is_not_out_of_vocabulary(tmp_path):
    plain, tags, genres = synthetic.make_schema(), ("tags_1", "tags_2"), ("genres_1", "genres_2")
    schema = dataclasses.replace(
        plain, tables={**plain.tables, "tag": 8, "genre": 9}, means={"tags": tags, "genres": genres},
        user=(*plain.user, *(Feature(name, "tag") for name in tags)),
        candidate=tuple(Feature(name, "genre") for name in genres))
    groups = synthetic.make_groups(schema, 3, seed=1)
    for group, tag in zip(groups, (0, 1, 5), strict=True):
        genre = [5, 1, *[0] * len(group["label"])][:len(group["label"])]
        group |= {"tags_1": [tag], "tags_2": [0], "genres_1": genre, "genres_2": [0] * len(genre)}
    synthetic.write_records(tmp_path, schema, dict.fromkeys(synthetic.GROUPS, groups), shards=1)
    known = measure_split(RecordFiles.open(str(tmp_path)), "test", 0).known["impressions"]
    sizes = [len(group["label"]) for group in groups]
    assert known["tags_1"] == sizes[2] / (sizes[1] + sizes[2])
    assert known["genres_1"] == 3 / sum(min(size, 2) for size in sizes)
    assert not {"tags_2", "genres_2"} & set(known)  # nothing but padding


def test_a_place_without_ids_is_left_out(tmp_path):
    schema = synthetic.make_schema()
    group = synthetic.make_group(schema, np.random.default_rng(1), 5, 2, dict.fromkeys(HISTORIES, 0))
    synthetic.write_records(tmp_path, schema, dict.fromkeys(synthetic.GROUPS, (group,)), shards=1)
    found = measure_split(RecordFiles.open(str(tmp_path)), "test", 0)
    assert list(found.known) == ["impressions"] and found.lengths["short_target"].empty == 1


def test_more_events_than_the_schema_asks_for_are_not_seen(tmp_path):
    """As in groups of all impressions of a user, which store the events of every candidate's window."""
    schema = synthetic.make_schema()
    lengths = dict.fromkeys(HISTORIES, 9)  # the schema's short_target is 5 long, lifelong_source 23
    group = synthetic.make_group(schema, np.random.default_rng(1), 5, 4, lengths)
    for history in HISTORIES:
        group[f"{history}_offset"] = [0, 3, 7, 9]
    synthetic.write_records(tmp_path, schema, dict.fromkeys(synthetic.GROUPS, (group,)), shards=1)
    found = measure_split(RecordFiles.open(str(tmp_path)), "train", 0).lengths
    assert found["short_target"].impressions.tolist() == [1, 0, 1, 0, 0, 2]
    assert found["lifelong_source"].impressions.nonzero()[0].tolist() == [0, 2, 6, 9]


def test_lengths():
    counts = LengthCounts(np.array([1, 0, 5, 3, 0, 1]))  # 0 2 2 2 2 2 3 3 3 5
    assert counts.mean == 2.4 and counts.empty == 0.1
    assert [counts.quantile(share) for share in (0.1, 0.2, 0.6, 0.61, 0.9, 1.0)] == [0, 2, 2, 3, 3, 5]


def test_distinct_integers_are_merged_while_they_come():
    counter, rng = _DistinctIntegers(), np.random.default_rng(2)
    values = [rng.integers(-30_000, 30_000, 1_001) for _ in range(200)]
    for value in values:
        counter.add(value)
    assert counter._pending < 100_000
    assert counter.count() == counter.count() == len(set(np.concatenate(values).tolist()))
