"""Prepared Taobao logs against the plain-Python preparation, record by record, and their accounting."""

import collections
import dataclasses
import itertools

import pytest

from data_prep.calendar_splits import day_start
from data_prep.config import PreparationConfig
from data_prep.errors import InputError, OutputError
from data_prep.taobao.config import PROFILE_FIELDS, TaobaoConfig
from data_prep.taobao.prepare import prepare
from lcn_tf.schema import FeatureSchema
from tests import references_data
from tests.data_prep.taobao_logs import random_logs, second, write_logs
from tests.synthetic import HISTORIES

ROLES = {"user": ("user_id", *PROFILE_FIELDS), "item": ("cate", "brand"),
         "candidate": ("adgroup_id", "campaign_id", "customer", "price_bucket"), "request": ("pid",),
         "context": ("btag",)}
SMALL = PreparationConfig(short_length=3, lifelong_length=11, shards=2, memory_limit="500MB")


def prepared(tmp_path, logs, config=None, preparation=SMALL, line_end="\n"):
    input_dir = write_logs(tmp_path / "logs", logs, line_end)
    output_dir = tmp_path / "prepared"
    prepare(str(input_dir), str(output_dir), config or TaobaoConfig(), preparation)
    return input_dir, output_dir


def all_records(output_dir):
    """`{(user, first timestamp of the group): record}` by split."""
    return {split: references_data.read_records(output_dir, split) for split in ("train", "validation", "test")}


@pytest.fixture(scope="module")
def default(tmp_path_factory):
    """Input and output of `random_logs(1)` with `SMALL`."""
    return prepared(tmp_path_factory.mktemp("default"), random_logs(1))


CASES = {
    "defaults": ({}, {}),
    "day": ({"behaviors": ("pv", "fav")}, {"snapshot": "day", "history_gap_seconds": 7, "shards": 1}),
    "without_recent": ({}, {"exclude_recent": True, "short_length": 2, "history_gap_seconds": 86_399, "shards": 3}),
    "rare_values": ({"first_day": "2017-05-07", "num_days": 6}, {"min_count": 5}),
    "all_rows": ({"row_set": "all", "target_category_below": 2011},
                 {"deduplicate": True, "lifelong_length": 500, "short_length": 24}),
    "source": ({"row_set": "source"}, {"deduplicate": True}),
    "user": ({}, {"snapshot": "user"}),
    "user_in_parts": ({}, {"snapshot": "user", "max_candidates": 4, "exclude_recent": True, "lifelong_length": 5}),
    "user_gap": ({}, {"snapshot": "user", "history_gap_seconds": 90_000, "min_count": 3, "deduplicate": True}),
    "hashed": ({}, {"vocabulary": "hashed", "hash_bins": 2**31, "snapshot": "user"}),
}


@pytest.mark.parametrize("case", CASES)
def test_records_equal_the_plain_python_preparation(tmp_path, case):
    dataset_settings, settings = CASES[case]
    config = TaobaoConfig(**dataset_settings)
    preparation = dataclasses.replace(SMALL, **settings)
    line_end = "\r\n" if len(case) % 2 else "\n"
    input_dir, output_dir = prepared(tmp_path, random_logs(sorted(CASES).index(case)), config, preparation, line_end)

    starts = [day_start(config.first_day, 8 * 3600) + day * 86_400 for day in range(config.num_days + 1)]
    impressions, events, users = references_data.taobao_tables(
        input_dir, starts, config.target_category_below, config.row_set, config.behaviors)
    names = {"snapshot", "short_length", "lifelong_length", "exclude_recent", "min_count", "deduplicate",
             "max_candidates"}
    expected = references_data.reference_records(
        impressions, events, users, ROLES, starts[-3], gap=preparation.history_gap_seconds, utc_offset=8 * 3600,
        test_start=starts[-2], hash_bins=preparation.hash_bins if preparation.vocabulary == "hashed" else None,
        **{name: getattr(preparation, name) for name in names})
    bounds = starts[0], *starts[-3:]
    for split, first, end in zip(("train", "validation", "test"), bounds, bounds[1:], strict=False):
        wanted = {key: record for key, record in expected.items() if first <= key[1] < end}
        found = references_data.read_records(output_dir, split)
        assert len(found) == len(wanted) > 0
        by_impression = {record["impression_id"][0]: record for record in found}
        for record in wanted.values():
            assert by_impression[record["impression_id"][0]] == record
            assert config.row_set != "source" or not record["short_target_timestamp"]


def test_the_oracle_is_exercised(default):
    """The random logs contain what the comparison is meant to cover."""
    _, output_dir = default
    records = list(itertools.chain.from_iterable(all_records(output_dir).values()))
    lengths = {history: {len(record[f"{history}_timestamp"]) for record in records} for history in HISTORIES}
    assert {0, 3} <= lengths["short_target"] and {0, 3} <= lengths["short_source"]
    assert {0, 11} <= lengths["lifelong_source"] and len(lengths["lifelong_source"]) > 3
    assert max(len(record["label"]) for record in records) > 3
    values = {name: set(itertools.chain.from_iterable(record[name] for record in records)) for name in records[0]}
    assert "-1" in values["brand"] and "-1" in values["pvalue_level"] and "OOV" in values["user_id"]
    ties = [list(zip(record["lifelong_source_timestamp"], record["lifelong_source_timestamp"][1:], strict=False))
            for record in records]
    assert any(first == following for pairs in ties for first, following in pairs)


def test_histories_end_before_the_second_of_the_impression(tmp_path):
    day = second(12, 10)
    logs = random_logs(3)
    logs["raw_sample.csv"] = [[1, second(number, 10), 1, "430548_1007", 1, 0] for number in range(6, 13)]
    logs["behavior_log.csv"] = [[1, day + shift, "pv", 5000, 30 + number] for number, shift in
                                enumerate((-86_400, -2, -1, 0, 1))]
    _, output_dir = prepared(tmp_path, logs)
    record, = references_data.read_records(output_dir, "test")
    assert record["lifelong_source_timestamp"] == [day - 1, day - 2, day - 86_400]


def test_rows_are_accounted_for(default):
    logs = random_logs(1)
    input_dir, output_dir = default
    preparation = references_data.read_preparation(output_dir)
    assert set(preparation["rows"]) == set(logs)
    for name, counts in preparation["rows"].items():
        assert counts["read"] == len(logs[name]) == counts["used"] + sum(counts["dropped"].values())
    starts = [second(day) for day in range(6, 14)]
    impressions, events, _ = references_data.taobao_tables(input_dir, starts)
    assert preparation["rows"]["raw_sample.csv"]["used"] == len(impressions)
    assert preparation["rows"]["behavior_log.csv"]["used"] == len(events)
    assert preparation["rows"]["raw_sample.csv"]["dropped"]["timestamp not positive"] == 1
    assert preparation["rows"]["raw_sample.csv"]["dropped"]["ad not in ad_feature"] == 1
    assert preparation["rows"]["behavior_log.csv"]["dropped"]["timestamp not positive"] == 2
    assert preparation["rows"]["behavior_log.csv"]["dropped"]["unknown behaviour"] == 1
    assert preparation["users_without_profile"] == 2
    records = all_records(output_dir)
    for split, entry in preparation["splits"].items():
        assert entry["groups"] == len(records[split])
        assert entry["impressions"] == sum(len(record["label"]) for record in records[split])
        assert entry["clicks"] == sum(sum(record["label"]) for record in records[split])
        assert entry["users"] == len({record["user_key"][0] for record in records[split]})
    assert preparation["splits"]["test"]["first_day"] == preparation["splits"]["test"]["last_day"] == "2017-05-12"


def test_dropped_duplicates_are_accounted_for(tmp_path):
    logs = random_logs(5)
    _, output_dir = prepared(tmp_path, logs, preparation=dataclasses.replace(SMALL, deduplicate=True))
    preparation = references_data.read_preparation(output_dir)
    counts = preparation["rows"]["behavior_log.csv"]
    assert counts["read"] == len(logs["behavior_log.csv"]) == counts["used"] + sum(counts["dropped"].values())
    assert counts["dropped"]["repeats an earlier row"] > 0


def test_schema(default):
    schema = FeatureSchema.load(default[1])
    assert schema.name == "taobao_ad"
    assert {role: tuple(feature.name for feature in getattr(schema, role)) for role in ROLES} == ROLES
    assert schema.lengths == {"short_target": 3, "short_source": 3, "lifelong_source": 11}
    assert schema.time_gap_boundaries[0] == 60 and schema.time_gap_boundaries[-1] == 30 * 86_400


def test_vocabularies_are_ordered_by_training_count_then_value(default):
    input_dir, output_dir = default
    impressions, events, _ = references_data.taobao_tables(input_dir, [second(day) for day in range(6, 14)])
    shown = [row for row in impressions if row["timestamp"] < second(11)]
    acted = [row for row in events if row["timestamp"] < second(11)]
    for name, rows in (("brand", shown + acted), ("adgroup_id", shown)):
        counts = collections.Counter(int(row[name]) for row in rows)
        lines = (output_dir / "vocabularies" / f"{name}.txt").read_text().split()
        assert lines == [str(value) for value in sorted(counts, key=lambda value: (-counts[value], value))]
        assert name == "brand" or len(set(counts.values())) < len(counts), "no tie"


def test_test_day_values_are_out_of_vocabulary(tmp_path):
    logs = random_logs(2)
    logs["ad_feature.csv"].append([50, 1500, 51, 52, 53, "9.99"])
    logs["raw_sample.csv"].append([77, second(12, 5), 50, "new_pid", 0, 1])
    logs["behavior_log.csv"].append([77, second(11, 5), "pv", 9999, 54])
    _, output_dir = prepared(tmp_path, logs)
    record = next(record for record in references_data.read_records(output_dir, "test") if record["user_key"] == [77])
    for name in ("user_id", "cate", "brand", "adgroup_id", "campaign_id", "customer", "pid", "lifelong_source_cate",
                 "lifelong_source_brand"):
        assert record[name] == ["OOV"]
    assert record["lifelong_source_btag"] == ["pv"]


def test_the_number_of_shards_changes_files_and_nothing_else(tmp_path, default):
    preparation = dataclasses.replace(SMALL, shards=7, workers=1)
    folders = default[1], prepared(tmp_path, random_logs(1), preparation=preparation)[1]
    contents = [{split: sorted((record["impression_id"], str(record)) for record in records)
                 for split, records in all_records(folder).items()} for folder in folders]
    assert contents[0] == contents[1]
    names = sorted(path.name for path in folders[1].glob("*.tfrecord-*"))
    assert len(names) == 3 * 7 and names[0] == "taobao_ad-test.tfrecord-00000-of-00007"
    assert any(not path.stat().st_size for path in folders[1].glob("*.tfrecord-*"))
    _assert_tfds_reads(folders[1])


def test_tfds_reads_the_folder(default):
    _assert_tfds_reads(default[1])


def _assert_tfds_reads(output_dir):
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(str(output_dir))
    for split, records in all_records(output_dir).items():
        assert builder.info.splits[split].num_examples == len(records)
        loaded = list(builder.as_dataset(split=split, shuffle_files=False).as_numpy_iterator())
        assert sorted(example["impression_id"].tolist() for example in loaded) == sorted(
            record["impression_id"] for record in records)
        assert loaded[0]["user_key"].shape == ()


def test_the_same_input_gives_the_same_bytes(tmp_path, default):
    preparation = dataclasses.replace(SMALL, memory_limit="600MB")
    folders = default[1], prepared(tmp_path, random_logs(1), preparation=preparation)[1]
    files = [sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file()) for folder in folders]
    assert files[0] == files[1] and len(files[0]) > 20
    for path in files[0]:
        if path.name != "preparation.json":
            assert (folders[0] / path).read_bytes() == (folders[1] / path).read_bytes(), path
    fingerprints = {references_data.read_preparation(folder)["fingerprint"] for folder in folders}
    assert len(fingerprints) == 1


def test_fingerprint_follows_settings_and_inputs(tmp_path, default):
    recent = prepared(tmp_path / "a", random_logs(1), preparation=dataclasses.replace(SMALL, exclude_recent=True))
    other = prepared(tmp_path / "b", random_logs(2))
    assert len({references_data.read_preparation(folder)["fingerprint"] for _, folder in (default, recent, other)}) == 3


def test_no_target_domain_impression(tmp_path):
    logs = random_logs(1)
    logs["ad_feature.csv"] = [[ad, cate + 2000, *rest] for ad, cate, *rest in logs["ad_feature.csv"]]
    with pytest.raises(InputError, match="no target-domain impression.*cate_id < 2000.*not of the target domain"):
        prepared(tmp_path, logs)
    assert not (tmp_path / "prepared").exists() and len(list(tmp_path.iterdir())) == 1


def test_a_split_without_impressions(tmp_path):
    logs = random_logs(1)
    logs["raw_sample.csv"] = [row for row in logs["raw_sample.csv"] if not second(11) <= row[1] < second(12)]
    with pytest.raises(InputError, match=r"validation split \(2017-05-11 to 2017-05-11\) has no impression"):
        prepared(tmp_path, logs)


def test_an_output_directory_that_holds_something_is_kept(tmp_path):
    (tmp_path / "prepared").mkdir()
    (tmp_path / "prepared" / "mine.txt").write_text("mine")
    with pytest.raises(OutputError, match="prepared exists already"):
        prepared(tmp_path, random_logs(1))
    assert [path.name for path in (tmp_path / "prepared").iterdir()] == ["mine.txt"]


def test_an_output_directory_that_cannot_be_made(tmp_path):
    input_dir = write_logs(tmp_path / "logs", random_logs(1))
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file/prepared cannot be written"):
        prepare(str(input_dir), str(tmp_path / "file" / "prepared"), TaobaoConfig(), SMALL)


def test_rejected_rows_are_listed_and_keep_their_numbers(tmp_path):
    logs = random_logs(1)
    _, without = prepared(tmp_path / "without", logs)
    for name, row in (("raw_sample.csv", [1, second(6), 1, "430548_1007", 1, 1]), ("behavior_log.csv", [1, "soon"])):
        logs[name].append(row)
    _, output_dir = prepared(tmp_path / "with", logs, preparation=dataclasses.replace(SMALL, max_reject_share=0.01))
    for split, records in all_records(without).items():
        assert references_data.read_records(output_dir, split) == records
    lines = (output_dir / "rejects.csv").read_text().splitlines()
    assert lines == ["file,line,reason,text", *(
        f'{name},{len(logs[name]) + 1},"{reason}","{",".join(map(str, logs[name][-1]))}"' for name, reason in (
            ("raw_sample.csv", "column clk: expected 0 with nonclk 1 or 1 with nonclk 0, got '1'"),
            ("behavior_log.csv", "expected 5 cells, got 2: '1,soon'")))]
    assert sorted(path.name for path in tmp_path.joinpath("with").iterdir()) == ["logs", "prepared"]
    rows = [references_data.read_preparation(folder)["rows"] for folder in (without, output_dir)]
    for name, counts in rows[1].items():
        if name in ("raw_sample.csv", "behavior_log.csv"):
            assert counts["dropped"].pop("unreadable, see rejects.csv") == 1 and counts["read"] == len(logs[name])
            counts["read"] -= 1
    assert rows[0] == rows[1]


@pytest.mark.parametrize("domain", ["source", "target"])
def test_a_log_without_events_of_a_domain(tmp_path, domain):
    logs = random_logs(1)
    logs["behavior_log.csv"] = [row for row in logs["behavior_log.csv"]
                                if (row[3] < 2000) == (domain == "target")]
    _, output_dir = prepared(tmp_path, logs)
    found = {history for records in all_records(output_dir).values() for record in records
             for history in HISTORIES if record[f"{history}_timestamp"]}
    expected = {history for history in HISTORIES if history.endswith(domain)}
    assert found == expected
    assert references_data.read_preparation(output_dir)["warnings"] == [
        f"{history} is empty for every impression" for history in HISTORIES if history not in expected]


def test_hashed_ids_need_no_vocabulary(tmp_path):
    settings = {"vocabulary": "hashed", "hash_bins": 7, "min_count": 1_000}
    _, output_dir = prepared(tmp_path, random_logs(1), preparation=dataclasses.replace(SMALL, **settings))
    schema = FeatureSchema.load(output_dir)
    assert {schema.tables[feature.table] for feature in (*schema.user, *schema.item, *schema.context)} == {2 + 7}
    assert not (output_dir / "vocabularies").exists()
    ids = {number for records in all_records(output_dir).values() for record in records
           for name in ("user_id", "cate", "adgroup_id", "lifelong_source_brand") for number in record[name]}
    assert ids == set(range(2, 9)), "every value has an id, those of the test day too"
