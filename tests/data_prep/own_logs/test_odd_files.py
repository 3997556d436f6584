"""Files as they come: quotes that nobody closes, names that are patterns, files of other kinds, files without rows."""

import gzip
import re

import pyarrow as pa
import pyarrow.csv as pcsv
import pyarrow.parquet as pq
import pytest

from data_prep.errors import InputError
from data_prep.own_logs.log_files import FileNotes, TextFormat, batches, column_types, find_files, skipped_files
from data_prep.reading.counted_lines import CountedLines
from tests import references_data
from tests.data_prep.own_logs.mappings import prepared
from tests.data_prep.own_logs.small_events import EVENTS_ONLY, random_events, write_events

USERS = EVENTS_ONLY.replace('user = { user_id = "user" }', 'user = { user_id = "user", city = "city" }').replace(
    "[features]", '[users]\nfiles = "users.csv"\nkey = "id"\n[features]')
ITEMS = EVENTS_ONLY.replace('item = { author = "author" }', 'item = { author = "author", genre = "genre" }').replace(
    "[features]", '[items]\nfiles = "items.csv"\nkey = "author"\n[features]')


def facts_of(tmp_path, logs, mapping=EVENTS_ONLY):
    return references_data.read_preparation(prepared(logs, mapping))


@pytest.mark.parametrize("packed", [False, True])
def test_quotes_that_nobody_closes_are_warned_of(tmp_path, packed):
    rows = [(*row[:3], '"a1' if place in (10, 60) else row[3], *row[4:]) for place, row in enumerate(random_events(1))]
    logs, text = write_events(tmp_path / "logs", rows), EVENTS_ONLY
    if packed:
        (logs / "events.csv.gz").write_bytes(gzip.compress((logs / "events.csv").read_bytes()))
        text = EVENTS_ONLY.replace("events.csv", "events.csv.gz")
    facts = facts_of(tmp_path, logs, text)
    assert facts["rows"]["events"]["read"] == 550
    warning, = facts["warnings"]
    assert "600 lines make 550 rows" in warning and warning.endswith('say events.quote = ""')
    facts = references_data.read_preparation(prepared(logs, text.replace('",', '", quote = "",', 1), "unquoted"))
    assert facts["rows"]["events"]["read"] == 600 and not facts["warnings"]


def test_line_ends_between_quotes_are_read_and_blank_lines_are_none(tmp_path):
    rows = [(*row[:3], '"a\n1"' if place == 10 else row[3], f"{row[4]}\n" if place % 9 == 0 else row[4])
            for place, row in enumerate(random_events(1))]
    facts = facts_of(tmp_path, write_events(tmp_path / "logs", rows))
    assert facts["rows"]["events"]["read"] == 600
    assert facts["warnings"] == ['events.csv: 601 lines make 600 rows: cells between quotes hold line ends; where '
                                 'quotes mean nothing, say events.quote = ""']


@pytest.mark.parametrize("content, lines", [
    (b"", 0), (b"a", 1), (b"a\n", 1), (b"\n\r\na\r\rb\r\n\nc", 3), (b"\r\n\r\n", 0), (b"ab\ncd\n" * 50, 100)])
@pytest.mark.parametrize("size", [-1, 1, 3, 1_000])
def test_lines_are_counted_whatever_is_read_at_once(tmp_path, content, lines, size):
    (tmp_path / "log.csv.gz").write_bytes(gzip.compress(content))
    stream = CountedLines(str(tmp_path / "log.csv.gz"))
    found = b"".join(iter(lambda: stream.read(size), b""))
    assert stream.lines == lines and found[:len(content)] == content


def test_files_of_other_kinds_are_named(tmp_path):
    folder = write_events(tmp_path / "logs" / "evs", random_events(1), name="a.csv")
    for name in ("b.CSV", "c.csv.bz2", "part-00001", "_SUCCESS", ".a.csv.crc"):
        (folder / name).write_text("x")
    (folder / "_temporary").mkdir()
    (folder / "_temporary" / "d.CSV").write_text("x")
    facts = facts_of(tmp_path, tmp_path / "logs", EVENTS_ONLY.replace("events.csv", "evs"))
    assert facts["warnings"] == ["events.files: not read, by their names: evs/b.CSV, evs/c.csv.bz2, evs/part-00001 "
                                 "(files are .parquet, .csv, .csv.gz, .tsv, .tsv.gz)"]
    assert skipped_files(["evs/*"], str(tmp_path / "logs")) == ["evs/b.CSV", "evs/c.csv.bz2", "evs/part-00001"]
    assert not skipped_files(["evs/a.csv", "evs/*.csv"], str(tmp_path / "logs"))


@pytest.mark.parametrize("name", ["d[1]/*.csv", "d[1]/e[2]/f*/*.csv", "d[1]", "d[1]/e[2]/**/*.csv"])
def test_a_folder_whose_name_looks_like_a_pattern(tmp_path, name):
    for folder in ("d[1]", "d1", "d[1]/e[2]/f1", "d1/e2/f1"):
        write_events(tmp_path / folder, [])
    found = [file.name for file in find_files([name], str(tmp_path), "files")]
    assert found and all(file.startswith("d[1]/") for file in found)
    assert found == [file.name for file in find_files([str(tmp_path / name)], str(tmp_path), "files")]
    with pytest.raises(InputError, match=r"files: no file of .* for 'd\[2\]/\*.csv' in "):
        find_files(["d[2]/*.csv"], str(tmp_path), "files")


@pytest.mark.parametrize("parquet", [False, True])
def test_a_column_of_the_file_is_not_the_folders(tmp_path, parquet):
    folder = write_events(tmp_path / "logs" / "e" / "user=u9" / "dt=3", random_events(1))
    if parquet:
        table = pcsv.read_csv(folder / "events.csv")
        (folder / "events.csv").unlink()
        pq.write_table(table, folder / "events.parquet")
    file, = find_files(["e"], str(tmp_path / "logs"), "files")
    types = column_types(file, TextFormat())
    assert list(types) == ["user", "at", "kind", "author", "seconds", "dt"]
    batch = next(batches(file, TextFormat(), ["user", "dt"], FileNotes()))
    assert set(batch["dt"].to_pylist()) == {"3"} and len(set(batch["user"].to_pylist())) > 3


@pytest.mark.parametrize("text, name, header", [(USERS, "users", "id,city"), (ITEMS, "items", "author,genre")])
@pytest.mark.parametrize("line_end", ["\n", "", "\r\n\r\n"])
def test_users_and_items_may_be_none(tmp_path, text, name, header, line_end):
    logs = write_events(tmp_path / "logs", random_events(1))
    (logs / f"{name}.csv").write_bytes((header + line_end).encode())
    facts = facts_of(tmp_path, logs, text)
    assert facts["rows"][name]["read"] == 0
    assert any(warning.startswith(f"{name}: 100% of the ") and warning.endswith("; it is empty")
               for warning in facts["warnings"])


def test_a_parquet_of_no_users_and_events_that_are_none(tmp_path):
    logs = write_events(tmp_path / "logs", random_events(1))
    pq.write_table(pa.table({"id": pa.array([], pa.string()), "city": pa.array([], pa.int64())}), logs / "u.parquet")
    assert facts_of(tmp_path, logs, USERS.replace("users.csv", "u.parquet"))["rows"]["users"]["read"] == 0
    (logs / "events.csv").write_text("user,at,kind,author,seconds")
    with pytest.raises(InputError, match="events: the files have no rows: .*events.csv"):
        prepared(logs, EVENTS_ONLY, "none")


@pytest.mark.parametrize("text, name, lines, warning", [
    (USERS, "users", ["id,city", "u1,x", *(f"U{user},y" for user in range(9))], r"users: 89% of the users of "
     r"impressions \(8 of 9\) have no row in it, such as 'u0'; the column id has values such as 'U0'"),
    (ITEMS, "items", ["author,genre", "a1,x", *(f"a{item:03},y" for item in range(30))], r"items: \d\d% of the rows "
     r"of users of impressions \(\d\d\d of 600\) have no row in it, such as 'a0'; the column author has values such "
     r"as 'a000'")])
def test_rows_that_find_no_user_or_item_are_warned_of(tmp_path, text, name, lines, warning):
    logs = write_events(tmp_path / "logs", random_events(1))
    (logs / f"{name}.csv").write_text("\n".join(lines))
    found, = facts_of(tmp_path, logs, text)["warnings"]
    assert re.fullmatch(warning, found)
