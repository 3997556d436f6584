"""What the preparation asks of a query engine beyond evaluating ibis expressions."""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence

import ibis.expr.types as ir

LINE = "line"  # column of the tables that `load_lines` gives to `parse`
BUCKET = "bucket"  # column by which `partition` writes folders


class Engine(abc.ABC):
    """Evaluates tables and keeps them in the scratch folder, so that no table needs to fit into memory."""

    @abc.abstractmethod
    def load_lines(self, name: str, path: str, header: bool, parse: Callable[[ir.Table], ir.Table]) -> ir.Table:
        """Evaluates and keeps what `parse` makes of the lines of a text file.

        Args:
          name: of the table that is kept.
          path: a UTF-8 file; lines end in LF, CRLF or CR, and empty lines do not count.
          header: whether to leave out the first line.
          parse: table with the column `line` (and others, which it passes on) -> table with columns in its place.

        Returns:
          The columns of `parse` and `row` (int64): the position of the line in the file, from 0, without the header.
        """

    @abc.abstractmethod
    def load_parquet(self, name: str, path: str) -> ir.Table:
        """The rows of a Parquet file as `name`, without a copy."""

    @abc.abstractmethod
    def store(self, name: str, table: ir.Table) -> ir.Table:
        """Evaluates a table once and keeps it as `name`."""

    @abc.abstractmethod
    def partition(self, table: ir.Table, folder: str) -> None:
        """Writes a table as Parquet files `{folder}/bucket=N/*.parquet` by its int64 column `bucket`."""

    @abc.abstractmethod
    def for_each(self, function: Callable[[int], None], items: Sequence[int], workers: int) -> None:
        """Calls a picklable function for every item, `workers` at a time; the first error is raised."""
