"""DuckDB: embedded, out of core, one machine."""

from __future__ import annotations

import contextlib
import glob
import itertools
import os
import tempfile
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
      names: of files and folders, for SQL.
    """

    def __init__(self, connection: Backend, names: _PlainNames):
        self._connection, self._names = connection, names

    def load_lines(self, name: str, path: str, header: bool, parse: Callable[[ir.Table], ir.Table]) -> ir.Table:
        file = _quoted(glob.escape(self._names.of(path)))
        self._connection.raw_sql(f"""
            CREATE OR REPLACE VIEW "{name}_lines" AS SELECT {LINE} FROM read_csv(
                {file}, columns = {{'{LINE}': 'VARCHAR'}}, header = false, skip = {int(header)},
                auto_detect = false, delim = {_NO_DELIMITER}, quote = '', escape = '', nullstr = chr(2),
                new_line = '\\n', strict_mode = false, hive_partitioning = false)""")
        try:
            table = self.store(name, parse(self._connection.table(f"{name}_lines")))
        except (duckdb.InvalidInputException, duckdb.NotImplementedException) as error:  # a line of megabytes
            raise InputError(f"{path}: not a text file that can be read: {str(error).splitlines()[0]}") from error
        return table.mutate(row=table.rowid())

    def load_parquet(self, name: str, path: str) -> ir.Table:
        # Folders above it are no columns, whatever their names are.
        return self._connection.read_parquet(glob.escape(self._names.of(path)), table_name=name,
                                             hive_partitioning=False)

    def store(self, name: str, table: ir.Table) -> ir.Table:
        # Rows keep their order, so a stored table's row ids are the positions of the lines it came from.
        return self._connection.create_table(name, table)

    def partition(self, table: ir.Table, folder: str) -> None:
        os.makedirs(folder, exist_ok=True)
        self._connection.raw_sql(f"""COPY ({self._connection.compile(table)}) TO {_quoted(self._names.of(folder))}
            (FORMAT parquet, COMPRESSION snappy, PARTITION_BY ({BUCKET}), OVERWRITE true)""")

    def for_each(self, function: Callable[[int], None], items: Sequence[int], workers: int) -> None:
        processes.for_each(function, items, workers)


@contextlib.contextmanager
def connect_duckdb(preparation: PreparationConfig, scratch_dir: str) -> Iterator[DuckDBEngine]:
    """See `data_prep.engines.connect`."""
    try:
        with _PlainNames() as names:
            # DuckDB follows links to its database, but not to where it spills, from memory too.
            is_plain = names.of(scratch_dir) == os.path.abspath(scratch_dir)
            backend = ibis.duckdb.connect(
                os.path.join(scratch_dir, "tables.duckdb") if is_plain else ":memory:",
                temp_directory=os.path.join(names.of(scratch_dir), "spilled"),
                memory_limit=f"{preparation.memory_bytes * _MEMORY_SHARE / 1024:.0f}KiB")
            backend.raw_sql("PRAGMA disable_checkpoint_on_shutdown")  # nobody opens the database again
            try:
                yield DuckDBEngine(backend, names)
            finally:
                backend.disconnect()
    except _EXHAUSTED as error:
        raise OutputError(f"the query engine stopped (memory_limit {preparation.memory_limit}, spilling to "
                          f"{scratch_dir}): {str(error).splitlines()[0]}") from error


class _PlainNames(contextlib.ExitStack):
    """Names of files and folders in which DuckDB sees nothing but names.

    It takes a backslash for a slash and what follows a question mark in the name of its database for settings; only
    patterns can be escaped. Such a path gets a link with a plain name, until the block ends.
    """

    def __init__(self) -> None:
        super().__init__()
        self._numbers = itertools.count()
        self._folder = ""

    def of(self, path: str) -> str:
        """The absolute path of a file or folder that exists, or a link to it."""
        path = os.path.abspath(path)
        if "\\" not in path and "?" not in path:
            return path
        self._folder = self._folder or self.enter_context(tempfile.TemporaryDirectory())
        link = os.path.join(self._folder, str(next(self._numbers)))
        os.symlink(path, link)
        return link


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
