"""A suggested mapping is a mapping: with the domain and the label right, it prepares the files that it is about."""

import os
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_prep.errors import InputError
from data_prep.own_logs.mapping import read_mapping
from data_prep.own_logs.suggest import suggest
from tests import references_data
from tests.data_prep.industrial_logs import random_logs, write_logs
from tests.data_prep.movielens_files import random_ratings, write_files
from tests.data_prep.own_logs.mappings import prepared


def suggested(folder, *names):
    text = suggest(names, str(folder))
    (folder / "logs.toml").write_text(text, encoding="utf-8")
    return text, read_mapping(str(folder / "logs.toml"))


def test_industrial_logs(tmp_path):
    logs = write_logs(tmp_path / "logs", random_logs(1))
    text, found = suggested(logs, "impressions.csv", "events.csv", "users.csv")
    assert found.impressions.label == "clicked" and found.users.key == "user"
    assert set(found.features.item) == {"author", "category"} and set(found.features.candidate) == {"room_id"}
    assert set(found.features.request) == {"page"}  # what a click leads to is not known before it
    assert "# stay_seconds = { column" in text and "# which of video, live, search?" in text
    assert found.features.context["watch_seconds"].buckets == 10
    out = prepared(logs, text.replace('target = ["video"]', 'target = ["live"]'))
    assert references_data.read_preparation(out)["rows"]["impressions"]["used"] > 100


def test_movielens(tmp_path):
    logs = write_files(tmp_path / "logs", random_ratings(1))
    text, found = suggested(logs, "ratings.csv", "movies.csv")
    assert found.items.key == "movieId" and found.negatives and found.features.item["genres"].separator == "|"
    domain = 'domain = { column = "genres", target = "Sci-Fi", separator = "|" }'
    out = prepared(logs, text.replace('domain = "source"', domain))
    assert references_data.read_preparation(out)["clicks"] > 20


@pytest.mark.parametrize("unit, factor", [("s", 1), ("ms", 1_000), ("us", 10**6), ("ns", 10**9)])
def test_units_of_time(tmp_path, unit, factor):
    pq.write_table(pa.table({"memberId": [1, 2], "ts": [1_700_000_000 * factor] * 2, "item": [3, 4],
                             "tags": [["a"], []]}), tmp_path / "e.parquet")
    _, found = suggested(tmp_path, "e.parquet")
    assert found.events[0].time_unit == unit and found.events[0].user == "memberId"


def test_columns_of_bytes_and_of_true_and_false(tmp_path):
    pq.write_table(pa.table({
        "user": [1, 2], "time": [1_704_067_200, 1_704_067_201], "is_at": [True, False], "type": [True, False],
        "uuid": pa.array([b"\xff" * 16, b"\xfe" * 16], pa.binary(16))}), tmp_path / "log.parquet")
    text, found = suggested(tmp_path, "log.parquet")
    assert found.events[0].time == "time" and 'target = ["false"] }  # which of false, true?' in text


def test_files_without_times(tmp_path):
    (tmp_path / "a.csv").write_text("x;y\n1;2\n")
    assert "No file has both a user and a time" in suggest(["a.csv"], str(tmp_path))
    with pytest.raises(InputError, match="suggest: no file of"):
        suggest(["b.csv"], str(tmp_path))


def test_the_command(tmp_path):
    write_logs(tmp_path, random_logs(1))

    def run(*arguments):
        return subprocess.run([sys.executable, "-m", "data_prep.own_logs", *arguments], cwd=tmp_path, text=True,
                              capture_output=True, env={**os.environ, "PYTHONPATH": os.getcwd()})

    done = run("suggest", "impressions.csv", "events.csv", "users.csv")
    assert done.returncode == 0, done.stderr
    (tmp_path / "logs.toml").write_text(done.stdout.replace('["video"]', '["live"]'))
    done = run("--mapping=logs.toml", "--output_dir=DATA")
    assert done.returncode == 0 and "users.csv" not in done.stdout and "events " in done.stdout, done.stderr
    again = run("--mapping=logs.toml", "--output_dir=DATA")
    assert again.returncode == 1 and again.stderr.startswith("error: output_dir DATA exists already")
    missing = run("--mapping=other.toml", "--output_dir=OUT")
    assert missing.returncode == 1 and missing.stderr.startswith("error: mapping other.toml: ")


def test_what_follows_a_click_is_no_feature_and_names_are_one_each(tmp_path):
    (tmp_path / "shown.csv").write_text(
        "user_id,ts,item_id,click,click_time,conversion,exit_reason,name,\u57ce\u5e02,a-b,a_b,self\n" + "".join(
            f"u{place % 3},{1_700_000_000 + place},i{place % 5},{['false', 'true'][place % 2]},"
            f"{1_700_000_009 + place},{place % 3 % 2},left,n,x,1,2,3\n" for place in range(40)))
    (tmp_path / "users.csv").write_text("user_id,name\nu1,Ann\nu2,Bo\n")
    text, found = suggested(tmp_path, "shown.csv", "users.csv")
    assert set(found.features.item) == {"item_id", "item_name", "f___"} and not found.features.request
    assert '# exit_reason = "exit_reason"  # left; was it known before the click?' in text
    assert set(found.features.context) >= {"a_b", "context_a_b", "self_id"}
    assert found.impressions.label == "click" and found.events[0].where == ('click == "true"',)
