"""Reads the files of a data set into tables of an engine, and keeps account of their rows."""

from __future__ import annotations

import codecs
import dataclasses
import hashlib
import itertools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import ibis.expr.types as ir

from data_prep.engines import Engine
from data_prep.errors import InputError
from data_prep.reading import accounting, archives
from data_prep.reading.accounting import REASON, RowCounts
from data_prep.reading.csv_files import BAD, REPLACEMENT, TEXT, CsvFormat
from data_prep.reading.drop_rules import NOTABLE_SHARE, DropRule, dates, times_in_words
from data_prep.reading.rejects import Rejects

UNREADABLE = "unreadable, see rejects.csv"
_YEAR_SECONDS = 365 * 86_400
_CHUNK_BYTES = 1 << 22
_MARKS = (b"\0", b"\1", b"\2")
_MENDED = {mark[0]: REPLACEMENT for mark in _MARKS}
_LISTED_REFUSALS = 1_000  # of a file that is refused


class LogReader:
    """What a data set's reader reads with.

    Args:
      engine: keeps the tables.
      rejects: takes the lines that cannot be read.
      scratch_dir: for unpacked files; the caller deletes it.

    Attributes:
      rejects, scratch_dir: as they were given.
      fingerprints: name of each file that was read -> SHA256 of its (unpacked) content.
      warnings: what is odd about the files, in words.
    """

    def __init__(self, engine: Engine, rejects: Rejects, scratch_dir: str):
        self._engine, self.rejects, self.scratch_dir = engine, rejects, scratch_dir
        self._rejected: dict[str, int] = {}
        self._loaded: dict[str, tuple[ir.Table, Callable[[int], str], Mapping[str, str]]] = {}
        self.fingerprints: dict[str, str] = {}
        self.warnings: list[str] = []

    def load(self, path: str, file_format: CsvFormat, name: str) -> ir.Table:
        """The readable rows of a file.

        Args:
          path: plain or packed.
          file_format: its columns and checks.
          name: of the table that the engine keeps.

        Returns:
          `row` (int64, position among the data rows, from 0, in the order of the file) and the columns, as int64,
          float64 or string.

        Raises:
          InputError: a wrong header, no rows (unless the format allows that), or more unreadable lines than allowed.
        """
        file_format.check_header(path)
        plain = self.plain(path)
        table = self._engine.load_lines(name, plain, file_format.header, file_format.parse)
        wrong = table.filter(table[BAD].notnull())
        counts = table.agg(rows=table.count(), wrong=table[BAD].count()).to_pyarrow().to_pylist()[0]
        if not counts["rows"] and not file_format.may_be_empty:
            raise InputError(f"{path}: the file has " + ("a header but no rows" if file_format.header else "no rows"))
        self._rejected[path] = counts["wrong"]
        if counts["wrong"]:
            allowed = self.rejects.allow(counts["rows"], counts["wrong"])
            lines = _rejected_lines(plain, file_format, wrong, None if allowed else _LISTED_REFUSALS)
            self.rejects.add(path, counts["rows"], counts["wrong"], lines)
        rows = table.filter(table[BAD].isnull()).drop(BAD, TEXT)
        self._loaded[path] = rows, lambda row: f"line {_line_number(plain, file_format.header, row)}", {}
        return rows

    def load_parquet(self, label: str, path: str, rejected: int, where: Callable[[int], str],
                     columns: Mapping[str, str], name: str) -> ir.Table:
        """The rows of files that were read otherwise.

        Args:
          label: stands for the files in `count`.
          path: of a Parquet file with `row`, the position of each row.
          rejected: rows of the files that are not in it.
          where: row -> its place in the files, in words.
          columns: column -> its name in the files, where that is another.
          name: of the table that the engine keeps.
        """
        table = self._engine.load_parquet(name, path)
        self._rejected[label] = rejected
        self._loaded[label] = table, where, columns
        return table

    def store(self, name: str, table: ir.Table) -> ir.Table:
        """Evaluates an expression once and keeps it."""
        return self._engine.store(name, table)

    def count(self, path: str, table: ir.Table, rules: Sequence[DropRule] = (),
              nothing: str = "no row to use") -> RowCounts:
        """What became of a file's rows.

        Args:
          path: of a file that was loaded.
          table: its rows with `drop_reason` (null for those that are used) and their position in the file, as `row` or
            `impression_id`.
          rules: that the reasons come from.
          nothing: text for messages, that no row of the file is used.

        Raises:
          InputError: none of its rows is used; the message shows a row of the commonest reason.
        """
        counts = self.counts(path, accounting.count_rows(os.path.basename(path), table))
        reason = max(counts.dropped, key=counts.dropped.__getitem__, default="")
        dropped, known = counts.dropped.get(reason, 0), {rule.reason: rule for rule in rules}
        if counts.used and (dropped <= NOTABLE_SHARE * counts.read or (reason in known and known[reason].ordinary)):
            return counts
        shown = f"; {self._show(path, table, known[reason])}" if reason in known else ""
        if counts.read and not counts.used:
            raise InputError(f"{path}: {nothing}; rows dropped: {dict(counts.dropped)}{shown}")
        if counts.read:
            self.warnings.append(f"{counts.file}: {dropped / counts.read:.0%} of the rows ({dropped:,} of "
                                 f"{counts.read:,}) are dropped: {reason}{shown}")
        return counts

    def compare_times(self, path: str, column: str, shown: int, utc_offset: int) -> None:
        """Warns of a file whose rows all lie over a year before `shown`, the first second of the impressions."""
        rows, _, names = self._loaded[path]
        found = _only(rows.agg(first=rows[column].min(), last=rows[column].max()))
        if found["last"] is not None and found["last"] < shown - _YEAR_SECONDS:
            times = times_in_words(names.get(column, column), **found, utc_offset=utc_offset)
            self.warnings.append(f"{os.path.basename(path)}: every row is over a year older than the impressions, "
                                 f"which begin with {dates(shown, shown, utc_offset)}: {times}")

    def _show(self, path: str, table: ir.Table, rule: DropRule) -> str:
        """The first row that a rule drops, and the times of the file where they are the reason."""
        rows, where, names = self._loaded[path]
        positions = table.row if "row" in table.columns else table.impression_id
        first = _only(table.filter(table[REASON] == rule.reason).agg(first=positions.min()))["first"]
        value = _only(rows.filter(rows.row == first).select(rule.column))[rule.column]
        like = "" if rule.like is None else f", such as {_only(rule.like.name('like').as_table())['like']!r}"
        column = names.get(rule.column, rule.column)
        text = f"{where(first)}, column {column}: expected {rule.expected}{like}, got {value!r}"
        if rule.utc_offset is not None:
            times = rows[rule.column]
            found = _only(rows.agg(first=times.min(), last=times.max()))
            text += f"; {dataclasses.replace(rule, column=column).times(**found)}"
        return text

    def counts(self, path: str, counts: RowCounts) -> RowCounts:
        """Adds a file's unreadable lines to the account of its readable ones."""
        rejected = self._rejected.get(path, 0)
        return RowCounts(os.path.basename(path), counts.used,
                         {**counts.dropped, **({UNREADABLE: rejected} if rejected else {})})

    def plain(self, path: str) -> str:
        """The path of a file's plain UTF-8 text: itself, or an unpacked or mended copy; its fingerprint is noted."""
        plain = path
        if archives.is_packed(path):
            plain = os.path.join(self.scratch_dir, f"unpacked-{os.path.basename(path)}".removesuffix(".gz"))
            archives.unpack(path, plain)
        digest, is_text = _examine(plain)
        self.fingerprints[os.path.basename(path)] = digest
        if not is_text:
            mended = os.path.join(self.scratch_dir, f"mended-{os.path.basename(plain)}")
            with open(plain, encoding="utf-8", errors="replace", newline="") as source, open(
                    mended, "w", encoding="utf-8", newline="") as target:
                while chunk := source.read(_CHUNK_BYTES):
                    target.write(chunk.translate(_MENDED))
            plain = mended
        return plain


def _only(table: ir.Table) -> dict[str, Any]:
    """The row of a table that has one."""
    row, = table.to_pyarrow().to_pylist()
    return row


def _examine(path: str) -> tuple[str, bool]:
    """SHA256 of a file's bytes, and whether they are UTF-8 without the characters that engines use as marks."""
    digest, decoder, is_text = hashlib.sha256(), codecs.getincrementaldecoder("utf-8")(), True
    with open(path, "rb", buffering=0) as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
            is_text = is_text and not any(mark in chunk for mark in _MARKS) and _decodes(decoder, chunk)
    return digest.hexdigest(), is_text and _decodes(decoder, b"", final=True)


def _decodes(decoder: codecs.IncrementalDecoder, chunk: bytes, final: bool = False) -> bool:
    try:
        decoder.decode(chunk, final)
    except UnicodeDecodeError:
        return False
    return True


def _rejected_lines(
        path: str, file_format: CsvFormat, wrong: ir.Table, most: int | None) -> Iterator[tuple[int, str, str]]:
    """(line number, reason, text) of the first `most` rejected lines, in the order of the file."""
    entries = wrong.select("row", BAD, TEXT).order_by("row").limit(most).to_pyarrow().to_pylist()
    numbers = _line_numbers(path, file_format.header)
    position = number = -1
    for entry in entries:
        while position < entry["row"]:
            position, number = position + 1, next(numbers)
        yield number, file_format.problem(entry[BAD], entry[TEXT]), entry[TEXT]


def _line_numbers(path: str, header: bool) -> Iterator[int]:
    """The line number, from 1, of each data row."""
    with open(path, encoding="utf-8", newline=None) as file:  # a line ends in LF, CRLF or CR, as in the engines
        filled = (number for number, line in enumerate(file, start=1) if line != "\n")
        if header:
            next(filled)
        yield from filled


def _line_number(path: str, header: bool, row: int) -> int:
    return next(itertools.islice(_line_numbers(path, header), row, None))


def check_unchanged(before: Sequence[tuple[str, int, int]]) -> None:
    """Compares files with what `file_states` said of them earlier.

    Raises:
      InputError: a file is gone or has changed; what was read of it may be neither the old nor the new content.
    """
    for path, size, modified in before:
        state = file_states([path])[0] if os.path.exists(path) else (path, 0, 0)
        if state != (path, size, modified):
            raise InputError(f"{path}: the file changed while it was read ({size:,} bytes before, {state[1]:,} now)")


def file_states(paths: Sequence[str]) -> list[tuple[str, int, int]]:
    """(path, size in bytes, time of modification in nanoseconds) of each file."""
    return [(path, os.stat(path).st_size, os.stat(path).st_mtime_ns) for path in paths]
