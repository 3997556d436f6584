"""What a mapping makes of logs that have no reader: users as texts, splits, draws, buckets, refusals."""

import collections
import dataclasses

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_prep.errors import InputError
from lcn_tf.schema import FeatureSchema
from tests import references_data
from tests.data_prep.own_logs.mappings import SMALL, prepared
from tests.data_prep.own_logs.small_events import (
    DAY,
    EVENTS_ONLY,
    FIRST,
    SPLITS,
    random_events,
    records,
    vocabulary,
    write_events,
)
from tests.references_data import OOV


def test_users_may_be_texts_and_clicks_events(tmp_path):
    logs = write_events(tmp_path / "logs", rows := random_events(1))
    found = records(out := prepared(logs, EVENTS_ONLY))
    clicked = {(user, author): moment for user, moment, kind, author, _ in
               sorted(rows, key=lambda row: -row[1]) if kind == "live"}  # the first click of each
    authors = vocabulary(out, "author")
    train_end = min(record["timestamp"][0] for record in found["validation"]) // DAY * DAY
    for split, groups in found.items():
        for record in groups:
            user, = record["user_id"]
            for author, label, moment in zip(record["author"], record["label"], record["timestamp"], strict=True):
                assert label == 0 or author == OOV or clicked[user, author] == moment
                assert label == 1 or (user, author) not in clicked  # nobody is drawn what they ever click
            seen = [(row[1], row[3]) for row in rows if row[0] == user and row[2] == "video"
                    and row[1] < record["timestamp"][0]]
            newest = [author for _, author in sorted(seen, key=lambda event: -event[0])][:SMALL.lifelong_length]
            assert record["lifelong_source_author"] == [author if author in authors else OOV for author in newest]
        assert (split == "train") == (groups[0]["timestamp"][0] < train_end)
    assert sum(sum(record["label"]) for groups in found.values() for record in groups) == len(clicked)
    facts = references_data.read_preparation(out)
    assert facts["clicks"] == len(clicked) and facts["settings"]["features"]["item"]["author"]["column"] == ["author"]


def test_splits_by_each_users_order(tmp_path):
    logs = write_events(tmp_path / "logs", rows := [*random_events(2), ("few", FIRST, "live", "a1", 1),
                                                    ("few", FIRST + 5, "live", "a2", 1)])
    out = prepared(logs, EVENTS_ONLY + '[splits]\nby = "user"\n')
    found = records(out)
    first_clicks = {}
    for user, moment, kind, author, _ in rows:
        if kind == "live":
            known = first_clicks.setdefault(user, {})
            known[author] = min(moment, known.get(author, moment))
    moments = {user: sorted(set(found.values())) for user, found in first_clicks.items()}
    for place, split in enumerate(SPLITS[1:], start=1):
        clicked = {record["user_id"][0]: record["timestamp"] for record in found[split]}
        assert len(clicked) == len(found[split]) == len(moments) - 1  # one moment of everybody but "few"
        for user, times in clicked.items():
            assert set(times) == {moments[user][place - 3]}
    assert [record["user_id"] for record in found["train"]].count(["few"]) == 2
    held_out = {user: times[-2] for user, times in moments.items() if len(times) > 2}
    counted = {row[3] for row in rows if row[1] < held_out.get(row[0], 2**62)}
    assert set(vocabulary(out, "author")) == counted  # nothing of a user's own future has an id


@pytest.mark.parametrize("text, most, same_day", [
    ("pool = 'day'\nwithout = 'moment'", None, True), ("weights = 'uniform'\nmax_positives = 3", 3, False)])
def test_draws(tmp_path, text, most, same_day):
    logs = write_events(tmp_path / "logs", rows := random_events(3))
    out = prepared(logs, EVENTS_ONLY + f"[negatives]\n{text}\nper_positive = 2\n")
    found = [record for groups in records(out).values() for record in groups]
    clicks = [(row[0], row[1], row[3]) for row in rows if row[2] == "live"]
    if most:
        clicks_of = collections.Counter(record["user_key"][0] for record in found for label in record["label"] if label)
        assert max(clicks_of.values()) == most
    for record in found:
        day = record["timestamp"][0] // DAY
        pool = {author for _, moment, author in clicks if moment // DAY == day}
        drawn = {author for author, label in zip(record["author"], record["label"], strict=True)
                 if author != OOV and not label}
        assert not same_day or drawn <= pool


def test_numbers_are_cut_on_the_training_days(tmp_path):
    rows = random_events(4)
    late = [(user, moment + 6 * DAY, kind, author, 1e6) for user, moment, kind, author, _ in rows[:200]]
    logs = write_events(tmp_path / "logs", rows + late)
    out = prepared(logs, EVENTS_ONLY + '[features.context]\nwatch = { column = "seconds", buckets = 4 }\n'
                   'long = { column = "seconds", buckets = "log2" }\n')
    facts = references_data.read_preparation(out)
    assert facts["splits"]["train"]["last_day"] < "2024-01-13"
    counts = collections.Counter(place for record in records(out)["train"] for place in record["lifelong_source_watch"])
    assert set(counts) == {"0", "1", "2", "3"}
    assert min(counts.values()) > 0.5 * max(counts.values())  # the test days' values move no boundary
    assert set(vocabulary(out, "long")) <= {str(place) for place in range(46)} and len(vocabulary(out, "long")) > 5


def test_days_are_no_pages(tmp_path):
    rows = [(user, str(np.datetime64(moment, "s"))[:10], kind, author, watched)
            for user, moment, kind, author, watched in random_events(5, rows=900, users=2)]
    logs = write_events(tmp_path / "logs", rows)
    out = prepared(logs, 'time_unit = "day"' + EVENTS_ONLY, preparation=dataclasses.replace(SMALL, max_candidates=7))
    found = records(out)["train"]
    assert max(len(record["label"]) for record in found) == 7
    for record in found:
        assert max(record["lifelong_source_timestamp"], default=0) < record["timestamp"][0]  # not of the same day


def test_events_of_one_second_keep_the_order_of_their_fractions(tmp_path):
    rows = [("u", (FIRST + day * DAY) * 1_000 + 999 - number, "video", f"a{number}", 1)
            for day in range(6) for number in range(5)]
    shown = [("u", (FIRST + day * DAY + 60) * 1_000, day % 2, "a1") for day in range(6)]
    logs = write_events(tmp_path / "logs", rows)
    write_events(logs, shown, "user,at,clicked,author", "shown.csv")
    out = prepared(logs, 'time_unit = "ms"' + EVENTS_ONLY + '[impressions]\nfiles = "shown.csv"\nlabel = "clicked"\n')
    record = records(out)["train"][0]
    assert record["lifelong_source_author"][:5] == [f"a{place}" for place in range(5)]


@pytest.mark.parametrize("text, rows, message", [
    (EVENTS_ONLY.replace("events.csv", "logs/*.parquet"), [], r"events.files: no file of .* for 'logs/\*.parquet' in "
     ".*; it has events.csv, prepared.toml"),
    (EVENTS_ONLY.replace('"at"', '"time"'), [], "events.time: no column 'time' in .*events.csv, which "
     "have user, at, kind"),
    (EVENTS_ONLY.replace('"author"', '"room"'), [], "features.item.author: no column 'room' in events .*, "
     "which have user"),
    (EVENTS_ONLY.replace('"kind"', '"sort"'), [], "events.domain.column: no column 'sort'"),
    (EVENTS_ONLY + "request = { tab = 'kind' }", [], "features.request: without impressions there are no requests"),
    (EVENTS_ONLY.replace('"live"', '"lives"').replace('"video"', '"videos"'), [], "no event of the target domain is a "
     "click; rows dropped: .*unknown domain.*events.csv, row 1, column kind: expected one of lives, videos, got "
     "'live'"),
    ("splits = { first_day = 2023-01-01, num_days = 4 }" + EVENTS_ONLY, [], "no event of the target domain is a click; "
     r"rows dropped: .*events.csv, row 1, column at: expected seconds UTC from .*; at runs from 17040.* to 17047\d+ "
     r"\(2024-01-01 to 2024-01-08\)"),
    ('time_unit = "us"' + EVENTS_ONLY, [], "no event of the target domain is a click|split dates leave"),
    (EVENTS_ONLY, [("u1", "soon", "live", "a1", 1)] * 3, "events.csv, line 602, column at: expected a time "
     r"\(events.time\), got 'soon' \(and 2 other lines\): 3 of 603 lines cannot be read, more than max_reject_share"),
    (EVENTS_ONLY, [("u1", FIRST)], "expected 5 cells, got 2: 'u1,1704067200'"),
    (EVENTS_ONLY, [("", FIRST, "live", "a1", 1)], r"column user: expected a user, .* \(events.user\), got None"),
    (EVENTS_ONLY + 'context = { watch = { column = "kind", buckets = 3 } }', [], r"column kind: expected a number "
     r"\(features.context.watch\), got '(live|video)' \(and 599 other lines\)"),
    (EVENTS_ONLY + 'items = { files = "events.csv", key = "author" }', [], "items: no feature, rule or domain reads"),
    (EVENTS_ONLY + 'items = { files = "events.csv", key = "room" }', [], "items.key: no column 'room' in"),
    (EVENTS_ONLY.replace("events.csv", "none.csv") + 'context = { time_gap = "seconds" }', [],
     "prepared.toml, features: .*time_gap"),
    *((EVENTS_ONLY.replace('user_id = "user"', f'user_id = {{ column = "user", {key} }}'), [],
       "features.user.user_id: column 'user' is the users' own id, which has neither boundaries nor buckets nor separ")
      for key in ("buckets = 3", "boundaries = [1, 2]", 'separator = "|"')),
])
def test_what_is_refused(tmp_path, text, rows, message):
    first, *others = random_events(6)
    logs = write_events(tmp_path / "logs", [(*first[:2], "live", *first[3:]), *others, *rows])
    texts = text.split("[features]")
    with pytest.raises(InputError, match=message):
        prepared(logs, text if "items = " not in text else texts[0] + text[text.index("items = "):] + "\n[features]"
                 + texts[1].replace(text[text.index("items = "):], ""))
    assert not (tmp_path / "prepared").exists()


def test_a_schema_with_a_scenario_and_shared_vectors(tmp_path):
    logs = write_events(tmp_path / "logs", random_events(7))
    shown = [(f"u{number % 9}", FIRST + number * 6_000, number % 2, f"a{number % 7}", ["home", "search"][number % 2],
              "x") for number in range(100)]
    logs = write_events(logs, shown, "user,at,clicked,author,tab,owner", "shown.csv")
    out = prepared(logs, 'scenario = "tab"' + EVENTS_ONLY + 'request.tab = "tab"\n'
                   'candidate.owner = { column = "owner", table = "author" }\n'
                   '[impressions]\nfiles = "shown.csv"\nlabel = "clicked"\n')
    schema = FeatureSchema.load(out)
    assert schema.scenario == "tab" and "x" in vocabulary(out, "author")
    assert [feature.table for feature in schema.candidate] == ["author"]


def test_a_single_domain(tmp_path):
    logs = write_events(tmp_path / "logs", rows := random_events(8))
    text = EVENTS_ONLY.replace('domain = { column = "kind", target = "live", source = "video" }', 'domain = "source"')
    out = prepared(logs, text)
    facts = references_data.read_preparation(out)
    assert facts["clicks"] == len({(user, author) for user, _, _, author, _ in rows}) and not facts["warnings"]
    assert all(not record["short_target_timestamp"] for record in records(out)["test"])
    assert any(record["short_source_timestamp"] for record in records(out)["test"])


def test_parquet_that_is_none(tmp_path):
    logs = write_events(tmp_path / "logs", [])
    (logs / "events.parquet").write_text("no")
    with pytest.raises(InputError, match="events.parquet: not a Parquet file that can be read"):
        prepared(logs, EVENTS_ONLY.replace("events.csv", "events.parquet"))
    pq.write_table(pa.table({"user": pa.array([], pa.int64()), "at": pa.array([], pa.int64()), "kind": pa.array(
        [], pa.string()), "author": pa.array([], pa.string())}), logs / "events.parquet")
    with pytest.raises(InputError, match="events: the files have no rows: .*events.parquet"):
        prepared(logs, EVENTS_ONLY.replace("events.csv", "events.parquet"))
