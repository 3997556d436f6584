"""The records of single days: what they hold, and what their ids mean."""

import pytest

from data_prep.config import PreparationConfig
from data_prep.days.config import LastingIdsConfig
from data_prep.days.prepare_day import PreparedDay, prepare_day
from data_prep.errors import InputError
from data_prep.own_logs.config import OwnLogsConfig
from data_prep.own_logs.splitting import OneDay
from lcn_tf.data.prepared_folder import preparation_facts
from lcn_tf.schema import FIRST_ID
from tests import references_data
from tests.data_prep.own_logs.small_events import DAY, EVENTS_ONLY, FIRST, write_events

CONFIG = LastingIdsConfig(rows=60, max_idle_days=2)
# Each day has authors of its own, and one that is there every day.
DAYS = ("2024-01-01", "2024-01-02", "2024-01-03", "2024-01-04")


def rows_of(day, users=range(4)):
    """Events of a day: what each user watched and entered, at growing seconds."""
    start, rows = FIRST + day * DAY, []
    for user in users:
        room = f"{('hall', 'room')[user % 2]}{day}"
        rows += [(f"u{user}", start + 10 + user, "video", f"a{day}{user}", 3.5),
                 (f"u{user}", start + 20, "video", "always", 1.0),
                 (f"u{user}", start + 60 + user, "live", room, 9.0), (f"u{user}", start + 90, "live", "always", 2.0)]
    return rows


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("logs")
    # A user who only watches, on the third day.
    write_events(folder, [row for day in range(4) for row in rows_of(day)] + [
        ("lurker", FIRST + 2 * DAY + 5, "video", "rare", 4.0)])
    (folder / "logs.toml").write_text(
        EVENTS_ONLY + "context = { watched = { column = \"seconds\", buckets = 3 } }\n[negatives]\nper_positive = 1\n")
    return folder


def prepare(logs, output, number, before=None, config=CONFIG, settled=None, **settings):
    day = DAYS[number]
    prepare_day(OwnLogsConfig(str(logs / "logs.toml")), "", str(output / day),
                OneDay(day, is_first=before is None, **(settled or {})), before, config,
                PreparationConfig(short_length=4, lifelong_length=20, workers=1, **settings))
    return PreparedDay(day, str(output / day), config)


@pytest.fixture(scope="module")
def days(logs, tmp_path_factory):
    output, found = tmp_path_factory.mktemp("days"), []
    for number in range(4):
        before = found[-1] if found else None
        found.append(prepare(logs, output, number, before, settled=found[0].settled() if found else None))
    return found


def meaning(day, name):
    known = day.ids(name).known
    return dict(zip(known.id.tolist(), known.value.tolist(), strict=True))


def test_a_day_has_its_own_impressions_and_the_histories_until_them(logs, days):
    for number, day in enumerate(days):
        known = set(meaning(day, "author").values())
        records = references_data.read_records(day.folder, "train")
        assert sum(len(record["timestamp"]) for record in records) == 16  # 8 clicks with a negative each
        for record in records:
            moments = record["timestamp"]
            assert all(FIRST + number * DAY <= moment < FIRST + (number + 1) * DAY for moment in moments)
            user = record["user_id"][0]
            seen = [(moment, author) for other, moment, kind, author, _ in sorted(
                (row for past in range(number + 1) for row in rows_of(past)), key=lambda row: row[1])
                if other == user and kind == "video" and moment < moments[0]]
            assert record["lifelong_source_author"] == [
                author if author in known else references_data.OOV for _, author in reversed(seen)][:20]
            assert record["lifelong_source_timestamp"] == [moment for moment, _ in reversed(seen)][:20]


def test_ids_keep_their_meaning_until_they_are_free(days):
    for earlier, later in zip(days, days[1:], strict=False):
        before, now = meaning(earlier, "author"), meaning(later, "author")
        kept = {number for number in before.keys() & now.keys() if before[number] == now[number]}
        for number in now.keys() - kept:
            assert number in later.admitted()["author"]
        assert {key for key, value in before.items() if value == "always"} <= kept
    last = set(meaning(days[-1], "author").values())
    # Authors of the first day are gone, and their ids are others' now.
    assert not last & {"room0", "hall0", "a00"} and {"room3", "room2", "room1", "always"} <= last
    assert "room1" not in set(days[-1].ids_after("author").known.value)
    assert set(meaning(days[0], "author")) & set(days[-1].admitted()["author"].tolist())


def test_values_are_counted_whoever_they_are_of(days):
    assert "rare" in meaning(days[2], "author").values()
    assert "rare" not in meaning(days[1], "author").values()


def test_schema_numbers_and_the_hour_are_those_of_the_first_day(days):
    first = preparation_facts(days[0].folder)
    assert first["boundaries"]["watched"] and list(first["splits"]) == ["train"]
    for day in days[1:]:
        facts = preparation_facts(day.folder)
        assert facts["schema_fingerprint"] == first["schema_fingerprint"]
        assert (facts["boundaries"], facts["utc_offset"]) == (first["boundaries"], first["utc_offset"])
    with open(f"{days[0].folder}/vocabularies/author.txt", encoding="utf-8") as file:
        values = file.read().split("\n")[:-1]
    assert len(values) == 60 - FIRST_ID
    assert {FIRST_ID + place: value for place, value in enumerate(values) if value} == meaning(days[0], "author")


def test_a_value_that_is_rare_waits(logs, tmp_path):
    day = prepare(logs, tmp_path, 0, min_count=10)
    assert set(meaning(day, "author").values()) == {"always"}


@pytest.mark.parametrize("settings, config, message", [
    ({"vocabulary": "hashed"}, CONFIG, "vocabulary must be counted for days"),
    ({"unclicked_length": 7}, CONFIG, "unclicked_length must be 0 for days, .*, got 7"),
    ({}, LastingIdsConfig(table_rows=("room:9",)), "table_rows names room; known: user_id, author, watched")])
def test_what_does_not_fit_is_refused(logs, tmp_path, settings, config, message):
    with pytest.raises(ValueError, match=message):
        prepare(logs, tmp_path, 0, config=config, **settings)


def test_a_day_without_clicks_says_which_days_there_are(logs, tmp_path):
    with pytest.raises(InputError, match="no event of the target domain is a click.*2024-01-01 to 2024-01-04"):
        prepare_day(OwnLogsConfig(str(logs / "logs.toml")), "", str(tmp_path / "day"), OneDay("2024-02-01"), None,
                    CONFIG, PreparationConfig(workers=1))
