"""A mapping gives the records of the reader made for a format, on both engines, however the files are written."""

import csv
import dataclasses
import datetime
import gzip
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_prep.industrial.config import TIME_GAP_BOUNDARIES as INDUSTRIAL_GAPS
from data_prep.industrial.config import IndustrialConfig
from data_prep.industrial.prepare import prepare as prepare_industrial
from data_prep.movielens.config import TIME_GAP_BOUNDARIES, MovieLensConfig
from data_prep.movielens.prepare import prepare as prepare_movielens
from data_prep.sampling import PRIME
from data_prep.userbehavior.config import TIME_GAP_BOUNDARIES as VIEW_GAPS
from data_prep.userbehavior.config import UserBehaviorConfig
from data_prep.userbehavior.prepare import prepare as prepare_userbehavior
from tests import references_data
from tests.data_prep.industrial_logs import random_logs, write_logs
from tests.data_prep.movielens_files import DATES, MANY_MOVIES, popular_ratings, random_ratings, write_files
from tests.data_prep.own_logs.mappings import INDUSTRIAL, SMALL, contents, prepared
from tests.data_prep.test_sampling import mixed
from tests.data_prep.userbehavior.user_behavior_logs import DAY, FIRST, random_log, write_log

MOVIELENS = f"""
name = "movielens_cross_domain"
user = "userId"
time = "timestamp"
time_gap = {list(TIME_GAP_BOUNDARIES)}
domain = {{ column = "genres", target = "Sci-Fi", separator = "|" }}
events = {{ files = "ratings.csv" }}
items = {{ files = "movies.csv", key = "movieId" }}
[features]
user = {{ user_id = "userId" }}
item.movie_id = "movieId"
item.genre = {{ column = "genres", separator = "|", without = ["Sci-Fi"], missing = "(none)" }}
context = {{ rating = {{ column = "rating", type = "text" }} }}
"""
RATED = """
[impressions]
files = "ratings.csv"
label = "rating >= 4"
labels = { favourite = "rating >= 5" }
"""
IMPLICIT = """
[negatives]
per_positive = 3
seed = 7
[splits]
validation_from = 2010-03-04
test_from = 2010-03-07
"""


@pytest.fixture(scope="module")
def industrial(tmp_path_factory):
    """Logs, and what their own reader makes of them."""
    folder = tmp_path_factory.mktemp("industrial")
    write_logs(folder / "logs", random_logs(1))
    preparation = dataclasses.replace(SMALL, deduplicate=True)
    prepare_industrial(str(folder / "logs"), str(folder / "own"), IndustrialConfig(long_stay_seconds=30), preparation)
    return folder


def test_industrial_logs(industrial):
    found = prepared(industrial / "logs", INDUSTRIAL, preparation=dataclasses.replace(SMALL, deduplicate=True))
    assert contents(found) == contents(industrial / "own")
    own, mapped = (list(references_data.read_preparation(folder)["rows"].values())
                   for folder in (industrial / "own", found))
    assert own == mapped  # every row is accounted for alike


@pytest.mark.parametrize("ratings, movies, mapping, config", [
    (random_ratings(1), None, MOVIELENS + RATED, MovieLensConfig(favourite_stars=5.0)),
    (popular_ratings(2), MANY_MOVIES, MOVIELENS + IMPLICIT,
     MovieLensConfig(negatives_per_positive=3, negatives_seed=7, **DATES)),
], ids=["ratings", "implicit"])
def test_movielens(tmp_path, ratings, movies, mapping, config):
    logs = write_files(tmp_path / "logs", ratings, **({"movies": movies} if movies else {}))
    prepare_movielens(str(logs), str(tmp_path / "own"), config, SMALL)
    assert contents(prepared(logs, mapping)) == contents(tmp_path / "own")


def test_user_behavior(tmp_path):
    rows = [row for row in random_log(3) if FIRST <= row[4] < FIRST + 9 * DAY and row[3] != "share"]
    targets = sorted({str(row[2]) for row in rows if mixed(row[2]) < 0.3 * PRIME})
    logs = write_log(tmp_path / "logs", rows)
    prepare_userbehavior(str(logs), str(tmp_path / "own"), UserBehaviorConfig(target_category_share=0.3), SMALL)
    found = prepared(logs, f"""
name = "taobao_user_behavior"
time_zone = "Asia/Shanghai"
user = "user"
time = "second"
time_gap = {list(VIEW_GAPS)}
domain = {{ column = "category", target = {targets} }}
splits = {{ first_day = 2017-11-25, num_days = 9 }}
[events]
files = "UserBehavior.csv"
columns = ["user", "item", "category", "behaviour", "second"]
[negatives]
clicks = 'behaviour == "pv"'
per_positive = 2
pool = "day"
without = "moment"
seed = 0
[features]
user = {{ user_id = "user" }}
item = {{ item_id = "item", category = "category" }}
context = {{ behaviour = "behaviour" }}
""")
    assert contents(found) == contents(tmp_path / "own")


def _rows(folder, name):
    with open(folder / name, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _number(cell, kind):
    return None if cell in ("", "NULL") else kind(float(cell))


def _other_files(logs, folder, user=int):
    """The same logs: Parquet by day with milliseconds, events of two packed files, a user table without a header."""
    for number, row in enumerate(rows := _rows(logs, "impressions.csv")):
        row["place"] = number
    days = {}
    for row in rows:
        moment = datetime.datetime.fromtimestamp(max(int(row["timestamp"]), 0), datetime.UTC)
        days.setdefault(moment.date().isoformat(), []).append(row)
    for day, shown in days.items():
        path = folder / "shown" / f"dt={day}" / "part-0.parquet"
        path.parent.mkdir(parents=True)
        pq.write_table(pa.table({
            "who": [user(row["user"]) for row in shown],
            "ts_ms": pa.array([int(row["timestamp"]) * 1000 + row["place"] % 1000 for row in shown], pa.int64()),
            "room": pa.array([int(row["room_id"]) for row in shown], pa.int32()),
            "anchor": pa.array([_number(row["author"], int) for row in shown]),
            "kind": pa.array([None if row["category"] in ("", "NULL") else row["category"] for row in shown]
                             ).dictionary_encode(),
            "tab": [row["page"] for row in shown], "entered": [row["clicked"] == "1" for row in shown],
            "stay": pa.array([_number(row["stay_seconds"], float) for row in shown])}), path)
    (folder / "shown" / "_SUCCESS").write_text("")
    for name, domain in (("lives.tsv.gz", "live"), ("videos.tsv.gz", "video")):
        with gzip.open(folder / name, "wt", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, delimiter="\t", quoting=csv.QUOTE_ALL)
            writer.writerow(["unused", "at", "who", "anchor", "kind", "seconds", "done"])
            writer.writerows(["x\ty\nz", row["timestamp"] + ".25", user(row["user"]), row["author"], row["category"],
                              row["watch_seconds"], row["finished"]]
                             for row in _rows(logs, "events.csv") if row["domain"] == domain)
    with open(folder / "people.csv", "w", encoding="utf-8") as file:
        file.writelines(",".join([str(user(name)), *profile]) + "\n" for name, *profile in (
            row.values() for row in _rows(logs, "users.csv")))


OTHER = f"""
name = "industrial"
time_zone = "+08:00"
user = "who"
time_gap = {list(INDUSTRIAL_GAPS)}
splits = {{ first_day = 2024-01-01, num_days = 7 }}
impressions = {{ files = "shown", time = "ts_ms", time_unit = "ms", label = "entered", labels.long_stay = "stay>=30" }}
events = [
  {{ files = "lives*", delimiter = "\\t", time = "at", domain = "target" }},
  {{ files = "videos.tsv.gz", delimiter = "\\t", time = "at", domain = "source" }},
]
users = {{ files = "people.csv", columns = ["id", "gender", "age", "city"], key = "id" }}
[features]
user = {{ user_id = "who", gender = "gender", age_band = "age", city_level = "city" }}
item = {{ author = {{ column = "anchor", type = "integer" }}, category = "kind" }}
candidate = {{ room_id = "room" }}
request = {{ page = "tab" }}
[features.context]
watch = {{ column = "seconds", boundaries = [1, 3, 7, 15, 30, 60, 120, 300, 600] }}
finished = {{ column = "done", type = "integer" }}
"""


def _without_impression_ids(folder):
    return {(split, tuple(record["user_key"]), tuple(record["timestamp"]), tuple(record["room_id"])):
            {name: values for name, values in record.items() if name != "impression_id"}
            for split in ("train", "validation", "test") for record in references_data.read_records(folder, split)}


def assert_same(found, expected):
    records = _without_impression_ids(found)
    assert records == _without_impression_ids(expected) and len(records) > 20
    assert contents(found).keys() == contents(expected).keys()


def test_other_files_of_the_same_logs(industrial, tmp_path):
    (tmp_path / "logs").mkdir()
    _other_files(industrial / "logs", tmp_path / "logs")
    assert_same(prepared(tmp_path / "logs", OTHER), prepared(industrial / "logs", INDUSTRIAL, "plain"))


@pytest.mark.slow
def test_spark_gives_the_same_records(industrial, tmp_path):
    (tmp_path / "logs").mkdir()
    _other_files(industrial / "logs", tmp_path / "logs", user="u{}".format)  # texts are numbered, by Spark in 32 bits
    (tmp_path / "logs" / "logs.toml").write_text(OTHER, encoding="utf-8")
    # In a process of its own: Spark's warnings are not ours.
    done = subprocess.run([
        sys.executable, "-m", "data_prep.own_logs", f"--mapping={tmp_path / 'logs' / 'logs.toml'}", "--engine=spark",
        f"--output_dir={tmp_path / 'spark'}", "--spark_master=local[1]", "--short_length=5", "--lifelong_length=20",
        "--shards=2"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert contents(tmp_path / "spark") == contents(prepared(tmp_path / "logs", OTHER))


@pytest.mark.parametrize("mapping", [INDUSTRIAL, OTHER, MOVIELENS + RATED, MOVIELENS + IMPLICIT])
def test_mappings_are_short(mapping):
    assert len([line for line in mapping.splitlines() if line]) <= 25
