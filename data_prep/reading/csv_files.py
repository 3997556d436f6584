"""The CSV files of a data set: the names they go by, their columns, and lines -> typed cells as one expression.

Cells hold no commas and no line ends; quotes around a cell are taken off. That keeps every line a row of its own, so a
line that cannot be read spoils no other.
"""

from __future__ import annotations

import csv
import dataclasses
import os
import re
from collections.abc import Callable, Sequence
from typing import Literal

import ibis
import ibis.expr.types as ir

from data_prep.engines.engine import LINE
from data_prep.errors import InputError
from data_prep.reading import archives

BAD = "bad"  # column: what is wrong with a line, as a position in `CsvFormat.problems`; null for a good line
TEXT = "bad_line"  # column: the line, where `bad` is not null
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"  # stands for bytes that are no text

_INTEGER = r"^[+-]?[0-9]+(\.0*)?$"  # read exactly
_NUMBER = r"^[+-]?[0-9.]+([eE][+-]?[0-9]+)?$"
# An integer with an exponent (`1.5e3`) is read as a float64, which from here on no longer tells neighbours apart.
_EXPONENTS_END = 2**53
_KINDS = {"integer": "an integer", "number": "a number", "text": "a text"}
_BEYOND = "an integer of 64 bits (-9223372036854775808 to 9223372036854775807)"


@dataclasses.dataclass(frozen=True)
class CsvColumn:
    """One column.

    Attributes:
      name: in the header (case and surrounding spaces do not matter) and in the table that is read.
      kind: integers have 64 bits; they may have a sign, leading zeros and decimals that are zero (`95471.0`).
      aliases: other names that headers give it.
      optional: empty and `NULL` cells are allowed and read as null.
    """

    name: str
    kind: Literal["integer", "number", "text"]
    aliases: tuple[str, ...] = ()
    optional: bool = False

    def problem(self, cell: str) -> str:
        """What is wrong with a cell that the column refuses, in words."""
        is_beyond = self.kind == "integer" and re.search(_INTEGER, cell)
        return f"column {self.name}: expected {_BEYOND if is_beyond else _KINDS[self.kind]}, got {_shown(cell)}"


@dataclasses.dataclass(frozen=True)
class Check:
    """A condition that typed cells must meet.

    Attributes:
      column: the one that is named when they do not.
      wrong: table of typed columns -> whether a row is wrong.
      expected: text for the message, after "expected".
    """

    column: str
    wrong: Callable[[ir.Table], ir.BooleanValue]
    expected: str


@dataclasses.dataclass(frozen=True)
class CsvFormat:
    """A file: the names it goes by, its columns in order, further checks, whether its first line is a header, whether a
    file without rows will do, and columns that files with a header may have behind the others, in this order."""

    file_names: tuple[str, ...]
    columns: tuple[CsvColumn, ...]
    checks: tuple[Check, ...] = ()
    header: bool = True
    may_be_empty: bool = False
    further: tuple[CsvColumn, ...] = ()

    def of(self, path: str) -> CsvFormat:
        """The format of one file: with those of the further columns that its header names."""
        if not self.further:
            return self
        found = {cell.lower() for cell in _header(path)}
        has = tuple(column for column in self.further if found & {column.name, *column.aliases})
        return dataclasses.replace(self, columns=(*self.columns, *has), further=())

    def parse(self, lines: ir.Table) -> ir.Table:
        """Table with the column `line` -> the typed columns, `bad`, `bad_line`, and the other columns as they are."""
        count = len(self.columns)
        # With commas added, every line has enough cells for all engines.
        split = lines.mutate(cells=(_tidy(lines[LINE]) + "," * (count - 1)).split(","))
        cells = split.mutate(found=split.cells.length() - (count - 1), **{
            f"cell_{index}": split.cells[index] for index in range(count)}).drop("cells")
        typed = cells.mutate(**{f"typed_{index}": _typed(cells[f"cell_{index}"], column.kind)
                                for index, column in enumerate(self.columns)})
        problems = [(typed.found != count, count)]
        problems += [(_is_bad(typed[f"cell_{index}"], typed[f"typed_{index}"], column), index)
                     for index, column in enumerate(self.columns)]
        table = typed.mutate(ibis.cases(*problems).cast("int64").name(BAD), **{
            column.name: typed[f"typed_{index}"] for index, column in enumerate(self.columns)})
        table = table.drop("found", *(f"{kind}_{index}" for kind in ("cell", "typed") for index in range(count)))
        if self.checks:
            wrong = [(check.wrong(table), count + 1 + index) for index, check in enumerate(self.checks)]
            table = table.mutate(ibis.coalesce(table[BAD], ibis.cases(*wrong).cast("int64")).name(BAD))
        return table.mutate(ibis.ifelse(table[BAD].notnull(), table[LINE], ibis.null("string")).name(TEXT)).drop(LINE)

    def problem(self, bad: int, line: str) -> str:
        """What is wrong with a line, in words, from its `bad` column."""
        cells = [cell.strip(' \t"') for cell in line.split(",")]
        if bad == len(self.columns):
            return f"expected {len(self.columns)} cells, got {len(cells)}: {_shown(line)}"
        if bad < len(self.columns):
            return self.columns[bad].problem(cells[bad])
        check = self.checks[bad - len(self.columns) - 1]
        index = [column.name for column in self.columns].index(check.column)
        return f"column {check.column}: expected {check.expected}, got {_shown(cells[index])}"

    def check_header(self, path: str) -> None:
        """Compares a file's first line with the columns; a file without header passes.

        Raises:
          InputError: with the expected and the found names.
        """
        if not self.header:
            return
        found = _header(path)
        matches = len(found) == len(self.columns) and all(
            cell.lower() in (column.name, *column.aliases) for cell, column in zip(found, self.columns, strict=True))
        if not matches:
            raise InputError(
                f"{path}, line 1: wrong header: expected {[column.name for column in self.columns]}, got {found}")

    def is_in(self, directory: str) -> bool:
        """Whether there is such a file in `directory`, plain or packed."""
        return any(map(os.path.exists, _paths(directory, self.file_names)))

    def find(self, directory: str) -> str:
        """The path of the file in `directory`, plain or packed; its header is checked.

        Raises:
          InputError: it does not exist under any of its names, is empty, or has another header.
        """
        path = find_file(directory, self.file_names)
        self.of(path).check_header(path)
        return path


def _header(path: str) -> list[str]:
    """The cells of a file's first line."""
    first = archives.first_line(path).decode("utf-8-sig", errors="replace")
    return [cell.strip() for cell in next(csv.reader([first]), [])]


def find_file(directory: str, file_names: Sequence[str]) -> str:
    """The path of the first of `file_names` that exists in `directory`, as it is or packed (.gz, .tar.gz).

    Raises:
      InputError: none exists, or it is empty or a directory.
    """
    if not os.path.isdir(directory):
        raise InputError(f"input_dir {directory} is not a directory")
    for path in _paths(directory, file_names):
        if os.path.exists(path):
            if not os.path.isfile(path):
                raise InputError(f"{path}: expected a file, got a directory")
            if not os.path.getsize(path):
                raise InputError(f"{path}: the file is empty")
            return path
    raise InputError(f"{os.path.join(directory, file_names[0])}: no such file (nor "
                     f"{', '.join([*file_names[1:], *(file_names[0] + suffix for suffix in archives.SUFFIXES)])})")


def _paths(directory: str, file_names: Sequence[str]) -> list[str]:
    return [os.path.join(directory, f"{name}{suffix}") for suffix in ("", *archives.SUFFIXES) for name in file_names]


def _tidy(line: ir.StringValue) -> ir.StringValue:
    """A line without the spaces and quotes around its cells; most lines have none."""
    within = line.re_replace(r'[ \t]*"?[ \t]*,[ \t]*"?[ \t]*', ",")
    tidied = within.re_replace(r'^[ \t]*"?[ \t]*', "").re_replace(r'[ \t]*"?[ \t]*$', "")
    untidy = line.contains('"') | line.contains(" ") | line.contains("\t")
    return ibis.ifelse(untidy, tidied, line)


def _typed(cell: ir.StringValue, kind: str) -> ir.Value:
    """The cell as int64, float64 or text; null where it is not, or missing."""
    if kind == "text":
        return ibis.ifelse(_is_missing(cell), ibis.null("string"), cell)
    # The patterns keep out what only some engines take for a number: 1d, 0x1p3, 1_000, +-1, nan.
    number = ibis.ifelse(cell.re_search(_NUMBER), cell.try_cast("float64"), ibis.null("float64"))
    if kind == "number":
        return number
    with_exponent = number.try_cast("int64")
    is_exact = (number.abs() < _EXPONENTS_END) & (with_exponent.cast("float64") == number)
    digits = ibis.ifelse(cell.contains("."), cell.re_replace(r"\.0*$", ""), cell).try_cast("int64")
    odd = ibis.ifelse(cell.re_search(_INTEGER), digits, ibis.ifelse(is_exact, with_exponent, ibis.null("int64")))
    plain = cell.try_cast("int64")
    return ibis.ifelse(plain.cast("string") == cell, plain, odd)  # most cells; patterns take longer


def integer(cell: str) -> int | None:
    """What a cell of an integer column is read as, for files that no engine reads; None where it is refused."""
    text = cell.strip(" \t")
    if not re.search(_INTEGER, text):
        return None
    value = int(text.partition(".")[0])
    return value if -2**63 <= value < 2**63 else None


def _is_missing(cell: ir.StringValue) -> ir.BooleanValue:
    return (cell == "") | (cell == "NULL")


def _is_bad(cell: ir.StringValue, typed: ir.Value, column: CsvColumn) -> ir.BooleanValue:
    """Whether the column refuses the cell; never null."""
    if column.kind == "text":
        good = ~typed.contains(REPLACEMENT)
    elif column.kind == "number":
        good = typed.abs() < float("inf")
    else:
        good = typed.notnull()
    good = ibis.coalesce(good, False)
    return ~(good | _is_missing(cell)) if column.optional else ~good


def _shown(text: str, most: int = 200) -> str:
    return repr(text) if len(text) <= most else f"{text[:most]!r} ..."
