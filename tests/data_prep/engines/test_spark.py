"""Spark gives what DuckDB gives, byte for byte: tables of odd lines, and whole preparations."""

import dataclasses
import shutil

import pytest

from data_prep import engines
from data_prep.config import PreparationConfig
from data_prep.errors import OutputError
from data_prep.industrial.config import IndustrialConfig
from data_prep.industrial.prepare import prepare as prepare_industrial
from data_prep.movielens.config import MovieLensConfig
from data_prep.movielens.prepare import prepare as prepare_movielens
from data_prep.reading.csv_files import CsvColumn, CsvFormat
from data_prep.reading.log_reader import LogReader
from data_prep.reading.rejects import Rejects
from data_prep.taobao.config import TaobaoConfig
from data_prep.taobao.prepare import prepare as prepare_taobao
from tests import references_data
from tests.data_prep import industrial_logs, movielens_files
from tests.data_prep.taobao_logs import random_logs, second, write_logs

pytest.importorskip("pyspark", reason="PySpark is not installed (extra 'spark')")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("java") is None, reason="Spark needs Java, and there is none"),
    # Of PySpark 4 with pandas 3, and of its connection to Java:
    pytest.mark.filterwarnings("ignore:The copy keyword is deprecated", "ignore:unclosed <socket:ResourceWarning",
                               "ignore:The 'future.infer_string' option is deprecated")]

DUCKDB = PreparationConfig(short_length=3, lifelong_length=11, shards=2, memory_limit="1GB")
SPARK = dataclasses.replace(DUCKDB, engine="spark", spark_master="local[2]")


def contents(folder):
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    facts = references_data.read_preparation(folder)
    del files["preparation.json"]
    for name in ("engine", "spark_master"):
        del facts["settings"][name]
    return files, facts


def assert_equal(prepare, input_dir, tmp_path, config, **settings):
    found = []
    for preparation in (DUCKDB, SPARK):
        output_dir = tmp_path / f"{preparation.engine} [1]?\\b"
        prepare(str(input_dir), str(output_dir), config, dataclasses.replace(preparation, **settings))
        found.append(contents(output_dir))
    assert found[0] == found[1]
    return found[0][0]


def test_taobao(tmp_path):
    logs = random_logs(1)
    logs["behavior_log.csv"].insert(100, [1, "soon", "pv", 3, 4])
    logs["behavior_log.csv"].insert(200, [""])
    logs["raw_sample.csv"].insert(7, [1, second(6), 1, "430548_1007", 1, 1])
    input_dir = write_logs(tmp_path / "logs", logs, "\r\n")
    files = assert_equal(prepare_taobao, input_dir, tmp_path, TaobaoConfig(), snapshot="user", max_candidates=5,
                         deduplicate=True, min_count=2, max_reject_share=0.01)
    assert files["rejects.csv"].count(b"\n") == 3 and "vocabularies/brand.txt" in files


def test_movielens(tmp_path):
    ratings = movielens_files.popular_ratings(3)
    input_dir = movielens_files.write_files(tmp_path / "ml", [*ratings, *ratings[:5]],
                                            movies=movielens_files.MANY_MOVIES)
    config = MovieLensConfig(negatives_per_positive=3, negatives_seed=5, favourite_stars=3.5, **movielens_files.DATES)
    assert_equal(prepare_movielens, input_dir, tmp_path, config, deduplicate=True, vocabulary="hashed", hash_bins=101,
                 history_gap_seconds=3_600, exclude_recent=True)


def test_industrial(tmp_path):
    input_dir = industrial_logs.write_logs(tmp_path / "logs", industrial_logs.random_logs(3))
    assert_equal(prepare_industrial, input_dir, tmp_path, IndustrialConfig(long_stay_seconds=30), snapshot="day")


def test_industrial_with_columns_and_texts_that_logs_may_have(tmp_path):
    logs, headers = industrial_logs.with_further(industrial_logs.random_logs(3))
    input_dir = industrial_logs.write_logs(tmp_path / "logs", logs, headers=headers)
    files = assert_equal(prepare_industrial, input_dir, tmp_path, IndustrialConfig(), min_count=3)
    assert {"vectors/author.npy", "vocabularies/scenario.txt", "vocabularies/feedback.txt"} <= set(files)


def test_odd_lines_of_a_file_in_many_parts(tmp_path):
    cells = ["1", "+1", " 1", "\t1", "1.", ".5", "1e3", "1E+3", "1e-3", "1e400", "1e-400", "0x10", "0x1p3", "1_000",
             "1d", "1f", "1L", "+-1", "--1", "1 2", "nan", "inf", "Infinity", "true", "-0", "00012", "9007199254740991",
             "9007199254740993", "9223372036854775807", "-9223372036854775808", "9223372036854775808", "7.00", "-7.",
             "5e-324", "1.7976931348623159e308", "\u0661", "1\u2003", "\x0b1", "\x1c1", "1\x00",
             "", "NULL", "null", '"1"', '""', '"', "a", '"a b"', "é", "\U0001F600", "\x01", "\x02", "\u2028", "\x85",
             "\\N", "'"]
    lines = [f"{number},{pair},{other}" for number in range(5) for cell in cells for pair in (f"{cell},", f",{cell}")
             for other in ("7", "", "x")]
    text = "\r\n".join([*lines, "", " ", "3", "a\rb,,,", "1,1,1,1,1", "\r"]) + "\n\n5,5"
    path = tmp_path / "odd [name] *' #%20.csv"
    path.write_bytes(b"user,number,count,brand\r\n" + text.encode() + b"\n6,\xff,1,1\n7,7,7,7\xe2")
    file_format = CsvFormat(("a.csv",), (
        CsvColumn("user", "integer"), CsvColumn("number", "number", optional=True),
        CsvColumn("count", "integer", optional=True), CsvColumn("brand", "text")))
    found = []
    for preparation in (DUCKDB, SPARK):
        scratch = tmp_path / preparation.engine
        scratch.mkdir()
        with engines.connect(preparation, str(scratch)) as engine:
            if preparation is SPARK:
                engine._session.conf.set("spark.sql.files.maxPartitionBytes", "1000")
            table = LogReader(engine, Rejects(str(scratch / "rejects.csv"), 1.0), str(scratch)).load(
                str(path), file_format, "odd")
            table = table.mutate(count=table["count"].cast("string"))  # ibis reads Spark's nulls beside floats
            rows = table.order_by("row").select("row", "user", "number", "count", "brand").to_pyarrow().to_pylist()
        found.append((rows, (scratch / "rejects.csv").read_bytes()))
    assert repr(found[0]) == repr(found[1])
    assert len(found[0][0]) > 100 < found[0][1].count(b"\n")


def fail(item):
    raise OutputError(f"shard {item} cannot be written: [Errno 28] No space left on device")


def test_errors_are_one_line(tmp_path):
    with (pytest.raises(OutputError, match="^shard 1 cannot be written: .Errno 28. No space left on device$"),
          engines.connect(SPARK, str(tmp_path)) as engine):
        engine.for_each(fail, [1, 2], 1)
    with (pytest.raises(OutputError, match=r"^Spark stopped \(spark_master local\[2\], memory_limit 1GB\): [^\n]*$"),
          engines.connect(SPARK, str(tmp_path)) as engine):
        engine.load_lines("lines", str(tmp_path / "absent.csv"), False, lambda lines: lines)
    with (pytest.raises(OutputError, match=r"^Spark cannot be started at spark_master 'nonsense' [^\n]*$"),
          engines.connect(dataclasses.replace(SPARK, spark_master="nonsense"), str(tmp_path))):
        pass
