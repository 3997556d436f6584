"""Prepared industrial-style logs against the plain-Python preparation, record by record, and their accounting."""

import dataclasses

import pytest

from data_prep.config import PreparationConfig
from data_prep.errors import InputError
from data_prep.industrial.config import PROFILE_FIELDS, WATCH_BOUNDARIES, IndustrialConfig, describe
from data_prep.industrial.generator import generate
from data_prep.industrial.generator_config import GeneratorConfig
from data_prep.industrial.prepare import prepare
from lcn_tf.schema import FeatureSchema
from tests import references_data
from tests.data_prep import industrial_logs
from tests.data_prep.industrial_logs import HEADERS, random_logs, second, write_logs
from tests.synthetic import HISTORIES

ROLES = {"user": ("user_id", *PROFILE_FIELDS), "item": ("author", "category"), "candidate": ("room_id",),
         "request": ("page",), "context": ("watch", "finished")}
SMALL = PreparationConfig(short_length=3, lifelong_length=11, shards=2, memory_limit="500MB", exclude_recent=True)
SPLITS = ("train", "validation", "test")


def prepared(tmp_path, logs, config=None, preparation=SMALL, line_end="\n", headers=HEADERS):
    input_dir = write_logs(tmp_path / "logs", logs, line_end, headers)
    prepare(str(input_dir), str(tmp_path / "prepared"), config or IndustrialConfig(), preparation)
    return input_dir, tmp_path / "prepared"


def assert_equals_reference(input_dir, output_dir, config, preparation):
    """Compares every record; returns those that were found."""
    first = int(config.first_day[-2:])
    starts = [second(day, hours_ahead=config.utc_offset_hours) for day in range(first, first + config.num_days + 1)]
    impressions, events, users = industrial_logs.plain_tables(
        input_dir, starts[0], starts[-1], config.row_set, config.long_stay_seconds)
    roles = ROLES if config.row_set == "target" else {**ROLES, "candidate": ()}
    names = {"snapshot", "short_length", "lifelong_length", "exclude_recent", "min_count", "deduplicate"}
    expected = references_data.reference_records(
        impressions, events, users, roles, starts[-3], gap=preparation.history_gap_seconds,
        utc_offset=config.utc_offset_hours * 3_600, labels=[label.key for label in describe(config).labels],
        **{name: getattr(preparation, name) for name in names})
    bounds, records = (starts[0], *starts[-3:]), []
    for split, first, end in zip(SPLITS, bounds, bounds[1:], strict=False):
        wanted = {record["impression_id"][0]: record for key, record in expected.items() if first <= key[1] < end}
        found = references_data.read_records(output_dir, split)
        assert {record["impression_id"][0]: record for record in found} == wanted and len(found) == len(wanted) > 0
        records += found
    return records


@pytest.mark.parametrize("case, dataset_settings, settings", [
    ("defaults", {}, {}),
    ("with recent", {}, {"exclude_recent": False, "short_length": 2}),
    ("day", {"utc_offset_hours": -5}, {"snapshot": "day", "shards": 1}),
    ("half hour", {"utc_offset_hours": 5.5}, {"snapshot": "day"}),
    ("gap", {"first_day": "2024-01-02", "num_days": 5}, {"history_gap_seconds": 3_600, "min_count": 4}),
    ("deduplicate", {}, {"deduplicate": True, "lifelong_length": 500, "short_length": 24}),
    ("source", {"row_set": "source"}, {"deduplicate": True}),
    ("long stay", {"long_stay_seconds": 30}, {"snapshot": "day"}),
    ("long watch", {"long_stay_seconds": 30, "row_set": "source"}, {}),
])
def test_records_equal_the_plain_python_preparation(tmp_path, case, dataset_settings, settings):
    config, preparation = IndustrialConfig(**dataset_settings), dataclasses.replace(SMALL, **settings)
    logs = random_logs(len(case))
    input_dir, output_dir = prepared(tmp_path, logs, config, preparation, "\r\n" if len(case) % 2 else "\n")
    records = assert_equals_reference(input_dir, output_dir, config, preparation)
    for name in ("category", "page", "age_band", "lifelong_source_watch", "lifelong_source_finished",
                 "short_target_author"):
        found = any("-1" in record[name] for record in records)
        assert found or (config.row_set, name) == ("source", "short_target_author"), f"no missing {name}"
    assert any(record["short_target_timestamp"] for record in records) == (config.row_set == "target")


@pytest.mark.parametrize("row_set", ["target", "source"])
def test_generated_logs_equal_the_plain_python_preparation(tmp_path, row_set):
    generate(tmp_path / "logs", GeneratorConfig(preset="tiny", num_users=60), workers=1)
    config = IndustrialConfig(row_set=row_set)
    preparation = dataclasses.replace(SMALL, short_length=50, lifelong_length=60)
    prepare(str(tmp_path / "logs"), str(tmp_path / "prepared"), config, preparation)
    records = assert_equals_reference(tmp_path / "logs", tmp_path / "prepared", config, preparation)
    assert max(len(record["lifelong_source_timestamp"]) for record in records) == 60
    assert {len(record["label"]) for record in records} == {5, 6, 7, 8}


def test_rows_are_accounted_for(tmp_path):
    logs = random_logs(2)
    _, output_dir = prepared(tmp_path, logs, preparation=dataclasses.replace(SMALL, deduplicate=True))
    preparation = references_data.read_preparation(output_dir)
    rows = preparation["rows"]
    files = ("impressions.csv", "events.csv", "users.csv")
    assert {name: counts["read"] for name, counts in rows.items()} == {name: len(logs[name]) for name in files}
    assert all(counts["read"] == counts["used"] + sum(counts["dropped"].values()) for counts in rows.values())
    assert rows["impressions.csv"]["dropped"] == {"timestamp not positive": 1, "outside the selected days": 6}
    dropped = rows["events.csv"]["dropped"]
    assert dropped["timestamp not positive"] == dropped["unknown domain"] == 1
    assert dropped["user without used impression"] > 0 and dropped["repeats an earlier row"] >= 10
    assert rows["users.csv"]["dropped"] == {"repeats an earlier user": 1, "user of no used impression": 1}
    assert preparation["users_without_profile"] == 2
    assert preparation["splits"]["test"]["first_day"] == preparation["splits"]["test"]["last_day"] == "2024-01-07"


def test_a_single_domain_says_which_rows_are_not_of_it(tmp_path):
    logs = random_logs(2)
    _, output_dir = prepared(tmp_path, logs, IndustrialConfig(row_set="source"))
    rows = references_data.read_preparation(output_dir)["rows"]
    assert set(rows) == {"video_impressions.csv", "events.csv", "users.csv"}
    assert rows["events.csv"]["dropped"]["event of the target domain"] > 50
    assert all(counts["read"] == counts["used"] + sum(counts["dropped"].values()) for counts in rows.values())
    schema = FeatureSchema.load(output_dir)
    assert not schema.candidate and "room_id" not in schema.tables


def test_schema(tmp_path):
    schema = FeatureSchema.load(prepared(tmp_path, random_logs(1))[1])
    assert schema.name == "industrial"
    assert {role: tuple(feature.name for feature in getattr(schema, role)) for role in ROLES} == ROLES
    assert schema.lengths == {history: 11 if history == "lifelong_source" else 3 for history in HISTORIES}
    assert schema.time_gap_boundaries[0] == 60 and 45 < schema.time_gap_boundaries[-1] / 86_400 < 46
    assert industrial_logs.WATCH == WATCH_BOUNDARIES


def test_no_impression_in_the_days(tmp_path):
    with pytest.raises(InputError, match=r"no impression in the 7 days from 2023-01-01.*outside the selected days"):
        prepared(tmp_path, random_logs(1), IndustrialConfig(first_day="2023-01-01"))
    assert not (tmp_path / "prepared").exists()


def test_a_split_without_impressions(tmp_path):
    logs = random_logs(1)
    logs["impressions.csv"] = [row for row in logs["impressions.csv"] if not second(6) <= row[1] < second(7)]
    with pytest.raises(InputError, match=r"validation split \(2024-01-06 to 2024-01-06\) has no impression"):
        prepared(tmp_path, logs)


@pytest.mark.parametrize(("field", "value"), [
    ("first_day", "01/02/2024"), ("num_days", 2), ("utc_offset_hours", 15), ("row_set", "all"),
    ("long_stay_seconds", -1)])
def test_bad_settings_are_refused_by_name(field, value):
    with pytest.raises(ValueError, match=f"{field}.*{value}"):
        IndustrialConfig(**{field: value})
