"""Ids of 64 bits: read exactly into records, and refused beyond that, in every integer column of every file."""

import csv
import gzip

import pytest

from data_prep import engines
from data_prep.config import PreparationConfig
from data_prep.errors import InputError
from data_prep.industrial import reader as industrial
from data_prep.industrial.config import IndustrialConfig
from data_prep.industrial.prepare import prepare
from data_prep.movielens import reader as movielens
from data_prep.reading.log_reader import LogReader
from data_prep.reading.rejects import Rejects
from data_prep.taobao import reader as taobao
from data_prep.userbehavior import reader as userbehavior
from tests import references_data
from tests.data_prep.industrial_logs import random_logs, write_logs

FORMATS = [*taobao.FORMATS.values(), movielens.RATINGS, userbehavior.LOG, industrial.IMPRESSIONS,
           industrial.VIDEO_IMPRESSIONS, industrial.EVENTS, industrial.USERS]
# A line that each format accepts, but for the cell that is put into it.
CELLS = {"integer": "1", "number": "1.5", "text": "pv"}
SMALL = PreparationConfig(short_length=3, lifelong_length=11, shards=2, memory_limit="500MB")
SNOWFLAKE = 1_382_971_839_281_293_825


def integer_columns(file_format):
    return [column.name for column in file_format.columns if column.kind == "integer"]


def test_every_integer_column_is_refused_beyond_64_bits(tmp_path):
    (tmp_path / "scratch").mkdir()
    with engines.connect(SMALL, str(tmp_path / "scratch")) as engine:
        logs = LogReader(engine, Rejects(str(tmp_path / "rejects.csv"), 1.0), str(tmp_path / "scratch"))
        for file_format in FORMATS:
            columns = file_format.columns
            lines = [[column.name for column in columns]] if file_format.header else []
            lines += [[str(2**63) if column.name == name else CELLS[column.kind] for column in columns]
                      for name in integer_columns(file_format)]
            path = tmp_path / file_format.file_names[0]
            path.write_text("".join(",".join(cells) + "\n" for cells in lines))
            logs.load(str(path), file_format, path.stem)
    with open(tmp_path / "rejects.csv", encoding="utf-8", newline="") as file:
        found = [(entry["file"], entry["line"], entry["reason"]) for entry in csv.DictReader(file)]
    assert found == [
        (file_format.file_names[0], str(number + file_format.header), f"column {name}: expected an integer of 64 bits "
         "(-9223372036854775808 to 9223372036854775807), got '9223372036854775808'")
        for file_format in FORMATS for number, name in enumerate(integer_columns(file_format), start=1)]


def renamed(cell):
    """Another id, of 64 bits; a missing one stays missing."""
    if str(cell) in ("", "NULL", "-1", "OOV"):
        return cell
    number = int(float(cell))
    return str((-1) ** number * SNOWFLAKE + number)


def test_ids_of_64_bits_are_those_of_the_records(tmp_path):
    columns = {"impressions.csv": (0, 2, 3), "events.csv": (0, 3), "users.csv": (0,)}
    logs = random_logs(1)
    small = {name: logs[name] for name in columns}
    for row in small["events.csv"][::7]:
        row[4] = "99999999999999999999"  # a category is a text
    large = {name: [[renamed(cell) if index in columns[name] else cell for index, cell in enumerate(row)]
                    for row in rows] for name, rows in small.items()}
    for place, spelling in enumerate(("+{}", "00{}", "{}.0", " {} ")):  # of one id in different lines
        for row in large["events.csv"][place::5]:
            row[0] = spelling.format(row[0]) if row[0][0] != "-" else row[0]
    found = []
    for name, files in (("small", small), ("large", large)):
        prepare(str(write_logs(tmp_path / name, files)), str(tmp_path / f"{name}_records"), IndustrialConfig(), SMALL)
        found.append({tuple(record["impression_id"]): record for split in ("train", "validation", "test")
                      for record in references_data.read_records(tmp_path / f"{name}_records", split)})
    assert found[0].keys() == found[1].keys() and len(found[0]) > 30
    for key, record in found[0].items():
        for name in ("user_id", "room_id", "author", *(name for name in record if name.endswith("_author"))):
            record[name] = [renamed(value) for value in record[name]]
        record["user_key"] = [int(renamed(record["user_key"][0]))]
        assert found[1][key] == record
    assert any("9" * 20 in record["lifelong_source_category"] for record in found[1].values())


def test_a_packed_file_with_an_id_beyond_64_bits(tmp_path):
    logs = random_logs(1)
    logs["events.csv"][7][3] = "-99999999999999999999"
    input_dir = write_logs(tmp_path / "logs", logs)
    packed = input_dir / "events.csv.gz"
    packed.write_bytes(gzip.compress((input_dir / "events.csv").read_bytes()))
    (input_dir / "events.csv").unlink()
    with pytest.raises(InputError, match=r"events\.csv\.gz, line 9, column author: expected an integer of 64 bits .*, "
                                         r"got '-99999999999999999999'"):
        prepare(str(input_dir), str(tmp_path / "out"), IndustrialConfig(), SMALL)
