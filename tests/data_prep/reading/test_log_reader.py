"""Reading with an account: rejects below and above the share, row numbers, fingerprints, packed files."""

import csv
import gzip
import hashlib
import io
import tarfile

import ibis
import pyarrow as pa
import pytest

from data_prep import engines
from data_prep.config import PreparationConfig
from data_prep.errors import InputError
from data_prep.reading import log_reader
from data_prep.reading.accounting import REASON, RowCounts
from data_prep.reading.csv_files import CsvColumn, CsvFormat
from data_prep.reading.log_reader import LogReader
from data_prep.reading.rejects import Rejects

FORMAT = CsvFormat(("log.csv",), (CsvColumn("user", "integer"), CsvColumn("kind", "text")))


@pytest.fixture
def engine(tmp_path):
    (tmp_path / "scratch").mkdir()
    with engines.connect(PreparationConfig(memory_limit="500MB"), str(tmp_path / "scratch")) as opened:
        yield opened


def reader(engine, tmp_path, max_share=0.0):
    return LogReader(engine, Rejects(str(tmp_path / "rejects.csv"), max_share), str(tmp_path / "scratch"))


def write(path, lines, line_end="\n"):
    path.write_bytes("".join(line + line_end for line in ("user,kind", *lines)).encode())
    return str(path)


def rejects_of(tmp_path):
    with open(tmp_path / "rejects.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_rejects_are_listed_and_counted(engine, tmp_path):
    lines = ["1,a", "two,b", "3,c", "", "4", "5,e", '6,"""f"""', "7,g", "8,h", "9,i"]
    path = write(tmp_path / "log.csv", lines, "\r\n")
    logs = reader(engine, tmp_path, max_share=2 / 9)
    table = logs.load(path, FORMAT, "log")
    assert table.columns == ("user", "kind", "row")
    assert table.order_by("row").select("row", "user").to_pyarrow().to_pydict() == {
        "row": [0, 2, 4, 5, 6, 7, 8], "user": [1, 3, 5, 6, 7, 8, 9]}
    assert rejects_of(tmp_path) == [
        {"file": "log.csv", "line": "3", "reason": "column user: expected an integer, got 'two'", "text": "two,b"},
        {"file": "log.csv", "line": "6", "reason": "expected 2 cells, got 1: '4'", "text": "4"}]
    counts = logs.count(path, table.mutate((table.user > 7).ifelse("late", ibis.null("string")).name(REASON)))
    assert counts == RowCounts("log.csv", 5, {"late": 2, log_reader.UNREADABLE: 2}) and counts.read == 9


def test_files_share_a_list_of_rejects(engine, tmp_path):
    logs = reader(engine, tmp_path, max_share=0.5)
    for name in ("b.csv", "a.csv"):
        logs.load(write(tmp_path / name, ["1,a", f"x,{name}"]), FORMAT, name)
    assert [(entry["file"], entry["line"]) for entry in rejects_of(tmp_path)] == [("b.csv", "3"), ("a.csv", "3")]


@pytest.mark.parametrize(("bad", "share", "others", "expected"), [
    (1, 0.0, "", "1 of 5 lines cannot be read, more than max_reject_share=0 allows"),
    (3, 0.4, r" \(and 2 other lines\)", "3 of 5 lines cannot be read, more than max_reject_share=0.4 allows")])
def test_too_many_rejects_stop_the_run_at_the_first(engine, tmp_path, bad, share, others, expected):
    path = write(tmp_path / "log.csv", ["1,a", "2,b", *["x,c"] * bad, *["3,d"] * (3 - bad)])
    with pytest.raises(InputError, match=rf"log\.csv, line 4, column user: expected an integer, got 'x'{others}: "
                                         rf"{expected}; see .*rejects\.csv$"):
        reader(engine, tmp_path, share).load(path, FORMAT, "log")
    assert [entry["line"] for entry in rejects_of(tmp_path)] == [str(4 + number) for number in range(bad)]


def test_a_refused_file_lists_its_first_rejects_only(engine, tmp_path):
    with pytest.raises(InputError, match=r"line 2, .* \(and 4,999 other lines\): 5,000 of 5,000 lines"):
        reader(engine, tmp_path).load(write(tmp_path / "log.csv", ["x,a"] * 5_000), FORMAT, "log")
    assert len(rejects_of(tmp_path)) == 1_000


def test_a_new_list_replaces_that_of_an_earlier_run(tmp_path):
    (tmp_path / "rejects.csv").write_text("old")
    rejects = Rejects(str(tmp_path / "rejects.csv"), 0.0)
    assert not (tmp_path / "rejects.csv").exists()
    rejects.move_to(str(tmp_path / "absent"))  # nothing to move


@pytest.mark.parametrize(("line", "reason"), [
    ("x,a", "column user: expected an integer, got 'x'"), ("7", "expected 2 cells, got 1: '7'")])
def test_the_line_is_right_far_into_a_file_read_by_several_threads(engine, tmp_path, line, reason):
    ibis.get_backend(engine.store("any", ibis.memtable(pa.table({"x": [1]})))).raw_sql("SET threads = 4")
    lines = [f"{number},a text of some length" for number in range(400_000)]
    lines[333_333] = line
    lines[5] = ""
    with pytest.raises(InputError, match=f"log.csv, line 333335, {reason}: 1 of 399,999 lines"):
        reader(engine, tmp_path).load(write(tmp_path / "log.csv", lines, "\r\n"), FORMAT, "log")


@pytest.mark.parametrize("header", [True, False])
def test_a_file_without_rows_is_refused(engine, tmp_path, header):
    (tmp_path / "log.csv").write_bytes(b"user,kind\r\n\r\n" if header else b"\n\n")
    file_format = CsvFormat(("log.csv",), FORMAT.columns, header=header)
    expected = "a header but no rows" if header else "no rows"
    with pytest.raises(InputError, match=f"log.csv: the file has {expected}$"):
        reader(engine, tmp_path).load(str(tmp_path / "log.csv"), file_format, "log")


@pytest.mark.parametrize("suffix", ["", ".gz", ".tar.gz"])
def test_packed_files_are_read_like_plain_ones(engine, tmp_path, suffix):
    content = b"user,kind\r\n7,a\r\n8,\xff\r\n9,c\r\n"
    path = tmp_path / f"log.csv{suffix}"
    if suffix == ".tar.gz":
        with tarfile.open(path, "w:gz") as archive:
            member = tarfile.TarInfo("folder/log.csv")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    else:
        path.write_bytes(gzip.compress(content) if suffix else content)
    logs = reader(engine, tmp_path, max_share=0.5)
    assert logs.load(str(path), FORMAT, "log").order_by("row").user.to_pyarrow().to_pylist() == [7, 9]
    assert logs.fingerprints == {path.name: hashlib.sha256(content).hexdigest()}
    assert rejects_of(tmp_path) == [{
        "file": path.name, "line": "3", "reason": "column kind: expected a text, got '\N{REPLACEMENT CHARACTER}'",
        "text": "8,\N{REPLACEMENT CHARACTER}"}]


def test_characters_across_the_chunks_of_reading_are_text(engine, tmp_path, monkeypatch):
    monkeypatch.setattr(log_reader, "_CHUNK_BYTES", 13)
    path = write(tmp_path / "log.csv", [f"{number},é😀{'x' * number}" for number in range(20)])
    logs = reader(engine, tmp_path)
    assert logs.load(path, FORMAT, "log").count().to_pyarrow().as_py() == 20
    assert logs.plain(path) == path


def test_files_that_change_are_named(tmp_path):
    path = tmp_path / "log.csv"
    path.write_bytes(b"some bytes")
    before = log_reader.file_states([str(path)])
    log_reader.check_unchanged(before)
    path.write_bytes(b"some")
    with pytest.raises(InputError, match=r"log\.csv: the file changed while it was read \(10 bytes before, 4 now\)$"):
        log_reader.check_unchanged(before)
    path.unlink()
    with pytest.raises(InputError, match=r"log\.csv: the file changed while it was read \(10 bytes before, 0 now\)$"):
        log_reader.check_unchanged(before)
