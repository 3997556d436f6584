"""DuckDB: embedded, out of core, one machine."""

from __future__ import annotations

import contextlib
import glob
import os
from collections.abc import Callable, Iterator, Sequence

import duckdb
import ibis
import ibis.expr.types as ir
from ibis.backends.duckdb import Backend

from data_prep import processes
from data_prep.config import PreparationConfig
from data_prep.engines.engine import BUCKET, LINE, Engine
from data_prep.errors import InputError, OutputError

# Of the memory limit: what the engine holds outside its own accounts and the processes that write records need the
# rest, and more would not make it faster.
_MEMORY_SHARE = 0.25
_NO_DELIMITER = "chr(1)"  # a line is one cell
# What it raises when memory or disk do not suffice: by query, while spilling, and when a table is kept.
_EXHAUSTED = (duckdb.OutOfMemoryException, duckdb.IOException, duckdb.TransactionException, duckdb.FatalException)


class DuckDBEngine(Engine):
    """Tables live in one database file; beyond its memory the engine spills to disk.

    Args:
      connection: the ibis backend.
    """

    def __init__(self, connection: Backend):
        self._connection = connection

    def load_lines(self, name: str, path: str, header: bool, parse: Callable[[ir.Table], ir.Table]) -> ir.Table:
        self._connection.raw_sql(f"""
            CREATE OR REPLACE VIEW "{name}_lines" AS SELECT {LINE} FROM read_csv(
                {_quoted(glob.escape(path))}, columns = {{'{LINE}': 'VARCHAR'}}, header = false, skip = {int(header)},
                auto_detect = false, delim = {_NO_DELIMITER}, quote = '', escape = '', nullstr = chr(2),
                new_line = '\\n', strict_mode = false)""")
        try:
            table = self.store(name, parse(self._connection.table(f"{name}_lines")))
        except (duckdb.InvalidInputException, duckdb.NotImplementedException) as error:  # a line of megabytes
            raise InputError(f"{path}: not a text file that can be read: {str(error).splitlines()[0]}") from error
        return table.mutate(row=table.rowid())

    def store(self, name: str, table: ir.Table) -> ir.Table:
        # Rows keep their order, so a stored table's row ids are the positions of the lines it came from.
        return self._connection.create_table(name, table)

    def partition(self, table: ir.Table, folder: str) -> None:
        self._connection.raw_sql(f"""COPY ({self._connection.compile(table)}) TO {_quoted(folder)}
            (FORMAT parquet, COMPRESSION snappy, PARTITION_BY ({BUCKET}), OVERWRITE true)""")

    def for_each(self, function: Callable[[int], None], items: Sequence[int], workers: int) -> None:
        processes.for_each(function, items, workers)


@contextlib.contextmanager
def connect_duckdb(preparation: PreparationConfig, scratch_dir: str) -> Iterator[DuckDBEngine]:
    """See `data_prep.engines.connect`."""
    try:
        backend = ibis.duckdb.connect(
            os.path.join(scratch_dir, "tables.duckdb"), temp_directory=os.path.join(scratch_dir, "spilled"),
            memory_limit=f"{preparation.memory_bytes * _MEMORY_SHARE / 1024:.0f}KiB")
        try:
            yield DuckDBEngine(backend)
        finally:
            backend.disconnect()
    except _EXHAUSTED as error:
        raise OutputError(f"the query engine stopped (memory_limit {preparation.memory_limit}, spilling to "
                          f"{scratch_dir}): {str(error).splitlines()[0]}") from error


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
