"""The files of a table of the mapping -> one Parquet file with typed columns, and an account of what cannot be read.

All files pass through here, whatever they are, so that no engine reads them its own way.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from data_prep.errors import InputError
from data_prep.own_logs import cells, log_files
from data_prep.own_logs.log_files import FileNotes, LogFile, TextFormat
from data_prep.reading.rejects import Rejects

ROW = "row"
_LISTED = 1_000  # rejects of a file


@dataclasses.dataclass(frozen=True)
class Wanted:
    """A column that is read.

    Attributes:
      key: of the mapping, for messages.
      column: of the files.
      parse: cells -> typed values.
      expected: what `parse` accepts, for messages.
      required: whether a missing cell makes the row unreadable.
    """

    key: str
    column: str
    parse: cells.Parse
    expected: str
    required: bool = False


@dataclasses.dataclass(frozen=True)
class Staged:
    """What `stage` has read.

    Attributes:
      rows: readable ones.
      rejected: unreadable ones.
      as_integers: the text columns whose values are all written as integers are.
      starts: row of the first row of each file.
      files: in that order.
      fingerprints: name of each file -> SHA256 of its bytes.
      warnings: what is odd about the files, in words.
    """

    rows: int
    rejected: int
    as_integers: frozenset[str]
    starts: tuple[int, ...]
    files: tuple[LogFile, ...]
    fingerprints: Mapping[str, str]
    warnings: tuple[str, ...]

    def where(self, row: int) -> str:
        """File and row, from 1, of a row, for messages."""
        place = max(index for index, start in enumerate(self.starts) if start <= row)
        return f"{self.files[place].name}, row {row - self.starts[place] + 1:,}"


def stage(label: str, files: Sequence[LogFile], text: TextFormat, wanted: Mapping[str, Wanted], path: str,
          rejects: Rejects, may_be_empty: bool = False) -> Staged:
    """Reads files once.

    Args:
      label: of their table.
      files: in the order in which their rows are numbered.
      text: of the CSV files among them.
      wanted: name in the result -> column.
      path: of the Parquet file to write: `row` (int64, position among the readable rows of all files), and the wanted
        columns by the names they were asked for, or those of their parts (`second` and `micro` of a time).
      rejects: takes the rows that cannot be read.
      may_be_empty: whether files without any row will do.

    Raises:
      InputError: a file that cannot be read, a column that it lacks, more unreadable rows than allowed, or no row.
    """
    columns = list(dict.fromkeys(entry.column for entry in wanted.values()))
    candidates, starts, rows, rejected, fingerprints, warnings = set(wanted), [], 0, 0, {}, []
    with contextlib.ExitStack() as stack:
        writer: pq.ParquetWriter | None = None
        background = concurrent.futures.ThreadPoolExecutor(1)  # writes a batch while the next one is typed
        written: concurrent.futures.Future[None] | None = None
        for file in files:
            _check_columns(file, text, wanted)
            starts.append(rows)
            with open(file.path, "rb") as content:
                fingerprints[file.name] = hashlib.file_digest(content, "sha256").hexdigest()
            notes = FileNotes()
            refused: list[tuple[int, str, str]] = []
            read, count, header = 0, 0, 0 if file.is_parquet or text.columns else 1
            for batch in log_files.batches(file, text, columns, notes):
                typed, bad = _typed(file, batch, wanted)
                candidates -= {name for name in candidates if not (
                    name in typed and pa.types.is_string(typed[name].type)
                    and cells.written_as_integers(typed[name]))}
                if bad:
                    count += len(bad)
                    refused += [(read + index + 1 + header, reason, _shown(batch, index))
                                for index, reason in list(bad.items())[:max(0, _LISTED - len(refused))]]
                    keep = pa.array([index not in bad for index in range(len(batch))])
                    typed = {name: values.filter(keep) for name, values in typed.items()}
                read += len(batch)
                kept = len(batch) - len(bad)
                table = pa.table({ROW: np.arange(rows, rows + kept), **typed})
                rows += kept
                if writer is None:
                    writer = stack.enter_context(pq.ParquetWriter(path, table.schema, use_dictionary=False))
                    stack.enter_context(background)  # ends before the file is closed
                if written is not None:
                    written.result()
                written = background.submit(writer.write_table, table)
            found = read + len(notes.misfits)
            count += len(notes.misfits)
            if count:
                lines = [(line or 0, reason, "") for line, reason in notes.misfits] + refused
                rejected += count
                rejects.add(file.path, found, count, lines)
            if (expected := notes.lines - header) > found:
                warnings.append(f"{file.name}: {expected:,} lines make {found:,} rows: cells between quotes hold line "
                                f"ends; where quotes mean nothing, say {label}.quote = \"\"")
        if written is not None:
            written.result()
    if not rows and not may_be_empty:
        raise InputError(f"{label}: the files have no rows: {', '.join(file.path for file in files)}")
    return Staged(rows, rejected, frozenset(candidates), tuple(starts), tuple(files), fingerprints,
                  tuple(warnings))


def _typed(file: LogFile, batch: pa.RecordBatch, wanted: Mapping[str, Wanted]
           ) -> tuple[dict[str, pa.Array], dict[int, str]]:
    """The typed columns, and position -> reason of the rows that cannot be read."""
    typed, bad = dict[str, pa.Array](), dict[int, str]()
    for name, entry in wanted.items():
        try:
            values, wrong = entry.parse(batch[entry.column])
        except pa.ArrowException as error:
            raise InputError(f"{file.path}: column {entry.column} ({entry.key}), of the type "
                             f"{batch[entry.column].type}: expected {entry.expected}: {error}") from error
        parts = dict(zip(values.type.names, values.flatten(), strict=True)) if pa.types.is_struct(values.type) else {
            name: values}
        if entry.required:
            wrong = pc.or_(wrong, pc.is_null(next(iter(parts.values()))))
        typed |= parts
        if pc.any(wrong).as_py():
            for index in pc.indices_nonzero(wrong).to_pylist():
                bad.setdefault(index, f"column {entry.column}: expected {entry.expected} ({entry.key}), got "
                                      f"{_plain(batch[entry.column][index].as_py())!r}")
    return typed, dict(sorted(bad.items()))


def _check_columns(file: LogFile, text: TextFormat, wanted: Mapping[str, Wanted]) -> None:
    there = log_files.column_types(file, text)
    for entry in wanted.values():
        if entry.column not in there:
            raise InputError(f"{file.path}: no column {entry.column!r} ({entry.key}); there are {', '.join(there)}")


def _shown(batch: pa.RecordBatch, index: int) -> str:
    return ", ".join(f"{name}={_plain(batch[name][index].as_py())}" for name in batch.schema.names)


def _plain(value: object) -> object:
    return value.decode("utf-8", errors="replace") if isinstance(value, bytes) else value
