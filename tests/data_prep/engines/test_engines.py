"""What DuckDB does beyond evaluating expressions: order, partitions, and errors in one line."""

import os

import ibis
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_prep import engines
from data_prep.config import PreparationConfig
from data_prep.engines.engine import LINE
from data_prep.errors import InputError, OutputError


@pytest.fixture
def engine(tmp_path):
    (tmp_path / "scratch").mkdir()
    with engines.connect(PreparationConfig(memory_limit="500MB"), str(tmp_path / "scratch")) as opened:
        yield opened


def sql(engine, statement):
    """Runs a statement where the engine keeps its tables."""
    ibis.get_backend(engine.store("any", ibis.memtable(pa.table({"number": [1]})))).raw_sql(statement)


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_rows_are_numbered_in_the_order_of_the_file_with_several_threads(engine, tmp_path, line_end):
    sql(engine, "SET threads = 4")
    count = 700_000
    text = "header" + line_end + "".join(f"{number * 3}{line_end}" for number in range(count))
    (tmp_path / "long.csv").write_bytes(text.encode())
    table = engine.load_lines("long", str(tmp_path / "long.csv"), True, lambda lines: lines.select(
        number=lines[LINE].cast("int64")))
    found = table.agg(rows=table.count(), wrong=(table.number != table.row * 3).sum(),
                      distinct=table.row.nunique()).to_pyarrow().to_pylist()
    assert found == [{"rows": count, "wrong": 0, "distinct": count}]


def test_folders_above_a_file_are_no_columns(engine, tmp_path):
    (tmp_path / "line=5" / "row=1").mkdir(parents=True)
    path = tmp_path / "line=5" / "row=1" / "log.csv"
    path.write_text("a\nb\n")
    table = engine.load_lines("log", str(path), False, lambda lines: lines.select(lines[LINE].upper().name("text")))
    assert table.to_pyarrow().to_pylist() == [{"text": "A", "row": 0}, {"text": "B", "row": 1}]


def test_a_stored_table_is_evaluated_once(engine):
    table = engine.store("drawn", ibis.range(1_000).unnest().name("number").as_table().mutate(drawn=ibis.random()))
    assert table.drawn.sum().to_pyarrow() == table.drawn.sum().to_pyarrow()


def test_partitions_are_folders_of_parquet_files(engine, tmp_path):
    table = ibis.memtable(pa.table({"bucket": [0, 2, 2, 0], "value": [1, 2, 3, 4]}))
    engine.partition(engine.store("values", table), str(tmp_path / "it's partitioned"))
    found = {path.name: sorted(value for file in path.iterdir() for value in pq.ParquetFile(file).read()["value"]
                               .to_pylist()) for path in (tmp_path / "it's partitioned").iterdir()}
    assert found == {"bucket=0": [1, 4], "bucket=2": [2, 3]}


ODD_NAMES = ["a?b=1", "a[0.1]b", "a*b", "a\\b", "a\\?b[", "it's", 'a"b', "{a,b}", "~", "bucket=7"]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_names_that_mean_something_elsewhere(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name / "scratch").mkdir(parents=True)
    (tmp_path / name / name).write_text("1\n2\n")
    with engines.connect(PreparationConfig(memory_limit="500MB"), str(tmp_path / name / "scratch")) as engine:
        table = engine.load_lines("lines", os.path.join(name, name), False, lambda lines: lines.select(
            number=lines[LINE].cast("int64")))
        for _ in range(2):
            engine.partition(table.mutate(bucket=table.number), os.path.join(name, "out"))
    parts = {path.name: [pq.ParquetFile(file).read()["number"].to_pylist() for file in path.iterdir()]
             for path in (tmp_path / name / "out").iterdir()}
    assert parts == {"bucket=1": [[1]], "bucket=2": [[2]]}
    assert os.listdir(tmp_path) == [name]


def test_too_little_memory_is_named(tmp_path):
    with (pytest.raises(OutputError, match=r"memory_limit 20MB[^\n]*$"),
          engines.connect(PreparationConfig(memory_limit="20MB"), str(tmp_path)) as engine):
        sql(engine, "SET max_temp_directory_size = '1MB'")
        numbers = ibis.range(3_000_000).unnest().name("number").as_table()
        engine.store("much", numbers.agg(all_of_them=numbers.number.collect()))


@pytest.mark.parametrize("length", [3_000_000, 40_000_000])
def test_a_line_of_megabytes_is_refused(engine, tmp_path, length):
    (tmp_path / "binary.csv").write_bytes(b"1\n" + b"x" * length + b"\n2\n")
    with pytest.raises(InputError, match=r"binary\.csv: not a text file that can be read: [^\n]*$") as error:
        engine.load_lines("binary", str(tmp_path / "binary.csv"), False, lambda lines: lines)
    assert len(str(error.value)) < 500


def test_other_errors_pass(tmp_path):
    with pytest.raises(KeyError), engines.connect(PreparationConfig(), str(tmp_path)):
        raise KeyError("row")
