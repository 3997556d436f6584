"""Strict CSV reading: kinds, line ends, row order, and refusals that name file, line, column and value."""

import ibis
import pytest

from data_prep import csv_files
from data_prep.csv_files import CsvColumn
from data_prep.errors import InputError

COLUMNS = (CsvColumn("user", "integer", ("nick",)), CsvColumn("kind", "text"), CsvColumn("price", "number"),
           CsvColumn("brand", "integer", optional=True))
HEADER = "user,kind,price,brand"


@pytest.fixture
def connection():
    backend = ibis.duckdb.connect()
    yield backend
    backend.disconnect()


def load(connection, path, text):
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return csv_files.load(connection, str(path), COLUMNS, "loaded").order_by("row").to_pyarrow().to_pylist()


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("last", ["", "end"])
@pytest.mark.parametrize("header", [
    HEADER, "User, KIND ,price,brand ", "\ufeffnick,kind,price,brand", '"user",kind,price,brand'])
def test_cells_are_read_as_their_kinds(connection, tmp_path, line_end, last, header):
    lines = [header, "7,pv,0.5,95471.0", '8,"a,b",-1e3,NULL', "9,x,1,"]
    rows = load(connection, tmp_path / "odd [name] *'.csv", line_end.join(lines) + (line_end if last else ""))
    assert rows == [{"row": 0, "user": 7, "kind": "pv", "price": 0.5, "brand": 95471},
                    {"row": 1, "user": 8, "kind": "a,b", "price": -1000.0, "brand": None},
                    {"row": 2, "user": 9, "kind": "x", "price": 1.0, "brand": None}]


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_rows_are_numbered_in_the_order_of_the_file_with_several_threads(connection, tmp_path, line_end):
    connection.raw_sql("SET threads = 4")
    count = 700_000
    text = HEADER + line_end + "".join(f"{number * 3},pv,1,{number % 11}{line_end}" for number in range(count))
    (tmp_path / "long.csv").write_bytes(text.encode())
    table = csv_files.load(connection, str(tmp_path / "long.csv"), COLUMNS, "loaded")
    found = table.agg(rows=table.count(), wrong=(table.user != table.row * 3).sum(),
                      distinct=table.row.nunique()).to_pyarrow().to_pylist()
    assert found == [{"rows": count, "wrong": 0, "distinct": count}]


def test_an_open_quote_does_not_print_the_rest_of_the_file(connection, tmp_path):
    text = f'{HEADER}\n7,"pv,1,2\n' + "8,pv,1,2\n" * 5_000
    with pytest.raises(InputError, match=r"bad\.csv, line 2: .*quote") as refused:
        load(connection, tmp_path / "bad.csv", text)
    assert len(str(refused.value)) < 500 and "\n" not in str(refused.value)


def test_line_ends_that_change_within_a_file_are_refused_by_name(connection, tmp_path):
    with pytest.raises(InputError, match=r"mixed\.csv: not a CSV file that can be read: [^\n]*$"):
        load(connection, tmp_path / "mixed.csv", f"{HEADER}\n" + "7,pv,1,2\n" * 3 + "8,pv,1,2\r\n" + "9,pv,1,2\n" * 3)


def test_a_directory_in_place_of_a_file_is_refused(tmp_path):
    (tmp_path / "a.csv").mkdir()
    with pytest.raises(InputError, match=r"a\.csv: expected a file, got a directory"):
        csv_files.find_file(str(tmp_path), ("a.csv",))


@pytest.mark.parametrize(("line", "message"), [
    ("x7,pv,1,2", r"line 4, column user: expected an integer, got 'x7'"),
    ("7,pv,cheap,2", r"line 4, column price: expected a number, got 'cheap'"),
    ("7,pv,1,2.5", r"line 4, column brand: expected an integer, got '2.5'"),
    ("7,pv,1,acme", r"line 4, column brand: expected an integer, got 'acme'"),
    (",pv,1,2", r"line 4, column user: expected an integer, got ''"),
    ("NULL,pv,1,2", r"line 4, column user: expected an integer, got 'NULL'"),
    ("7,,1,2", r"line 4, column kind: expected a text, got ''"),
    ("7,pv,nan,2", r"line 4, column price: expected a number, got 'nan'"),
    ("inf,pv,1,2", r"line 4, column user: expected an integer, got 'inf'"),
    ("99999999999999999999,pv,1,2", r"line 4, column user: expected an integer, got '99999999999999999999'"),
    ("7,pv,1", r"line 4: expected 4 cells, got 3: '7,pv,1'"),
    ("7,pv,1,2,3", r"line 4: expected 4 cells, got 5: '7,pv,1,2,3'"),
])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_refusals_name_line_column_and_value(connection, tmp_path, line, message, line_end):
    with pytest.raises(InputError, match=rf"bad\.csv, {message}$"):
        load(connection, tmp_path / "bad.csv", line_end.join([HEADER, "1,pv,1,1", "2,pv,2,2", line, "3,pv,3,3", ""]))


@pytest.mark.parametrize(("cell", "wanted"), [("x", "an integer, got 'x'"), ("0.5", "an integer, got '0.5'")])
def test_the_line_is_right_far_into_a_file_read_by_several_threads(connection, tmp_path, cell, wanted):
    connection.raw_sql("SET threads = 4")
    lines = [f"{number},a text of some length,1.5,NULL" for number in range(400_000)]
    lines[333_333] = f"{cell},pv,1,1"
    with pytest.raises(InputError, match=rf"bad\.csv, line 333335, column user: expected {wanted}$"):
        load(connection, tmp_path / "bad.csv", "\r\n".join([HEADER, *lines]))


def test_text_that_is_not_utf8_is_refused(connection, tmp_path):
    with pytest.raises(InputError, match=r"bad\.csv, line 3"):
        load(connection, tmp_path / "bad.csv", HEADER.encode() + b"\n1,pv,1,1\n2,\xff\xfe,2,2\n")


@pytest.mark.parametrize("header", [
    "user,kind,price", "user,kind,price,brand,extra", "kind,user,price,brand", "1,pv,0.5,7"])
def test_a_wrong_header_is_shown_beside_the_expected_one(connection, tmp_path, header):
    with pytest.raises(InputError, match=r"bad\.csv, line 1: wrong header") as error:
        load(connection, tmp_path / "bad.csv", header + "\n1,pv,1,1\n")
    assert str(["user", "kind", "price", "brand"]) in str(error.value)
    assert str(header.split(",")) in str(error.value)


def test_a_header_without_rows_is_refused(connection, tmp_path):
    with pytest.raises(InputError, match=r"bad\.csv: the file has a header but no rows"):
        load(connection, tmp_path / "bad.csv", HEADER + "\n")


def test_files_are_found_by_their_names(tmp_path):
    (tmp_path / "second.csv").write_text("a\n")
    assert csv_files.find_file(str(tmp_path), ("first.csv", "second.csv")) == str(tmp_path / "second.csv")
    with pytest.raises(InputError, match=r"absent.csv: no such file \(nor other.csv\)"):
        csv_files.find_file(str(tmp_path), ("absent.csv", "other.csv"))
    with pytest.raises(InputError, match="input_dir .*nowhere is not a directory"):
        csv_files.find_file(str(tmp_path / "nowhere"), ("first.csv",))
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(InputError, match="empty.csv: the file is empty"):
        csv_files.find_file(str(tmp_path), ("empty.csv",))
