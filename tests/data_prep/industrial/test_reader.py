"""Reading industrial-style logs: other spellings, and refusals that say what is wrong."""

import pytest

from data_prep.config import PreparationConfig
from data_prep.errors import InputError
from data_prep.industrial import reader
from data_prep.industrial.config import IndustrialConfig
from data_prep.industrial.prepare import prepare
from tests import references_data
from tests.data_prep.industrial_logs import HEADERS, random_logs, second, write_logs

SMALL = PreparationConfig(short_length=3, lifelong_length=11, shards=1, memory_limit="500MB")


def test_other_names_and_spellings(tmp_path):
    shown = [[7, f"{second(day, 5)}.0", 1, 2, '"live music"', "feed", 1, ""] for day in range(1, 8)]
    logs = {"impressions.csv": shown, "events.csv": [[7, second(1), "video", 3, " cats ", "2.5", "1.0"]],
            "users.csv": [[7, "f", "18-24", "NULL"]]}
    headers = {name: ["user_id", *header[1:]] for name, header in HEADERS.items()}
    headers["events.csv"] = ["user_id", "Timestamp", "domain", "author_id", "category", " watch_seconds", "finished"]
    write_logs(tmp_path / "logs", logs, "\r\n", headers)
    prepare(str(tmp_path / "logs"), str(tmp_path / "prepared"), IndustrialConfig(), SMALL)
    record, = references_data.read_records(tmp_path / "prepared", "test")
    assert record["category"] == ["live music"] and record["city_level"] == ["-1"]
    event = [record[f"lifelong_source_{name}"] for name in ("author", "category", "watch", "finished")]
    assert event == [["3"], ["cats"], ["1"], ["1"]]


@pytest.mark.parametrize(("file", "column", "value", "message"), [
    ("impressions.csv", 1, "soon", "column timestamp: expected an integer, got 'soon'"),
    ("impressions.csv", 2, "", "column room_id: expected an integer, got ''"),
    ("impressions.csv", 6, "2", "column clicked: expected 0 or 1, got '2'"),
    ("impressions.csv", 7, "-1", "column stay_seconds: expected 0 or more seconds, got '-1'"),
    ("events.csv", 2, "", "column domain: expected a text, got ''"),
    ("events.csv", 3, "ann", "column author: expected an integer, got 'ann'"),
    ("events.csv", 5, "-0.5", "column watch_seconds: expected 0 or more seconds, got '-0.5'"),
    ("events.csv", 6, "yes", "column finished: expected an integer, got 'yes'"),
    ("events.csv", 6, "3", "column finished: expected 0, 1 or nothing, got '3'"),
    ("users.csv", 0, "", "column user: expected an integer, got ''"),
    ("video_impressions.csv", 5, "-1", "column clicked: expected 0 or 1, got '-1'"),
    ("video_impressions.csv", 6, "-1", "column watch_seconds: expected 0 or more seconds, got '-1'"),
])
def test_refusals_name_file_line_column_and_value(tmp_path, file, column, value, message):
    logs = random_logs(1)
    logs[file][2] = [value if index == column else cell for index, cell in enumerate(logs[file][2])]
    input_dir = write_logs(tmp_path / "logs", logs)
    config = IndustrialConfig(row_set="source" if file == "video_impressions.csv" else "target")
    with pytest.raises(InputError, match=rf"{file}, line 4, {message}.*1 of {len(logs[file])} lines cannot be read"):
        prepare(str(input_dir), str(tmp_path / "out"), config, SMALL)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("file", HEADERS)
def test_missing_and_foreign_files(tmp_path, file):
    row_set = "source" if file == "video_impressions.csv" else "target"
    input_dir = write_logs(tmp_path / "logs", random_logs(1))
    (input_dir / file).write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match=rf"{file}, line 1: wrong header: expected \['user', .*\], got \['a', 'b'\]"):
        reader.find_files(str(input_dir), row_set)
    (input_dir / file).unlink()
    with pytest.raises(InputError, match=f"{file}: no such file.*{f'; row_set={row_set}' * ('imp' in file)}"):
        reader.find_files(str(input_dir), row_set)


def test_each_row_set_does_without_the_impressions_of_the_other(tmp_path):
    for row_set, other in (("target", "video_impressions.csv"), ("source", "impressions.csv")):
        input_dir = write_logs(tmp_path / row_set, random_logs(1))
        (input_dir / other).unlink()
        assert reader.find_files(str(input_dir), row_set).impressions != str(input_dir / other)
