"""A prepared UserBehavior log against the plain-Python preparation, on both engines, and every refusal."""

import collections
import dataclasses
import itertools
import re
import subprocess
import sys

import pytest

from data_prep import engines
from data_prep.config import PreparationConfig
from data_prep.errors import InputError
from data_prep.reading.log_reader import LogReader
from data_prep.reading.rejects import Rejects
from data_prep.sampling import PRIME
from data_prep.userbehavior import reader
from data_prep.userbehavior.config import UserBehaviorConfig
from data_prep.userbehavior.prepare import prepare
from lcn_tf.schema import FeatureSchema
from tests import references_data
from tests.data_prep.test_sampling import mixed
from tests.data_prep.userbehavior.user_behavior_logs import DAY, FIRST, random_log, write_log

ROLES = {"user": ("user_id",), "item": ("item_id", "category"), "candidate": (), "request": (),
         "context": ("behaviour",)}
SMALL = PreparationConfig(short_length=3, lifelong_length=11, shards=2, memory_limit="500MB", workers=1)
CUTS = (FIRST, FIRST + 7 * DAY, FIRST + 8 * DAY, FIRST + 9 * DAY)
SPLITS = ("train", "validation", "test")
SHARE = 0.3  # of two dozen categories


def prepared(tmp_path, rows, config=None, preparation=SMALL, line_end="\n"):
    input_dir = write_log(tmp_path / "logs", rows, line_end)
    prepare(str(input_dir), str(tmp_path / "out"), config or UserBehaviorConfig(target_category_share=SHARE),
            preparation)
    return tmp_path / "out"


def reference_tables(rows, config, deduplicate=False):
    """Impressions, events and users of a log, row by row."""
    used, seen = {}, set()
    for number, row in enumerate(rows):
        known = config.behaviors
        if CUTS[0] <= row[4] < CUTS[3] and row[3] in known and not (deduplicate and row in seen):
            used[number] = row
            seen.add(row)
    is_target = {row[2]: mixed(row[2]) < config.target_category_share * PRIME for row in rows}
    views = {number: row for number, row in used.items() if row[3] == "pv" and is_target[row[2]]}
    viewers = {row[0] for row in views.values()}
    events = [{"user": user, "timestamp": moment, "row": number, "item_id": str(item), "category": str(category),
               "behaviour": behaviour, "domain": "target" if is_target[category] else "source"}
              for number, (user, item, category, behaviour, moment) in used.items() if user in viewers]
    pools = collections.defaultdict(list)
    for _, item, category, _, moment in views.values():
        pools[(moment - FIRST) // DAY].append((item, category))
    viewed = {(user, item, moment) for user, item, _, _, moment in views.values()}
    impressions = []
    for number, (user, item, category, _, moment) in views.items():
        first = number * (config.negatives_per_positive + 1)
        shown = [(first, item, category, 1)]
        pool = pools[(moment - FIRST) // DAY]
        for place in range(first + 1, first + 1 + config.negatives_per_positive):
            other, other_category = pool[mixed(place) % len(pool)]
            if (user, other, moment) not in viewed:
                shown.append((place, other, other_category, 0))
        impressions += [{"user": user, "timestamp": moment, "impression_id": place, "label": label,
                         "item_id": str(item), "category": str(category)} for place, item, category, label in shown]
    return impressions, events, {user: {"user_id": str(user)} for user in viewers}


def all_records(output_dir):
    return {split: {tuple(record["impression_id"]): record
                    for record in references_data.read_records(output_dir, split)} for split in SPLITS}


@pytest.mark.parametrize(("dataset_settings", "settings", "line_end"), [
    ({}, {}, "\n"),
    ({"behaviors": ("pv", "buy")}, {"snapshot": "day", "history_gap_seconds": 7_200}, "\r\n"),
    ({"negatives_per_positive": 5, "target_category_share": 0.2}, {"min_count": 4, "exclude_recent": True}, "\n"),
    ({}, {"deduplicate": True}, "\n"),
])
def test_records_equal_the_plain_python_preparation(tmp_path, dataset_settings, settings, line_end):
    config = UserBehaviorConfig(**{"target_category_share": SHARE, **dataset_settings})
    preparation, rows = dataclasses.replace(SMALL, **settings), random_log(len(settings))
    found = all_records(prepared(tmp_path, rows, config, preparation, line_end))
    impressions, events, users = reference_tables(rows, config, preparation.deduplicate)
    expected = references_data.reference_records(
        impressions, events, users, ROLES, CUTS[1], snapshot=preparation.snapshot, gap=preparation.history_gap_seconds,
        utc_offset=8 * 3600, short_length=3, lifelong_length=11, exclude_recent=preparation.exclude_recent,
        min_count=preparation.min_count)
    for split, first, end in zip(SPLITS, CUTS, CUTS[1:], strict=False):
        wanted = {tuple(record["impression_id"]): record for (_, moment), record in expected.items()
                  if first <= moment < end}
        assert found[split] == wanted and len(wanted) > 5


def test_the_oracle_is_exercised(tmp_path):
    """The random log contains what the comparison is meant to cover."""
    rows = random_log(1)
    config = UserBehaviorConfig(target_category_share=SHARE)
    impressions, events, users = reference_tables(rows, config)
    assert len(set(rows)) < len(rows) and set(users) < {row[0] for row in rows}
    assert {event["category"] for event in events if event["item_id"] == "41"} == {str(4_000 + 37 * 18), "4999"}
    groups = collections.Counter((shown["user"], shown["timestamp"]) for shown in impressions)
    assert max(groups.values()) > 3 and len({count % 3 for count in groups.values()}) > 1, "no negative was left out"
    assert any((FIRST - moment) % DAY == 0 for _, moment in groups)
    records = list(itertools.chain.from_iterable(split.values() for split in all_records(
        prepared(tmp_path, rows)).values()))
    assert {len(record["lifelong_source_timestamp"]) for record in records} >= {0, 11}
    assert any("OOV" in record["user_id"] for record in records)


@pytest.mark.filterwarnings(  # of PySpark 4 with pandas 3, and of its connection to Java
    "ignore:The copy keyword is deprecated", "ignore:The 'future.infer_string' option is deprecated",
    "ignore:unclosed <socket:ResourceWarning")
def test_spark_gives_the_same_tables(tmp_path):
    """Whole preparations are compared elsewhere; this is the reader's part."""
    path = str(write_log(tmp_path / "logs", random_log(5)) / "UserBehavior.csv")
    tables = []
    for name in ("duckdb", "spark"):
        (tmp_path / name).mkdir()
        preparation = dataclasses.replace(SMALL, engine=name, spark_master="local[2]")
        with engines.connect(preparation, str(tmp_path / name)) as engine:
            logs = LogReader(engine, Rejects(str(tmp_path / "rejects.csv"), 0.0), str(tmp_path / name))
            source = reader.read(logs, path, UserBehaviorConfig(target_category_share=SHARE), deduplicate=True)
            impressions = source.impressions.order_by("impression_id").to_pyarrow()
            events = source.events.order_by("row").to_pyarrow()
            tables.append([*(table.select(sorted(table.column_names)).to_pylist() for table in (impressions, events)),
                           source.rows, source.facts])
    assert tables[0] == tables[1] and len(tables[0][0]) > 100


def test_rows_are_accounted_for(tmp_path):
    rows = random_log(1)
    preparation = dataclasses.replace(SMALL, deduplicate=True)
    config = UserBehaviorConfig(target_category_share=SHARE, behaviors=("pv",))
    facts = references_data.read_preparation(prepared(tmp_path, rows, config, preparation))
    impressions, events, _ = reference_tables(rows, config, deduplicate=True)
    counts = facts["rows"]["UserBehavior.csv"]
    assert counts["read"] == len(rows) == counts["used"] + sum(counts["dropped"].values())
    assert counts["used"] == len(events)
    assert counts["dropped"]["outside the selected days"] == 5 and counts["dropped"]["unknown behaviour"] == 1
    assert counts["dropped"]["behaviour not selected"] == sum(row[3] in ("cart", "fav", "buy") for row in rows)
    assert counts["dropped"]["repeats an earlier row"] > 0
    assert facts["target_page_views"] == sum(shown["label"] for shown in impressions)
    assert facts["target_page_views"] + facts["sampled_negatives"] == len(impressions) == sum(
        split["impressions"] for split in facts["splits"].values())
    assert [split["first_day"] for split in facts["splits"].values()] == ["2017-11-25", "2017-12-02", "2017-12-03"]


def test_a_user_without_target_page_view_is_left_out(tmp_path):
    dropped = references_data.read_preparation(prepared(tmp_path, random_log(1)))["rows"]["UserBehavior.csv"]["dropped"]
    assert dropped["user without page view of the target domain"] == 1


def test_schema(tmp_path):
    schema = FeatureSchema.load(prepared(tmp_path, random_log(1)))
    assert schema.name == "taobao_user_behavior" and schema.time_gap_boundaries[-1] < 9 * DAY
    assert {role: tuple(feature.name for feature in getattr(schema, role)) for role in ROLES} == ROLES


def test_a_packed_log_gives_the_same_records(tmp_path):
    import gzip

    rows = random_log(1)
    plain = all_records(prepared(tmp_path, rows))
    log = tmp_path / "logs" / "UserBehavior.csv"
    (tmp_path / "packed").mkdir()
    (tmp_path / "packed" / "UserBehavior.csv.gz").write_bytes(gzip.compress(log.read_bytes()))
    prepare(str(tmp_path / "packed"), str(tmp_path / "other"), UserBehaviorConfig(target_category_share=SHARE), SMALL)
    assert all_records(tmp_path / "other") == plain


@pytest.mark.parametrize(("rows", "message"), [
    ([(1, 2, 3, "pv", "noon")], r"UserBehavior\.csv, line 1, column timestamp: expected an integer, got 'noon'"),
    ([(1, 2, 3, "pv")], r"UserBehavior\.csv, line 1, expected 5 cells, got 4: '1,2,3,pv'"),
    ([("user", "item", "category", "behavior", "timestamp")], r"line 1, column user: expected an integer, got 'user'"),
    ([(1, 5, 4_185, "pv", FIRST - 1)], r"no page view of a target-domain category in the 9 days from 2017-11-25 "
                                       r"\(target domain: 0\.3 of the categories\).*'outside the selected days': 1"),
])
def test_refusals_name_file_line_and_value(tmp_path, rows, message):
    with pytest.raises(InputError, match=message):
        prepared(tmp_path, rows)
    assert not (tmp_path / "out").exists()


def test_a_split_without_page_view_of_the_target_domain(tmp_path):
    rows = [row for row in random_log(1) if not CUTS[1] <= row[4] < CUTS[2]]
    with pytest.raises(InputError, match=r"validation split \(2017-12-02 to 2017-12-02\) has no impression"):
        prepared(tmp_path, rows)


def test_missing_file(tmp_path):
    with pytest.raises(InputError, match=r"UserBehavior\.csv: no such file"):
        prepare(str(tmp_path), str(tmp_path / "out"), UserBehaviorConfig(), SMALL)


@pytest.mark.parametrize(("setting", "value"), [
    ("first_day", "25.11.2017"), ("num_days", 2), ("target_category_share", 0.0), ("target_category_share", 1.0),
    ("negatives_per_positive", 0), ("behaviors", ["fav"]), ("behaviors", ["pv", "seen"])])
def test_refused_settings_are_named(setting, value):
    with pytest.raises(ValueError, match=f"{setting} must .*got {re.escape(repr(value))}"):
        UserBehaviorConfig(**{setting: value})


def test_the_command_prepares_and_prints_the_accounting(tmp_path):
    input_dir = write_log(tmp_path / "logs", random_log(1))
    result = subprocess.run(
        [sys.executable, "-m", "data_prep.userbehavior", f"--input_dir={input_dir}", f"--output_dir={tmp_path / 'out'}",
         "--target_category_share=0.3", "--snapshot=user", "--shards=1", "--workers=1"],
        capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "outside the selected days" in result.stdout and "test        2017-12-03 to 2017-12-03" in result.stdout
