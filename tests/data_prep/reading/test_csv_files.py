"""What a CSV file's cells, lines and header may look like, and which files are found."""

import csv

import pytest

from data_prep import engines
from data_prep.config import PreparationConfig
from data_prep.errors import InputError
from data_prep.reading import csv_files
from data_prep.reading.csv_files import Check, CsvColumn, CsvFormat
from data_prep.reading.log_reader import LogReader
from data_prep.reading.rejects import Rejects

FORMAT = CsvFormat(("a.csv",), (
    CsvColumn("user", "integer", ("nick",)), CsvColumn("kind", "text"), CsvColumn("price", "number"),
    CsvColumn("brand", "integer", optional=True)),
    (Check("price", lambda table: table.price > table.user, "at most the user"),))
HEADER = "user,kind,price,brand"


@pytest.fixture
def read(tmp_path):
    """Text of a file -> its rows without their numbers, and (line, reason) of each reject."""
    def read_text(text, name="log.csv", file_format=FORMAT):
        (tmp_path / name).write_bytes(text.encode() if isinstance(text, str) else text)
        (tmp_path / "scratch").mkdir()
        with engines.connect(PreparationConfig(memory_limit="500MB"), str(tmp_path / "scratch")) as engine:
            logs = LogReader(engine, Rejects(str(tmp_path / "rejects.csv"), 1.0), str(tmp_path / "scratch"))
            table = logs.load(str(tmp_path / name), file_format, "loaded").order_by("row").drop("row")
            rows = [tuple(row.values()) for row in table.to_pyarrow().to_pylist()]
        if not (tmp_path / "rejects.csv").exists():
            return rows, []
        with open(tmp_path / "rejects.csv", encoding="utf-8", newline="") as file:
            return rows, [(int(entry["line"]), entry["reason"]) for entry in csv.DictReader(file)]
    return read_text


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("header", [
    HEADER, "User, KIND ,price,brand ", "\ufeffnick,kind,price,brand", '"user",kind,price,"brand"'])
def test_headers_line_ends_and_spellings(read, line_end, last, header):
    lines = [header, "7,pv,0.5,95471.0", '"8"," a b ",-1e3,NULL', " 9,x\t,1, ", "+10,é,.5,", '011,"",1,""', "12,x,1,2"]
    rows, rejects = read(line_end.join(lines) + (line_end if last else ""), name="odd [name] *'.csv")
    assert rows == [(7, "pv", 0.5, 95471), (8, "a b", -1000.0, None), (9, "x", 1.0, None), (10, "é", 0.5, None),
                    (12, "x", 1.0, 2)]
    assert rejects == [(6, "column kind: expected a text, got ''")]


def test_line_ends_may_change_and_empty_lines_do_not_count(read):
    rows, rejects = read(f"{HEADER}\r\n\n1,a,1,\r\n\r\n\n2,b,1,\n3,c,cheap,\r\n\n4,d,1,\n\r\n5,e,,")
    assert [row[0] for row in rows] == [1, 2, 4]
    assert rejects == [(7, "column price: expected a number, got 'cheap'"),
                       (11, "column price: expected a number, got ''")]


def test_a_file_without_header(read):
    rows, _ = read("\ufeff7,pv,0.5,1\n8,pv,0.5,2\n", file_format=CsvFormat(("a.csv",), FORMAT.columns, header=False))
    assert [row[0] for row in rows] == [7, 8]


BEYOND = "expected an integer of 64 bits (-9223372036854775808 to 9223372036854775807)"
BAD_LINES = [
    ("x7,pv,1,2", "column user: expected an integer, got 'x7'"),
    ("7,pv,cheap,2", "column price: expected a number, got 'cheap'"),
    ("7,pv,1,2.5", "column brand: expected an integer, got '2.5'"),
    ("7,pv,1,acme", "column brand: expected an integer, got 'acme'"),
    (",pv,1,2", "column user: expected an integer, got ''"),
    ("NULL,pv,1,2", "column user: expected an integer, got 'NULL'"),
    ("7,,1,2", "column kind: expected a text, got ''"),
    ("7,pv,nan,2", "column price: expected a number, got 'nan'"),
    ("7,pv,1e400,2", "column price: expected a number, got '1e400'"),
    ("7,pv,1,1_000", "column brand: expected an integer, got '1_000'"),
    ("7,pv,1,0x10", "column brand: expected an integer, got '0x10'"),
    ("7,pv,1,+-1", "column brand: expected an integer, got '+-1'"),
    ("inf,pv,1,2", "column user: expected an integer, got 'inf'"),
    ("9223372036854775808,pv,1,2", f"column user: {BEYOND}, got '9223372036854775808'"),
    ("-9223372036854775809,pv,1,2", f"column user: {BEYOND}, got '-9223372036854775809'"),
    ("7,pv,1,99999999999999999999.0", f"column brand: {BEYOND}, got '99999999999999999999.0'"),
    ("9007199254740993e0,pv,1,2", "column user: expected an integer, got '9007199254740993e0'"),
    ("7,pv,1,1.0.0", "column brand: expected an integer, got '1.0.0'"),
    ("7,pv,7.5,2", "column price: expected at most the user, got '7.5'"),
    ("7,pv,1", "expected 4 cells, got 3: '7,pv,1'"),
    ("7,pv,1,2,3", "expected 4 cells, got 5: '7,pv,1,2,3'"),
    ('7,"p,v",1,2', "expected 4 cells, got 5: '7,\"p,v\",1,2'"),
    ("7", "expected 4 cells, got 1: '7'"),
    (" ", "expected 4 cells, got 1: ' '"),
    ("7," + "p" * 300 + ",1", f"expected 4 cells, got 3: '7,{'p' * 198}' ..."),
    (b"7,p\xffv,1,2", "column kind: expected a text, got 'p\N{REPLACEMENT CHARACTER}v'"),
    (b"7,pv,1,2\xe2", "column brand: expected an integer, got '2\N{REPLACEMENT CHARACTER}'"),
    (b"7,pv,1,2\0", "column brand: expected an integer, got '2\N{REPLACEMENT CHARACTER}'"),
    (b"7,pv,1,2\x01,3", "expected 4 cells, got 5: '7,pv,1,2\N{REPLACEMENT CHARACTER},3'"),
    (b"\x02", "expected 4 cells, got 1: '\N{REPLACEMENT CHARACTER}'"),
]


def test_a_line_that_cannot_be_read_is_rejected_alone(read):
    lines = [HEADER.encode()]
    for number, (line, _) in enumerate(BAD_LINES):
        lines += [line if isinstance(line, bytes) else line.encode(), b"%d,pv,0,1" % number]
    rows, rejects = read(b"\n".join(lines))
    assert [row[0] for row in rows] == list(range(len(BAD_LINES)))
    assert rejects == [(2 + 2 * number, reason) for number, (_, reason) in enumerate(BAD_LINES)]


@pytest.mark.parametrize(("line", "reason"), BAD_LINES[-5:])
def test_a_last_line_that_cannot_be_read(read, line, reason):
    assert read(f"{HEADER}\n1,pv,1,1\n".encode() + line) == ([(1, "pv", 1.0, 1)], [(3, reason)])


INTEGERS = {
    "9007199254740993": 2**53 + 1, "1382971839281293825": 1382971839281293825, "9223372036854775807": 2**63 - 1,
    "-9223372036854775808": -2**63, "-7": -7, "+7": 7, "007": 7, "-0": 0, "1382971839281293825.00": 1382971839281293825,
    "7.": 7, " 7\t": 7, '" 7 "': 7, "15e2": 1500, "1.5E3": 1500}


def test_integers_of_64_bits_are_read_exactly(read):
    rows, rejects = read("\n".join([HEADER, *(f"{cell},pv,-1e300,{cell}" for cell in INTEGERS)]))
    assert not rejects and [(row[0], row[3]) for row in rows] == [(value, value) for value in INTEGERS.values()]
    assert [csv_files.integer(cell.strip('"')) for cell in list(INTEGERS)[:-2]] == list(INTEGERS.values())[:-2]


@pytest.mark.parametrize("cell", [
    "", "x", "1_000", "+-1", "9223372036854775808", "-9223372036854775809", "1.5", "\u0661"])
def test_what_is_no_integer_of_64_bits(cell):
    assert csv_files.integer(cell) is None


def test_an_open_quote_spoils_one_line(read):
    rows, rejects = read(f'{HEADER}\n7,"pv,1,2\n' + "8,pv,1,2\n" * 5_000 + '9,pv",1\n')
    assert len(rows) == 5_001 and rows[0] == (7, "pv", 1.0, 2)
    assert rejects == [(5_003, "expected 4 cells, got 3: '9,pv\",1'")]


@pytest.mark.parametrize("header", [
    "user,kind,price", "user,kind,price,brand,extra", "kind,user,price,brand", "1,pv,0.5,7", " "])
def test_a_wrong_header_is_shown_beside_the_expected_one(tmp_path, header):
    (tmp_path / "a.csv").write_text(header + "\n1,pv,1,1\n")
    with pytest.raises(InputError, match=r"a\.csv, line 1: wrong header") as error:
        FORMAT.find(str(tmp_path))
    assert str(["user", "kind", "price", "brand"]) in str(error.value)
    assert str([cell.strip() for cell in header.split(",")]) in str(error.value)


def test_files_are_found_by_their_names(tmp_path):
    def found(*names):
        return csv_files.find_file(str(tmp_path), names)

    with pytest.raises(InputError, match=r"a.csv: no such file \(nor b.csv, a.csv.gz, a.csv.tar.gz\)$"):
        found("a.csv", "b.csv")
    for name in ("a.csv.tar.gz", "b.csv.gz", "b.csv"):  # a later one comes first
        (tmp_path / name).write_bytes(b"user")
        assert found("a.csv", "b.csv") == str(tmp_path / name)
    (tmp_path / "b.csv").write_bytes(b"")
    with pytest.raises(InputError, match="b.csv: the file is empty$"):
        found("a.csv", "b.csv")
    (tmp_path / "c.csv").mkdir()
    with pytest.raises(InputError, match="c.csv: expected a file, got a directory$"):
        found("c.csv")
    with pytest.raises(InputError, match="input_dir .*nowhere is not a directory$"):
        csv_files.find_file(str(tmp_path / "nowhere"), ("a.csv",))
