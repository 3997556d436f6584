"""Reads CSV files as strictly typed tables: every refusal names file, line, column and value."""

from __future__ import annotations

import csv
import dataclasses
import glob
import os
from collections.abc import Sequence
from typing import Literal

import duckdb
import ibis.expr.types as ir
from ibis.backends.duckdb import Backend

from data_prep.accounting import number_of_rows
from data_prep.errors import InputError

# Beyond this a float64 no longer tells neighbouring integers apart.
_LARGEST_INTEGER = 2**53
_KINDS = {"integer": "an integer", "number": "a number", "text": "a text"}
_SHOWN_CHARACTERS = 200  # of a line that is refused: an open quote makes the rest of the file one line


@dataclasses.dataclass(frozen=True)
class CsvColumn:
    """One column.

    Attributes:
      name: in the header (case and surrounding spaces do not matter) and in the table that is read.
      kind: integers may be written with decimals that are zero (`95471.0`).
      aliases: other names that headers give it.
      optional: empty and `NULL` cells are allowed and read as null.
    """

    name: str
    kind: Literal["integer", "number", "text"]
    aliases: tuple[str, ...] = ()
    optional: bool = False


@dataclasses.dataclass(frozen=True)
class CsvFormat:
    """A file: the names it goes by, and its columns in order."""

    file_names: tuple[str, ...]
    columns: tuple[CsvColumn, ...]


def find_file(directory: str, file_names: Sequence[str]) -> str:
    """The path of the first of `file_names` that exists in `directory`.

    Raises:
      InputError: none exists, or it is empty or a directory.
    """
    if not os.path.isdir(directory):
        raise InputError(f"input_dir {directory} is not a directory")
    for name in file_names:
        path = os.path.join(directory, name)
        if os.path.exists(path):
            if not os.path.isfile(path):
                raise InputError(f"{path}: expected a file, got a directory")
            if not os.path.getsize(path):
                raise InputError(f"{path}: the file is empty")
            return path
    raise InputError(f"{os.path.join(directory, file_names[0])}: no such file"
                     + "".join(f" (nor {name})" for name in file_names[1:]))


def check_header(path: str, columns: Sequence[CsvColumn]) -> None:
    """Compares a file's first line with `columns`.

    Raises:
      InputError: with the expected and the found names.
    """
    with open(path, encoding="utf-8-sig", errors="replace", newline="") as file:
        found = [cell.strip() for cell in next(csv.reader([file.readline().rstrip("\r\n")]), [])]
    matches = len(found) == len(columns) and all(
        cell.lower() in (column.name, *column.aliases) for cell, column in zip(found, columns, strict=True))
    if not matches:
        raise InputError(f"{path}, line 1: wrong header: expected {[column.name for column in columns]}, got {found}")


def load(connection: Backend, path: str, columns: Sequence[CsvColumn], table_name: str) -> ir.Table:
    """Reads a file into the table `table_name`.

    Returns:
      `row` (int64, position among the data rows, from 0, in the order of the file) and the columns, as int64, float64
      or string.

    Raises:
      InputError: a wrong header, no rows, a line with another number of cells, or a cell of another kind.
    """
    check_header(path, columns)
    types = ", ".join(f"'{column.name}': '{'VARCHAR' if column.kind == 'text' else 'DOUBLE'}'" for column in columns)
    selected = ", ".join(
        f'TRY_CAST("{column.name}" AS BIGINT) AS "{column.name}"' if column.kind == "integer" else f'"{column.name}"'
        for column in columns)
    bad = " ".join(f"WHEN {_is_bad(column)} THEN '{column.name}'" for column in columns)
    query = f"""
        CREATE TABLE "{table_name}" AS
        SELECT row_number() OVER () - 1 AS "row", {selected}, CASE {bad} END AS bad_column
        FROM read_csv({_quoted(glob.escape(path))}, header = false, skip = 1, auto_detect = false, delim = ',',
                      quote = '"', escape = '"', nullstr = ['', 'NULL'], columns = {{{types}}},
                      store_rejects = true, rejects_table = '{table_name}_rejects',
                      rejects_scan = '{table_name}_scans', rejects_limit = 1)"""
    try:
        connection.raw_sql(query)
    except duckdb.InvalidInputException as error:  # not a matter of one line, as line ends that change within the file
        raise InputError(f"{path}: not a CSV file that can be read: {str(error).splitlines()[0]}") from error
    _refuse_rejected(connection, path, columns, f"{table_name}_rejects")
    table = connection.table(table_name)
    _refuse_bad_cell(path, columns, table)
    if not number_of_rows(table):
        raise InputError(f"{path}: the file has a header but no rows")
    return table.drop("bad_column")


def _is_bad(column: CsvColumn) -> str:
    """SQL that is true for a cell which the column refuses."""
    name = f'"{column.name}"'
    conditions = [] if column.optional else [f"{name} IS NULL"]
    if column.kind != "text":
        conditions.append(f"NOT isfinite({name})")
    if column.kind == "integer":
        conditions.append(f"{name} <> trunc({name}) OR abs({name}) > {_LARGEST_INTEGER}")
    return f"({' OR '.join(conditions)})" if conditions else "false"


def _refuse_rejected(connection: Backend, path: str, columns: Sequence[CsvColumn], rejects: str) -> None:
    """Raises when the CSV reader itself could not read a line."""
    query = f'SELECT line, column_name, error_type, csv_line, error_message FROM "{rejects}" ORDER BY line LIMIT 1'
    rejected = connection.raw_sql(query).fetchone()
    if rejected is None:
        return
    line, name, kind, text, message = rejected
    text = (text or "").strip("\r\n")
    cells = next(csv.reader([text]), [])
    if kind == "CAST":
        index = [column.name for column in columns].index(name)
        value = cells[index] if index < len(cells) else text
        raise InputError(f"{path}, line {line}, column {name}: expected {_KINDS[columns[index].kind]}, got {value!r}")
    if kind in ("MISSING COLUMNS", "TOO MANY COLUMNS"):
        raise InputError(f"{path}, line {line}: expected {len(columns)} cells, got {len(cells)}: {_shown(text)}")
    raise InputError(f"{path}, line {line}: {message}: {_shown(text)}")


def _refuse_bad_cell(path: str, columns: Sequence[CsvColumn], table: ir.Table) -> None:
    """Raises when a cell was read but is missing, not finite or not an integer."""
    bad = table.filter(table.bad_column.notnull()).order_by("row").limit(1).to_pyarrow().to_pylist()
    if not bad:
        return
    index = [column.name for column in columns].index(bad[0]["bad_column"])
    line, cells = find_row(path, bad[0]["row"])
    raise InputError(f"{path}, line {line}, column {columns[index].name}: "
                     f"expected {_KINDS[columns[index].kind]}, got {cells[index]!r}")


def find_row(path: str, row: int) -> tuple[int, list[str]]:
    """The line number (from 1) and the cells of a data row (from 0)."""
    with open(path, encoding="utf-8", errors="replace", newline="") as file:
        reader = csv.reader(file)
        next(reader)
        for position, cells in enumerate(cells for cells in reader if cells):
            if position == row:
                return reader.line_num, cells
    raise InputError(f"{path}: the file has no data row {row}; it changed while it was read")


def _shown(text: str) -> str:
    return repr(text) if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]!r} ..."


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
