"""Files of which no row or few are used: an error or a warning with reason and example; sound logs get neither."""

import re

import ibis
import pytest

from data_prep import engines
from data_prep.config import PreparationConfig
from data_prep.errors import InputError
from data_prep.industrial import reader as industrial
from data_prep.industrial.config import IndustrialConfig
from data_prep.industrial.prepare import prepare as prepare_industrial
from data_prep.movielens import reader as movielens
from data_prep.movielens.config import MovieLensConfig
from data_prep.reading.drop_rules import after_days, not_positive, outside_days
from data_prep.reading.log_reader import LogReader
from data_prep.reading.rejects import Rejects
from data_prep.taobao import reader as taobao
from data_prep.taobao.config import TaobaoConfig
from data_prep.userbehavior import reader as userbehavior
from data_prep.userbehavior.config import UserBehaviorConfig
from tests import references_data
from tests.data_prep import industrial_logs, movielens_files, taobao_logs
from tests.data_prep.userbehavior import user_behavior_logs

SMALL = PreparationConfig(short_length=3, lifelong_length=11, shards=1, memory_limit="500MB")


@pytest.fixture
def logs(tmp_path):
    (tmp_path / "scratch").mkdir()
    with engines.connect(SMALL, str(tmp_path / "scratch")) as engine:
        yield LogReader(engine, Rejects(str(tmp_path / "rejects.csv"), 0.9), str(tmp_path / "scratch"))


def read(logs, tmp_path, dataset, files, row_set="target"):
    """What the reader of a data set makes of `files`."""
    folder = tmp_path / "logs"
    if dataset == "industrial":
        found = industrial.find_files(str(industrial_logs.write_logs(folder, files)), row_set)
        return industrial.read(logs, found, IndustrialConfig(row_set=row_set), deduplicate=False)
    if dataset == "taobao":
        found = taobao.find_files(str(taobao_logs.write_logs(folder, files)))
        return taobao.read(logs, found, TaobaoConfig(row_set=row_set), deduplicate=False)
    if dataset == "movielens":
        movielens_files.write_files(folder, files)
        config = MovieLensConfig(row_set=row_set, **movielens_files.DATES)
        return movielens.read(logs, *movielens.find_files(str(folder)), config, deduplicate=False)
    path = str(user_behavior_logs.write_log(folder, files) / "UserBehavior.csv")
    return userbehavior.read(logs, path, UserBehaviorConfig(target_category_share=0.3), deduplicate=False)


def with_cells(dataset, file, column, new):
    """Random logs of a data set whose column holds `new(cell)`."""
    if dataset == "userbehavior":
        return [(*row[:column], new(row[column]), *row[column + 1:]) for row in user_behavior_logs.random_log(1)]
    if dataset == "movielens":
        return [(*row[:column], new(row[column]), *row[column + 1:]) for row in movielens_files.random_ratings(1)]
    files = (industrial_logs if dataset == "industrial" else taobao_logs).random_logs(1)
    return files | {file: [[*row[:column], new(row[column]), *row[column + 1:]] for row in files[file]]}


DAYS = r"\(2024-01-01 to 2024-01-07, the selected days\)"
NOTHING = [
    ("industrial", "impressions.csv", 1, lambda moment: moment * 1_000,
     rf"no impression in the 7 days from 2024-01-01; .*expected seconds UTC from 1704038400 to 1704643199 {DAYS}, got "
     r"\d{13}; timestamp runs from 0 to \d{13}: are these milliseconds\?$"),
    ("industrial", "impressions.csv", 1, lambda moment: moment and moment + 366 * 86_400,
     r"got 17\d{8}; timestamp runs from 0 to 17\d{8} \(1970-01-01 to 2025-01-08\)$"),
    ("industrial", "events.csv", 1, lambda moment: abs(moment) * 1_000_000_000,
     r"no event to use; .*expected seconds UTC up to 1704643199 \(2024-01-07, the last selected day\), got \d{10,19}; "
     r"timestamp runs from 5000000000 to \d{19}: are these nanoseconds\?$"),
    ("industrial", "events.csv", 1, lambda moment: moment // 1_000,
     r"no event to use; .*expected seconds UTC after 1970 \(impressions are of 2024-01-01\), got 170\d{4}; timestamp "
     r"runs from -?\d+ to 170\d{4} \(1970-01-01 to 1970-01-2\d\): are these thousands of seconds, divided by 1,000\?$"),
    ("taobao", "behavior_log.csv", 1, lambda moment: moment // 86_400,
     r"no behaviour to use; .*expected seconds UTC after 1970 .*runs from -?\d+ to 17\d{3} .*: are these days\?$"),
    ("industrial", "events.csv", 2, str.upper,
     r"no event to use; .*line 2, column domain: expected live or video, got '(VIDEO|LIVE)'$"),
    ("industrial", "events.csv", 0, lambda user: user + 500,
     r"no event to use; .*column user: expected a user of a used impression, such as 1, got 50\d$"),
    ("industrial", "users.csv", 0, lambda user: -user,
     r"no user of a used impression; .*column user: expected a user of a used impression, such as 1, got -\d$"),
    ("taobao", "raw_sample.csv", 2, lambda ad: ad + 700,
     r"no target-domain impression .*column adgroup_id: expected an ad of ad_feature, such as 1, got 7\d\d$"),
    ("taobao", "raw_sample.csv", 1, lambda moment: moment * 1_000, r"column time_stamp: .*are these milliseconds\?$"),
    ("taobao", "behavior_log.csv", 1, lambda moment: moment * 1_000,
     r"no behaviour to use; .*are these milliseconds\?$"),
    ("taobao", "behavior_log.csv", 2, str.upper,
     r"line 2, column btag: expected one of pv, cart, fav, buy, got '[A-Z]+'$"),
    ("taobao", "behavior_log.csv", 0, lambda user: user + 500,
     r"line 2, column user: expected a user of a used impression, such as 1, got 50\d$"),
    ("taobao", "user_profile.csv", 0, lambda user: user + 500, r"no user of a used impression; .*such as 1, got 50\d$"),
    ("movielens", "ratings.csv", 1, lambda movie: movie + 100,
     r"no rating of a target-domain movie .*column movieid: expected a movie of movies.csv, such as 1, got 1\d\d$"),
    ("movielens", "ratings.csv", 3, lambda moment: -moment,
     r"line 2, column timestamp: expected seconds UTC above 0, got -1"),
    ("userbehavior", "UserBehavior.csv", 4, lambda moment: moment * 1_000, r"no page view .*are these milliseconds\?$"),
    ("userbehavior", "UserBehavior.csv", 3, str.upper,
     r"column behaviour: expected one of pv, cart, fav, buy, got '[A-Z]+'$"),
]


@pytest.mark.parametrize(("dataset", "file", "column", "new", "message"), NOTHING)
def test_a_file_of_which_nothing_is_used(logs, tmp_path, dataset, file, column, new, message):
    files = with_cells(dataset, file, column, new)
    with pytest.raises(InputError, match=f"^[^\n]*/{re.escape(file)}: [^\n]*{message}"):
        read(logs, tmp_path, dataset, files)


def test_the_line_of_an_example(logs, tmp_path):
    files = industrial_logs.random_logs(1)
    files["events.csv"] = [[""], ["", ""], [1, "soon"], *([*row[:2], "Video", *row[3:]] for row in files["events.csv"])]
    with pytest.raises(InputError, match=r"events\.csv: .*'unreadable, see rejects.csv': 2}.*; line 5, column domain: "
                                         r"expected live or video, got 'Video'$"):
        read(logs, tmp_path, "industrial", files)


def test_most_rows_dropped_for_one_reason_are_warned_of(logs, tmp_path):
    files = industrial_logs.random_logs(1)
    total = len(files["events.csv"])
    for place, row in enumerate(files["events.csv"]):
        row[2] = "VIDEO" if place < 0.6 * total else row[2]
    source = read(logs, tmp_path, "industrial", files)
    warning, = logs.warnings
    unknown = next(counts for counts in source.rows if counts.file == "events.csv").dropped["unknown domain"]
    assert re.fullmatch(rf"events\.csv: \d\d% of the rows \({unknown} of {total}\) are dropped: unknown domain; "
                        r"line 2, column domain: expected live or video, got 'VIDEO'", warning)


@pytest.mark.parametrize(("dataset", "file", "column"), [
    ("industrial", "events.csv", 1), ("taobao", "behavior_log.csv", 1)])
def test_a_log_that_ends_long_before_the_impressions(logs, tmp_path, dataset, file, column):
    read(logs, tmp_path, dataset, with_cells(dataset, file, column, lambda moment: moment - 400 * 86_400))
    warning, = (text for text in logs.warnings if "older" in text)
    assert re.fullmatch(rf"{file}: every row is over a year older than the impressions, which begin with 20\d\d-.*: "
                        r"time_?stamp runs from -?\d+ to \d+ \(.*\)", warning)


@pytest.mark.parametrize(("dataset", "row_set"), [
    ("industrial", "target"), ("industrial", "source"), ("taobao", "target"), ("taobao", "source"),
    ("movielens", "target"), ("movielens", "source"), ("userbehavior", "target")])
def test_sound_logs_are_not_warned_of(logs, tmp_path, dataset, row_set):
    if dataset == "userbehavior":
        files = [*user_behavior_logs.random_log(1), *([(77, 1, 4_001, "fav", user_behavior_logs.FIRST)] * 2_000)]
    elif dataset == "movielens":
        files = [*movielens_files.random_ratings(1), *([(9, 5, 4.0, 1_267_500_000)] * (row_set == "target") * 2_000)]
    elif dataset == "taobao":
        files = taobao_logs.random_logs(1)
        files["ad_feature.csv"] += [[100 + ad, 2_500, 1, 1, 30, 5.0] for ad in range(200)]
        files["behavior_log.csv"] += [[500 + number % 9, taobao_logs.second(7), "pv", 100, 3]
                                      for number in range(2_000)]
        files["user_profile.csv"] += [[500 + user, 0, 0, 1, 0, "", 1, 0, ""] for user in range(100)]
    else:
        files = industrial_logs.random_logs(1)
        files["events.csv"] += [[500 + number % 9, industrial_logs.second(2), "live", 1, "", 1, ""]
                                for number in range(2_000)]
        files["users.csv"] += [[500 + user, "f", "", 1] for user in range(100)]
    assert read(logs, tmp_path, dataset, files, row_set).rows and not logs.warnings


@pytest.mark.parametrize("line_end", ["\n", "\r\n\r\n", ""])
@pytest.mark.parametrize(("dataset", "file"), [("industrial", "users.csv"), ("taobao", "user_profile.csv")])
def test_profiles_of_nobody_are_accepted(logs, tmp_path, dataset, file, line_end):
    written = industrial_logs if dataset == "industrial" else taobao_logs
    files = written.random_logs(1)
    del files[file]
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / file).write_bytes((",".join(written.HEADERS[file]) + line_end).encode())
    source = read(logs, tmp_path, dataset, files)
    assert next(counts for counts in source.rows if counts.file == file).read == 0
    users = source.users.to_pyarrow().to_pylist()
    assert source.facts["users_without_profile"] == len(users) > 3
    assert all(set(user.values()) <= {user["user"], "-1", -1} for user in users)


def prepared(tmp_path, moments, domains=("live", "video")):
    """Two impressions a day of user 1, and events at `moments`."""
    files = {"impressions.csv": [[1, industrial_logs.second(day, hour), 1, 1, "", "", 0, ""]
                                 for day in range(1, 8) for hour in (9, 15)],
             "events.csv": [[1, moment, domain, 1, "", 1, ""] for moment in moments for domain in domains],
             "users.csv": [[1, "f", "", ""]]}
    folder = industrial_logs.write_logs(tmp_path / "logs", files)
    prepare_industrial(str(folder), str(tmp_path / "out"), IndustrialConfig(), SMALL)
    facts = references_data.read_preparation(tmp_path / "out")
    assert all(f"{split['entropy']:.4f}" == "0.0000" for split in facts["splits"].values()), "no click, no minus sign"
    return facts["warnings"]


def test_events_that_no_impression_sees(tmp_path):
    with pytest.raises(InputError, match=r"no impression has an event of its user before it, so every history is empty"
                                         r": the files \(impressions\.csv, events\.csv, users\.csv\)"):
        prepared(tmp_path, [industrial_logs.second(7, 15), industrial_logs.second(7, 16)])
    assert not (tmp_path / "out").exists()


def test_histories_that_are_always_empty_are_noted(tmp_path, caplog):
    assert not prepared(tmp_path / "sound", [industrial_logs.second(1, 8)]) and not caplog.text
    expected = ["short_source is empty for every impression", "lifelong_source is empty for every impression",
                "every history of the train split is empty", "every history of the validation split is empty"]
    assert prepared(tmp_path / "odd", [industrial_logs.second(7, 8)], ["live"]) == expected
    assert all(text in caplog.text for text in expected)


def test_texts_of_times():
    moment = ibis.table({"t": "int64"}, name="log").t
    rule = outside_days(moment, "t", 86_400, 2 * 86_400, 19_800)
    assert rule.expected == "seconds UTC from 86400 to 172799 (1970-01-02 to 1970-01-03, the selected days)"
    assert rule.times(0, 5) == "t runs from 0 to 5 (1970-01-01)"
    assert rule.times(-2**63, 2**63 - 1) == f"t runs from {-2**63} to {2**63 - 1}: are these nanoseconds?"
    assert after_days(moment, "t", 86_400, 0).times(1, 1_704_371_583_000_000).endswith("000: are these microseconds?")
    assert not_positive(moment, "t").times(-5, 1_704_371_583_000).endswith("000: are these milliseconds?")
    assert not_positive(moment, "t").times(5, 20_240_103).endswith("are these dates such as 20240131, which are days?")
    assert not_positive(moment, "t").times(5, 28_401_120).endswith(": are these minutes?")
    assert not_positive(moment, "t").times(0, 4_000_000_000) == "t runs from 0 to 4000000000 (1970-01-01 to 2096-10-02)"
