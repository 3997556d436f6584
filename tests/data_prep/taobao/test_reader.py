"""Reading the four Taobao files: names, headers, quirks and refusals."""

import pytest

from data_prep import engines
from data_prep.config import PreparationConfig
from data_prep.errors import InputError
from data_prep.reading.log_reader import LogReader
from data_prep.reading.rejects import Rejects
from data_prep.taobao import reader
from data_prep.taobao.config import TaobaoConfig
from data_prep.taobao.prepare import prepare
from tests.data_prep.taobao_logs import HEADERS, random_logs, write_logs


def load(tmp_path, input_dir):
    (tmp_path / "scratch").mkdir()
    with engines.connect(PreparationConfig(memory_limit="500MB"), str(tmp_path / "scratch")) as engine:
        logs = LogReader(engine, Rejects(str(tmp_path / "rejects.csv"), 0.0), str(tmp_path / "scratch"))
        tables = reader.load_tables(logs, reader.find_files(str(input_dir)))
        return {name: table.order_by("row").to_pyarrow().to_pylist() for name, table in tables.items()}


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_other_names_and_spellings(tmp_path, line_end):
    logs = {
        "raw_sample.csv": [[7, 1494000000, 3, "430548_1007", 1, 0]],
        "ad_feature.csv": [[3, 5, 11, 13, "95471.0", 0.01], [4, 5, 11, 13, "NULL", "1.0E8"], [5, 5, 11, 13, "", 170]],
        "user_profile.csv": [[7, 0, 8, 1, 2, "2.0", 3, 0, ""]],
        "behavior_log.csv": [[7, 1494000000, "ipv", 6250, 91286]]}
    headers = HEADERS | {"raw_sample.csv": ["user", "time_stamp", "adgroup_id", "pid", "noclk", "clk"],
                         "behavior_log.csv": ["nick", "time_stamp", "btag", "cate", "brand"]}
    input_dir = write_logs(tmp_path / "logs", logs, line_end, headers)
    (input_dir / "behavior_log.csv").rename(input_dir / "raw_behavior_log.csv")
    tables = load(tmp_path, input_dir)
    assert tables["raw_sample"] == [{"row": 0, "user": 7, "time_stamp": 1494000000, "adgroup_id": 3,
                                     "pid": "430548_1007", "nonclk": 1, "clk": 0}]
    assert [ad["brand"] for ad in tables["ad_feature"]] == [95471, None, None]
    assert [ad["price"] for ad in tables["ad_feature"]] == [0.01, 1e8, 170.0]
    assert tables["user_profile"][0]["pvalue_level"] == 2 and tables["user_profile"][0]["new_user_class_level"] is None
    assert tables["behavior_log"][0]["user"] == 7


def test_impression_ids_are_data_rows(tmp_path):
    logs = random_logs(3)
    tables = load(tmp_path, write_logs(tmp_path / "logs", logs, "\r\n"))
    assert [[row[name] for name in HEADERS["raw_sample.csv"]] for row in tables["raw_sample"]] == logs["raw_sample.csv"]
    assert [row["row"] for row in tables["raw_sample"]] == list(range(len(logs["raw_sample.csv"])))


@pytest.mark.parametrize(("file", "row", "column", "value", "message"), [
    ("raw_sample.csv", 4, 1, "soon", r"raw_sample\.csv, line 6, column time_stamp: expected an integer, got 'soon'"),
    ("ad_feature.csv", 2, 4, "acme", r"ad_feature\.csv, line 4, column brand: expected an integer, got 'acme'"),
    ("ad_feature.csv", 0, 5, "cheap", r"ad_feature\.csv, line 2, column price: expected a number, got 'cheap'"),
    ("user_profile.csv", 1, 8, "new",
     r"user_profile\.csv, line 3, column new_user_class_level: expected an integer, got 'new'"),
    ("behavior_log.csv", 9, 3, "", r"behavior_log\.csv, line 11, column cate: expected an integer, got ''"),
    ("raw_sample.csv", 3, 5, 2,
     r"raw_sample\.csv, line 5, column clk: expected 0 with nonclk 1 or 1 with nonclk 0, got '2'"),
    ("raw_sample.csv", 3, 4, 2,
     r"raw_sample\.csv, line 5, column clk: expected 0 with nonclk 1 or 1 with nonclk 0, got '[01]'"),
])
def test_refusals_name_file_line_column_and_value(tmp_path, file, row, column, value, message):
    logs = random_logs(1)
    logs[file][row] = [value if index == column else cell for index, cell in enumerate(logs[file][row])]
    input_dir = write_logs(tmp_path / "logs", logs)
    with pytest.raises(InputError, match=message):
        prepare(str(input_dir), str(tmp_path / "out"), TaobaoConfig(), PreparationConfig())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["logs", "out.rejects.csv"]


@pytest.mark.parametrize("file", HEADERS)
def test_missing_empty_and_foreign_files(tmp_path, file):
    input_dir = write_logs(tmp_path / "logs", random_logs(1))
    (input_dir / file).write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match=rf"{file}, line 1: wrong header: expected \['\w+', .*\], got \['a', 'b'\]"):
        reader.find_files(str(input_dir))
    (input_dir / file).write_text("")
    with pytest.raises(InputError, match=f"{file}: the file is empty"):
        reader.find_files(str(input_dir))
    (input_dir / file).unlink()
    with pytest.raises(InputError, match=f"{file}: no such file"):
        reader.find_files(str(input_dir))


@pytest.mark.shared_data
def test_the_heads_of_the_real_files_are_read_without_a_reject(tmp_path, shared_data):
    tables = load(tmp_path, shared_data / "taobao_ad_heads")
    assert {name: len(rows) for name, rows in tables.items()} == dict.fromkeys(reader.FORMATS, 20)
    assert tables["ad_feature"][0]["brand"] == 95471 and tables["user_profile"][0]["pvalue_level"] is None
