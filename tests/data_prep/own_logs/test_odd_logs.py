"""Logs as they come: what once went wrong in silence, each with a log of its own."""

import collections
import dataclasses

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_prep.errors import InputError
from tests import references_data
from tests.data_prep.own_logs.mappings import SMALL, prepared
from tests.data_prep.own_logs.small_events import (
    DAY,
    EVENTS_ONLY,
    FIRST,
    random_events,
    records,
    vocabulary,
    write_events,
)

SHOWN = EVENTS_ONLY + '[impressions]\nfiles = "shown.csv"\nlabel = "clicked"\n'
HEADER = "user,at,clicked,author"


def everything(folder):
    return [record for groups in records(folder).values() for record in groups]


def shown_rows(number=80, users=9, step=8_000):
    return [(f"u{place % users}", FIRST + place * step, place % 2, f"a{place % 7}") for place in range(number)]


def shop(tmp_path, shown, events=None, mapping=SHOWN, **options):
    logs = write_events(tmp_path / "logs", random_events(1) if events is None else events)
    return prepared(write_events(logs, shown, HEADER, "shown.csv"), mapping, **options)


def test_an_item_is_drawn_once_beside_a_click_whatever_else_varies(tmp_path):
    rows = [(*row[:4], place % 50) for place, row in enumerate(random_events(2))]
    text = EVENTS_ONLY + 'candidate = { price = "seconds" }\n[negatives]\nper_positive = 4\n'
    found = everything(prepared(write_events(tmp_path / "logs", rows), text))
    for record in found:
        drawn = [author for author, label in zip(record["author"], record["label"], strict=True)
                 if not label and author != references_data.OOV]
        if sum(record["label"]) == 1:
            assert len(set(drawn)) == len(drawn)


def test_clicks_without_an_item_are_none_and_it_is_never_drawn(tmp_path):
    rows = [(*row[:3], "" if place % 3 == 0 else row[3], 1) for place, row in enumerate(random_events(3))]
    out = prepared(write_events(tmp_path / "logs", rows), EVENTS_ONLY)
    assert not any("-1" in record["author"] for record in everything(out))
    assert any("-1" in record["lifelong_source_author"] for record in everything(out))


@pytest.mark.parametrize("label, message", [
    ("clicked == 2", "no impression is a click by 'clicked == 2'; the column's values are 0.0 .40 rows., 1.0 .40 ro"),
    ("clicked >= 0", "impressions.label: every impression is a click by 'clicked >= 0'")])
def test_a_label_that_tells_nothing_is_refused(tmp_path, label, message):
    with pytest.raises(InputError, match=message):
        shop(tmp_path, shown_rows(), mapping=SHOWN.replace('"clicked"', f'"{label}"'))


@pytest.mark.parametrize("unit", ["", 'time_unit = "day"'])
def test_events_of_a_day_are_unknown_during_that_day(tmp_path, unit):
    shown = [("u", f"2024-01-{day:02} 08:00:00", day % 2, "a") for day in range(1, 12)]
    events = [("u", f"2024-01-{day:02}", "video", f"b{day}", 1) for day in range(1, 12)]
    text = SHOWN.replace('files = "events.csv",', f'files = "events.csv", {unit}{"," if unit else ""}')
    found = everything(shop(tmp_path, shown, events, text))
    assert len(found) == 11
    for record in found:
        day = (record["timestamp"][0] - FIRST) // DAY  # 0 for the first
        assert record["lifelong_source_author"][:2] == [
            name if name in vocabulary(tmp_path / "prepared", "author") else references_data.OOV
            for name in (f"b{day}", f"b{day - 1}") if name not in ("b0", "b-1")]


def test_dates_are_days_also_where_clocks_change(tmp_path):
    days = [f"2024-10-{day}" for day in range(10, 32)] + [f"2024-11-{day:02}" for day in range(1, 19)]
    shown = [("u", day, place % 2, "a") for place, day in enumerate(days)]
    events = [("u", day, "video", "b", 1) for day in days]
    out = shop(tmp_path, shown, events, 'time_zone = "Europe/Berlin"\n' + SHOWN + "[splits]\nfirst_day = 2024-10-11\n"
               "validation_from = 2024-10-20\ntest_from = 2024-10-25\n")
    facts = references_data.read_preparation(out)
    assert facts["rows"]["impressions"]["dropped"] == {"outside the selected days": 1}
    assert [facts["splits"][split]["impressions"] for split in ("train", "validation", "test")] == [9, 5, 25]


def test_days_are_seen_without_being_named(tmp_path):
    rows = [(row[0], f"2024-01-{1 + place % 9:02}", *row[2:]) for place, row in enumerate(random_events(4, users=2))]
    out = prepared(write_events(tmp_path / "logs", rows), EVENTS_ONLY,
                   preparation=dataclasses.replace(SMALL, max_candidates=7))
    assert max(len(record["label"]) for record in everything(out)) == 7


def test_users_of_training_alone_keep_their_late_events(tmp_path):
    shown = [(f"u{user}", FIRST + (day * 4 + user) * 3_600, day % 2, "a") for user in range(4) for day in range(5)]
    shown += [("late", FIRST + 50 * DAY, 1, "a"), ("late", FIRST + 60 * DAY, 0, "a")]
    events = [("late", FIRST + (45 + number) * DAY, "video", "b", 1) for number in range(10)]
    out = shop(tmp_path, shown, events, SHOWN + '[splits]\nby = "user"\n')
    lengths = sorted(len(record["lifelong_source_author"]) for record in everything(out)
                     if record["user_id"] == ["late"])
    assert lengths == [5, 10]


def test_two_tables_whose_domains_are_of_the_items(tmp_path):
    logs = write_events(tmp_path / "logs", [(f"u{place % 5}", FIRST + place * 2_000, "x", f"a{place % 6}", 1)
                                            for place in range(200)])
    (logs / "more.csv").write_bytes((logs / "events.csv").read_bytes())
    (logs / "items.csv").write_text("author,genre,sort\n" + "".join(
        f"a{number},{'S|T' if number % 2 else 'R'},{'live' if number < 2 else 'video'}\n" for number in range(6)))
    text = """
user = "user"
time = "at"
events = [
  { files = "events.csv", domain = { column = "genre", target = "S", separator = "|" } },
  { files = "more.csv", domain = { column = "sort", target = "live" } },
]
items = { files = "items.csv", key = "author" }
[features]
user = { user_id = "user" }
item = { author = "author" }
[negatives]
without = "moment"
"""
    out = prepared(logs, text)
    seen = collections.Counter(author for record in everything(out) for author in record["short_target_author"])
    assert set(seen) == {"a0", "a1", "a3", "a5"}


def test_rows_of_neither_domain_are_dropped_also_where_cells_have_several_values(tmp_path):
    rows = [(*row[:2], ["live|x", "video|y", "other|z"][place % 3], *row[3:]) for place, row in enumerate(
        random_events(5))]
    text = EVENTS_ONLY.replace('source = "video"', 'source = "video", separator = "|"')
    facts = references_data.read_preparation(prepared(write_events(tmp_path / "logs", rows), text))
    assert facts["rows"]["events"]["dropped"]["unknown domain"] == 200


def test_the_names_of_the_folders_above_are_no_columns(tmp_path):
    folder = tmp_path / "user=bob" / "second=5"
    folder.mkdir(parents=True)
    out = prepared(write_events(folder / "logs", random_events(6)), EVENTS_ONLY)
    assert set(vocabulary(out, "user_id")) == {f"u{number}" for number in range(9)}


def test_whole_numbers_with_decimals_are_the_same_ids(tmp_path):
    events = [(place % 9, FIRST + place * 900, "video", place % 7, 1) for place in range(600)]
    shown = [(f"{place % 9}.0", FIRST + place * 8_000, place % 2, f"{place % 7}.0") for place in range(80)]
    out = shop(tmp_path, shown, events)
    assert sorted(vocabulary(out, "author")) == [str(number) for number in range(7)]
    assert sorted(vocabulary(out, "user_id")) == [str(number) for number in range(9)]


def test_users_features_are_of_rows_that_count(tmp_path):
    events = [("u1", 0, "live", "a1", "zero"), ("u1", FIRST, "bad", "a1", "wrong"), *(
        (f"u{place % 3}", FIRST + place * 3_000, ["live", "video"][place % 2], f"a{place % 7}",
         "" if place < 3 else "right") for place in range(300))]
    logs = write_events(tmp_path / "logs", events, "user,at,kind,author,city")
    (logs / "more.csv").write_text("user,at,author\nu1,1704067300,a2\n")
    text = EVENTS_ONLY.replace('user = { user_id = "user" }', 'user = { user_id = "user", city = "city" }')
    text = text.replace('events = { files', 'events = [ { files').replace(
        'source = "video" } }', 'source = "video" }, where = \'kind != "bad"\' }, '
        '{ files = "more.csv", domain = "source" } ]')
    out = prepared(logs, text + '[negatives]\nwithout = "moment"\n')
    assert vocabulary(out, "city") == ["right"]


def test_a_missing_cell_is_unlike_any_value(tmp_path):
    rows = [(*row[:4], ["", "test", "ok"][place % 3]) for place, row in enumerate(random_events(7))]
    text = EVENTS_ONLY.replace('source = "video" } }', 'source = "video" }, where = \'flag != "test"\' }')
    logs = write_events(tmp_path / "logs", rows, "user,at,kind,author,flag")
    assert references_data.read_preparation(prepared(logs, text))["rows"]["events"]["used"] == 400


def test_times_of_spark_are_instants(tmp_path):
    logs = write_events(tmp_path / "logs", [])
    rows = random_events(8)
    names = ("user", "at", "kind", "author")
    table = pa.table({name: [row[place] for row in rows] for place, name in enumerate(names)})
    times = pa.array([moment * 10**6 for moment in table["at"].to_pylist()], pa.timestamp("us"))
    pq.write_table(table.set_column(1, "at", times), logs / "events.parquet", use_deprecated_int96_timestamps=True)
    out = prepared(logs, 'time_zone = "+08:00"' + EVENTS_ONLY.replace(".csv", ".parquet"))
    assert {record["timestamp"][0] for record in everything(out)} <= {row[1] for row in rows}


def test_cells_without_quotes_and_folders_of_links(tmp_path):
    rows = [(*row[:3], '"a1' if place in (10, 200) else row[3], row[4]) for place, row in enumerate(random_events(9))]
    logs = write_events(tmp_path / "real", rows)
    (logs / "events.csv").rename(logs / "events.tsv")
    (logs / "events.tsv").write_text((logs / "events.tsv").read_text().replace(",", "\t"))
    (tmp_path / "odd [0.1]" / "e").mkdir(parents=True)
    (tmp_path / "odd [0.1]" / "e" / "dt=1").symlink_to(logs)
    text = EVENTS_ONLY.replace('"events.csv"', '"e/dt=*", quote = ""')
    facts = references_data.read_preparation(prepared(tmp_path / "odd [0.1]", text))
    assert facts["rows"]["events"]["read"] == 600


@pytest.mark.parametrize("kind", [pa.list_(pa.int64()), pa.struct([("x", pa.int64())])])
def test_types_that_are_no_ids_are_refused(tmp_path, kind):
    logs = write_events(tmp_path / "logs", [])
    value = [1] if pa.types.is_list(kind) else {"x": 1}
    pq.write_table(pa.table({"user": ["u"], "at": [FIRST], "kind": ["live"], "author": pa.array([value], kind)}),
                   logs / "events.parquet")
    with pytest.raises(InputError, match=r"events.parquet: column author \(features.item.author\), of the type "):
        prepared(logs, EVENTS_ONLY.replace(".csv", ".parquet"))


def test_many_buckets_and_a_value_that_most_rows_have(tmp_path):
    rows = [(*row[:4], 0 if place % 10 else place) for place, row in enumerate(random_events(10, rows=1_500))]
    text = EVENTS_ONLY + '[features.context]\nwatch = { column = "seconds", buckets = 10 }\n' \
        'fine = { column = "seconds", buckets = 1000 }\n'
    out = prepared(write_events(tmp_path / "logs", rows), text)
    counts = collections.Counter(place for record in everything(out) for place in record["lifelong_source_watch"])
    assert set(counts) == {"0", "1"} and counts["0"] > 5 * counts["1"]  # nine tenths are one value


def test_clicks_of_days_beside_finer_events_are_refused(tmp_path):
    logs = write_events(tmp_path / "logs", [(*row[:1], f"2024-01-{1 + place % 9:02}", *row[2:])
                                            for place, row in enumerate(random_events(11))])
    write_events(logs, random_events(12), name="more.csv")
    text = EVENTS_ONLY.replace("events = { files", "events = [ { files").replace(
        'source = "video" } }', 'source = "video" } }, { files = "more.csv", domain = "source" } ]')
    with pytest.raises(InputError, match=r"events\[0\].time: these clicks have days, and events\[1\] finer times"):
        prepared(logs, text)


def test_names_that_only_look_like_ours(tmp_path):
    out = shop(tmp_path, shown_rows(), mapping=SHOWN.replace(
        'item = { author = "author" }', 'item = { author = "author" }\n'
        'context = { number_of_seconds = "seconds", text_of = "kind", feature_x = "kind" }'))
    assert set(vocabulary(out, "feature_x")) <= {"live", "video"}


TWO = SHOWN.replace('events = { files', 'events = [ { files').replace(
    'source = "video" } }', 'source = "video" } }, { files = "more.csv", domain = "source" } ]')


@pytest.mark.parametrize("new, unit, question", [
    (lambda moment: moment // 1_000, "", "thousands of seconds, divided by 1,000"),
    (lambda moment: moment, 'time_unit = "ms", ', "thousands of seconds, divided by 1,000"),
    (lambda moment: moment // DAY, "", "days"),
    (lambda moment: f"202401{1 + moment % 9:02}", "", "dates such as 20240131")])
def test_times_in_too_small_a_unit_are_refused_in_one_of_two_tables(tmp_path, new, unit, question):
    small = [(row[0], new(row[1]), *row[2:]) for row in random_events(13)]
    write_events(tmp_path / "logs", small, name="more.csv")
    with pytest.raises(InputError, match=r"^events\[1\]: no event to use; .*'time of 1970': 600.*more.csv, row 1, "
                       r"column at: expected seconds UTC after 1970 \(impressions are of 2024-01-\d\d\); see "
                       rf"time_unit, got \d+; at runs from .*: are these {question}"):
        shop(tmp_path, shown_rows(), mapping=TWO.replace('"more.csv",', f'"more.csv", {unit}'))


def test_some_times_in_too_small_a_unit_are_left_out(tmp_path):
    events = [(*row[:1], row[1] // 1_000 if place % 3 == 0 else row[1], *row[2:])
              for place, row in enumerate(random_events(13))]
    out = shop(tmp_path, shown_rows(), events)
    assert references_data.read_preparation(out)["rows"]["events"]["dropped"]["time of 1970"] == 200
    assert min(moment for record in everything(out) for moment in record["lifelong_source_timestamp"]) >= FIRST


def test_a_clock_of_the_logs_own_begins_with_0(tmp_path):
    events = [(row[0], row[1] - FIRST + DAY, *row[2:]) for row in random_events(14)]
    shown = [(row[0], row[1] - FIRST + DAY, *row[2:]) for row in shown_rows()]
    facts = references_data.read_preparation(shop(tmp_path, shown, events))
    assert "time of 1970" not in facts["rows"]["events"]["dropped"] and not facts["warnings"]


def test_events_that_end_years_before_are_warned_of(tmp_path):
    events = [(row[0], row[1] - 900 * DAY, *row[2:]) for row in random_events(15)]
    warnings = references_data.read_preparation(shop(tmp_path, shown_rows(), events))["warnings"]
    assert any(warning.startswith("events: every row is over a year older than the impressions, which begin with "
                                  "2024-01-01: at runs from ") for warning in warnings)


def test_users_whose_digits_are_lost_are_refused(tmp_path):
    rounded = [(f"{1382971839281293825 + place % 9:.5E}", *row[1:]) for place, row in enumerate(random_events(16))]
    with pytest.raises(InputError, match=r"events.csv, line 2, column user: expected a user, numbers with all their "
                       r"digits \(events.user\), got '1.38297E\+18' \(and 599 other lines\)"):
        prepared(write_events(tmp_path / "logs", rounded), EVENTS_ONLY)


@pytest.mark.parametrize("column", ["user", "author"])
def test_floats_beside_integers_are_refused_where_digits_are_lost(tmp_path, column):
    rows = [(place % 9, row[1], row[2], place % 7, 1) for place, row in enumerate(random_events(17))]
    logs = write_events(tmp_path / "logs", [(row[0] + 2**60, *row[1:3], row[3] + 2**60, 1) for row in rows])
    names = ("user", "at", "kind", "author")
    table = pa.table({name: [row[place] for row in rows] for place, name in enumerate(names)})
    for large in (False, True):
        values = pa.array([float(value + large * 2**60) for value in table[column].to_pylist()])
        pq.write_table(table.set_column(names.index(column), column, values), logs / f"{large}.parquet")
    text = EVENTS_ONLY.replace('"events.csv"', '["events.csv", "False.parquet"]')
    assert references_data.read_preparation(prepared(logs, text))["rows"]["events"]["read"] == 1_200
    with pytest.raises(InputError, match=rf"True.parquet, line 1, column {column}: expected .*, numbers with all"):
        prepared(logs, text.replace("False", "True"), "lost")


@pytest.mark.parametrize("rule, kept", [
    ("author != 9007199254740993", 514), ("author in [9007199254740993, 9007199254740995]", 172),
    ("author <= 9007199254740993", 172), ("author != 9007199254740993.0", 428)])
def test_rules_tell_large_integers_apart(tmp_path, rule, kept):
    rows = [(*row[:3], 2**53 + place % 7, 1) for place, row in enumerate(random_events(18))]
    text = EVENTS_ONLY.replace('source = "video" } }', f'source = "video" }}, where = "{rule}" }}')
    logs = write_events(tmp_path / "logs", [*rows, *[("u1", FIRST, "live", 1, 1)] * 3])
    facts = references_data.read_preparation(prepared(logs, text + '[negatives]\nwithout = "moment"\n'))
    assert facts["rows"]["events"]["used"] == kept + 3 * (" in " not in rule)


@pytest.mark.parametrize("form", ["csv", "parquet"])
@pytest.mark.parametrize("rule", ['is_bot != "true"', 'is_bot == "false"', 'is_bot in ["false"]'])
def test_true_and_false_are_the_same_in_all_files(tmp_path, form, rule):
    rows = [(*row[:4], place % 3 == 0) for place, row in enumerate(random_events(19))]
    names = ("user", "at", "kind", "author", "is_bot")
    logs = write_events(tmp_path / "logs", [(*row[:4], str(row[4]).lower()) for row in rows], ",".join(names))
    pq.write_table(pa.table({name: [row[place] for row in rows] for place, name in enumerate(names)}),
                   logs / "events.parquet")
    text = EVENTS_ONLY.replace("events.csv", f"events.{form}").replace(
        'source = "video" } }', f"source = \"video\" }}, where = '{rule}' }}")
    assert references_data.read_preparation(prepared(logs, text))["rows"]["events"]["used"] == 400


@pytest.mark.parametrize("old, new, message", [
    ('source = "video" } }', 'source = "video" }, where = \'is_bot == "False"\' }', "events.where: column 'is_bot' "
     "of .*events.parquet holds true and false, compared with 'False'"),
    ('{ column = "kind", target = "live", source = "video" }', '{ column = "is_bot", target = "1" }', "events.domain: "
     "column 'is_bot' of .* holds true and false, compared with '1'")])
def test_what_is_neither_true_nor_false_is_refused(tmp_path, old, new, message):
    logs = write_events(tmp_path / "logs", [])
    pq.write_table(pa.table({"user": ["u"], "at": [FIRST], "kind": ["live"], "author": ["a"], "is_bot": [True]}),
                   logs / "events.parquet")
    with pytest.raises(InputError, match=message):
        prepared(logs, EVENTS_ONLY.replace(".csv", ".parquet").replace(old, new))
