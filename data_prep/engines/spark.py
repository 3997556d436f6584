"""Spark: the same definition on a cluster, or on the cores of one machine (`--spark_master=local[2]`).

The scratch and the output directory must lie on storage that the driver and all workers share under one path, and the
workers need this package in their Python environment: buckets are written where the workers are.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import ibis
import ibis.expr.types as ir

from data_prep.config import PreparationConfig
from data_prep.engines.engine import BUCKET, LINE, Engine
from data_prep.errors import OutputError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

# monotonically_increasing_id: the partition above, the position within the partition below this bit.
_PARTITION_BIT = 33


class SparkEngine(Engine):
    """Tables are Parquet folders.

    Args:
      session: an open session.
      folder: where the tables go.
    """

    def __init__(self, session: SparkSession, folder: str):
        self._session, self._folder = session, folder
        self._connection = ibis.pyspark.connect(session)

    def load_lines(self, name: str, path: str, header: bool, parse: Callable[[ir.Table], ir.Table]) -> ir.Table:
        lines = self._session.read.text(_one_path(os.path.abspath(path))).toDF(LINE).filter(f"{LINE} != ''")
        numbered = _numbered(lines, first=-1 if header else 0)
        numbered.filter("row >= 0").createOrReplaceTempView(f"{name}_lines")
        return self.store(name, parse(self._connection.table(f"{name}_lines")))

    def load_parquet(self, name: str, path: str) -> ir.Table:
        return self._connection.read_parquet(_one_path(os.path.abspath(path)), table_name=name)

    def store(self, name: str, table: ir.Table) -> ir.Table:
        path = os.path.join(self._folder, "tables", name)
        self._connection.to_parquet(table, f"file://{path}", mode="overwrite")
        return self._connection.read_parquet(_one_path(path), table_name=name)

    def partition(self, table: ir.Table, folder: str) -> None:
        frame = self._session.sql(self._connection.compile(table))
        frame.repartition(BUCKET).write.mode("overwrite").partitionBy(BUCKET).parquet(f"file://{folder}")

    def for_each(self, function: Callable[[int], None], items: Sequence[int], workers: int) -> None:
        del workers  # Spark's own: the cores of its master

        def outcome(item: int) -> str | None:
            try:
                function(item)
            except OutputError as error:  # as an exception it would arrive within a page of stack traces
                return str(error)
            return None

        if items:
            tasks = self._session.sparkContext.parallelize(list(items), len(items))
            for failure in filter(None, tasks.map(outcome).collect()):
                raise OutputError(failure)


def _one_path(path: str) -> str:
    """The name of a local file or folder to read, with nothing in it that Spark takes for a pattern."""
    return "file://" + re.sub(r"([][{}*?\\])", r"\\\1", path)


def _numbered(lines: DataFrame, first: int) -> DataFrame:
    """Adds `row`: consecutive numbers from `first` in the order of the file."""
    from pyspark.sql import functions

    marked = lines.withColumn("mark", functions.monotonically_increasing_id())
    part = functions.shiftright("mark", _PARTITION_BIT)
    counts = {row["part"]: row["lines"] for row in marked.groupBy(part.alias("part")).agg(
        functions.count("*").alias("lines")).collect()}
    before, starts = first, []
    for number in sorted(counts):
        starts += [functions.lit(number), functions.lit(before)]
        before += counts[number]
    if not starts:
        return marked.withColumn("row", functions.lit(0).cast("bigint")).drop("mark")
    within = marked["mark"].bitwiseAND((1 << _PARTITION_BIT) - 1)
    start = functions.element_at(functions.create_map(*starts), part)
    return marked.withColumn("row", (start + within).cast("bigint")).drop("mark")


@contextlib.contextmanager
def connect_spark(preparation: PreparationConfig, scratch_dir: str) -> Iterator[SparkEngine]:
    """See `data_prep.engines.connect`."""
    try:
        from py4j.protocol import Py4JError
        from pyspark.errors import PySparkException
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise OutputError("engine spark needs PySpark: pip install 'lcn-tf[spark]'") from error
    scratch = os.path.abspath(scratch_dir)
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # of the workers
    builder = SparkSession.builder.master(preparation.spark_master).appName("lcn-tf preparation")
    for name, value in {
            "spark.driver.memory": f"{preparation.memory_bytes // 2**20}m",
            "spark.local.dir": os.path.join(scratch, "spilled"),
            "spark.sql.warehouse.dir": os.path.join(scratch, "warehouse"),
            "spark.sql.session.timeZone": "UTC",
            "spark.ui.enabled": "false",
            # One machine has no use for Spark's 200 parts.
            **({"spark.sql.shuffle.partitions": "8"} if preparation.spark_master.startswith("local") else {})}.items():
        builder = builder.config(name, value)
    try:
        session = builder.getOrCreate()
    except Exception as error:  # no Java, a master that does not answer: each raises another type
        raise OutputError(f"Spark cannot be started at spark_master {preparation.spark_master!r} (it needs Java 17 or "
                          f"later): {_reason(error)}") from error
    try:
        yield SparkEngine(session, scratch)
    except (PySparkException, Py4JError, ConnectionError) as error:  # the last two where the JVM has died
        raise OutputError(f"Spark stopped (spark_master {preparation.spark_master}, memory_limit "
                          f"{preparation.memory_limit}): {_reason(error)}") from error
    finally:
        with contextlib.suppress(Py4JError, ConnectionError):
            session.stop()


def _reason(error: Exception) -> str:
    """The line of an error that says what happened."""
    lines = [line.strip(" :") for line in str(error).splitlines() if line.strip(" :")]
    named = [line for line in lines if not line.startswith("An error occurred while calling")]
    return (named or lines or [type(error).__name__])[0]
