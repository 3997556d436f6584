"""The files that a mapping names: single ones, folders, patterns, folders whose names are values (`day=2024-01-01`)."""

from __future__ import annotations

import csv
import dataclasses
import glob
import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from data_prep.errors import InputError
from data_prep.reading import archives
from data_prep.reading.counted_lines import CountedLines

SUFFIXES = (".parquet", ".csv", ".csv.gz", ".tsv", ".tsv.gz")
_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"
_INSTANT = pa.timestamp("us", "UTC")
_ROWS = 1 << 17  # of a batch
_BLOCK_BYTES = 1 << 24
_SHOWN = 10


@dataclasses.dataclass(frozen=True)
class LogFile:
    """A file, its name from the folder of the mapping, and the values that the names of its folders give its rows."""

    path: str
    name: str
    partitions: Mapping[str, str | None] = dataclasses.field(default_factory=dict)

    @property
    def is_parquet(self) -> bool:
        """Whether its columns have types of their own."""
        return self.path.endswith(".parquet")


@dataclasses.dataclass(frozen=True)
class TextFormat:
    """How CSV files are written: what is between cells ("": a tab in `.tsv`, else a comma), around cells that hold
    such ("": nothing), and the columns where there is no header."""

    delimiter: str = ""
    quote: str = '"'
    columns: tuple[str, ...] = ()

    def delimiter_of(self, file: LogFile) -> str:
        """What is between the cells of a file."""
        return self.delimiter or ("\t" if file.path.endswith((".tsv", ".tsv.gz")) else ",")


@dataclasses.dataclass
class FileNotes:
    """What is found out about a file while it is read.

    Attributes:
      misfits: (line, reason) of lines whose number of cells is wrong; these are left out.
      lines: of a text file, those that are not empty, once all is read.
    """

    misfits: list[tuple[int | None, str]] = dataclasses.field(default_factory=list)
    lines: int = 0


def find_files(names: Sequence[str], folder: str, where: str) -> list[LogFile]:
    """The files behind names, folders and patterns, in the order of the names, within a folder in that of the paths.

    Raises:
      InputError: a name without a file, or a file of an unknown kind; the message begins with `where`.
    """
    found: list[LogFile] = []
    for name in names:
        base = os.path.join(folder, name)
        paths = [base] if os.path.isfile(base) else [path for path in _there(base) if path.endswith(SUFFIXES)]
        if not paths:
            raise InputError(f"{where}: no file of {', '.join(SUFFIXES)} for {name!r} in {folder}{_listed(folder)}")
        names_here = ((path, os.path.relpath(path, folder)) for path in paths)
        found += [LogFile(path, name, _partitions(name)) for path, name in names_here]
    for file in found:
        if not file.path.endswith(SUFFIXES):
            raise InputError(f"{where}: {file.path}: expected a file of {', '.join(SUFFIXES)}")
        if not os.path.getsize(file.path):
            raise InputError(f"{where}: {file.path}: the file is empty")
    return list({os.path.realpath(file.path): file for file in found}.values())


def skipped_files(names: Sequence[str], folder: str) -> list[str]:
    """Files of folders and patterns that `find_files` leaves out: their names end as those of no log."""
    paths = [path for name in names for path in _there(os.path.join(folder, name)) if not path.endswith(SUFFIXES)]
    found = [os.path.relpath(path, folder) for path in dict.fromkeys(paths)]
    return [name for name in found if not any(_is_hidden(part) and part != ".." for part in name.split(os.sep))]


def column_types(file: LogFile, text: TextFormat) -> dict[str, pa.DataType]:
    """Name -> type of the columns of a file; those of text files are texts, and of folders' names that it lacks.

    Raises:
      InputError: a file that cannot be read, or a column that is there twice.
    """
    own = _own_types(file, text)
    return own | dict.fromkeys((name for name in file.partitions if name not in own), pa.string())


def _own_types(file: LogFile, text: TextFormat) -> dict[str, pa.DataType]:
    if file.is_parquet:
        opened = _opened(file)
        schema = opened.schema_arrow
        names, types = schema.names, [_INSTANT if name in _spark_times(opened) else kind
                                      for name, kind in zip(schema.names, schema.types, strict=True)]
    else:
        names = list(text.columns) or _header(file, text)
        types = [pa.string()] * len(names)
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        raise InputError(f"{file.path}: the column {repeated!r} is there more than once: {names}")
    return dict(zip(names, types, strict=True))


def batches(file: LogFile, text: TextFormat, columns: Sequence[str], notes: FileNotes) -> Iterator[pa.RecordBatch]:
    """The rows of a file, in its order, some at a time, with some of its columns; at least one batch.

    Args:
      file: plain, or packed (.gz).
      text: of CSV files.
      columns: of the file or of the names of its folders.
      notes: takes what is found out.

    Raises:
      InputError: a file that cannot be read.
    """
    of_folders = file.partitions.keys() - (_own_types(file, text) if file.partitions else {})
    own = [column for column in columns if column not in of_folders]
    source = _parquet_batches(file, own) if file.is_parquet else _csv_batches(file, text, own, notes)
    first = next(source, None)
    if first is None:
        first = _no_rows(file, text, own)
    for batch in itertools.chain([first], source):
        found = {column: batch[column] for column in own}
        for column in columns:
            if column in of_folders:
                found[column] = pa.repeat(pa.scalar(file.partitions[column], pa.string()), len(batch))
        yield pa.RecordBatch.from_pydict({column: found[column] for column in columns})


def _no_rows(file: LogFile, text: TextFormat, columns: list[str]) -> pa.RecordBatch:
    types = column_types(file, text)
    return pa.RecordBatch.from_pydict({column: pa.array([], types[column]) for column in columns})


def _parquet_batches(file: LogFile, columns: list[str]) -> Iterator[pa.RecordBatch]:
    try:
        # Without any column of its own a file still tells its number of rows.
        opened = _opened(file)
        instants = _spark_times(opened)
        for batch in opened.iter_batches(_ROWS, columns=columns or None):
            yield pa.RecordBatch.from_pydict({
                name: batch[name].cast(pa.timestamp("us"), safe=False).cast(_INSTANT) if name in instants
                else batch[name] for name in batch.schema.names})
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"{file.path}: not a Parquet file that can be read: {error}") from error


def _spark_times(opened: pq.ParquetFile) -> set[str]:
    """Columns of Spark's times: they are instants of UTC, and do not say so."""
    columns = [opened.schema.column(place) for place in range(len(opened.schema))]
    return {column.name for column in columns if column.physical_type == "INT96"}


def _opened(file: LogFile) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(file.path)
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"{file.path}: not a Parquet file that can be read: {error}") from error


def _csv_batches(file: LogFile, text: TextFormat, columns: list[str], notes: FileNotes) -> Iterator[pa.RecordBatch]:
    def skip(row: pa.csv.InvalidRow) -> str:
        reason = f"expected {row.expected_columns} cells, got {row.actual_columns}: {row.text!r}"
        notes.misfits.append((row.number, reason))
        return "skip"

    names = list(text.columns) or _header(file, text)
    try:
        content = CountedLines(file.path)
        # Cells stay bytes until each is known to be text.
        yield from pa.csv.open_csv(
            content,
            read_options=pa.csv.ReadOptions(block_size=_BLOCK_BYTES, column_names=names,
                                            skip_rows=0 if text.columns else 1),
            parse_options=pa.csv.ParseOptions(delimiter=text.delimiter_of(file), quote_char=text.quote or False,
                                              newlines_in_values=bool(text.quote), invalid_row_handler=skip),
            convert_options=pa.csv.ConvertOptions(
                include_columns=columns or names[:1], column_types=dict.fromkeys(names, pa.binary()), check_utf8=False,
                null_values=[""], quoted_strings_can_be_null=True, strings_can_be_null=True))
        notes.lines = content.lines
    except (pa.ArrowInvalid, OSError, EOFError) as error:
        raise InputError(f"{file.path}: not a CSV file that can be read: {error}") from error


def _header(file: LogFile, text: TextFormat) -> list[str]:
    line = archives.first_line(file.path).decode("utf-8-sig", errors="replace")
    names = [name.strip() for name in next(csv.reader(
        [line], delimiter=text.delimiter_of(file), quotechar=text.quote or None,
        quoting=csv.QUOTE_MINIMAL if text.quote else csv.QUOTE_NONE), [])]
    if not any(names):
        raise InputError(f"{file.path}, line 1: expected a header, got {line!r}")
    return names


def _there(name: str) -> list[str]:
    """The files of a folder or a pattern; a folder is what it is called, also where its name looks like a pattern."""
    if os.path.isdir(name):
        return list(_within(name))
    if os.path.isfile(name):
        return []
    parent, pattern = os.path.split(name)
    while parent and not os.path.isdir(parent):
        parent, part = os.path.split(parent)
        pattern = os.path.join(part, pattern)
    matches = sorted(os.path.join(parent, match) for match in glob.glob(pattern, root_dir=parent, recursive=True))
    return [path for match in matches for path in ([match] if os.path.isfile(match) else _within(match))]


def _is_hidden(name: str) -> bool:
    """Whether a file or folder is hidden, or a mark such as `_SUCCESS`: these are no logs."""
    return name[0] in "._"


def _within(folder: str) -> Iterator[str]:
    """Files of a folder and its folders, also linked ones, but for hidden ones."""
    seen = set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        if os.path.realpath(parent) in seen:
            folders.clear()
            continue
        seen.add(os.path.realpath(parent))
        folders[:] = sorted(name for name in folders if not _is_hidden(name))
        yield from (os.path.join(parent, name) for name in sorted(names) if not _is_hidden(name))


def _partitions(path: str) -> dict[str, str | None]:
    pairs = [part.split("=", 1) for part in path.split(os.sep)[:-1] if "=" in part]
    return {key: None if value == _NO_VALUE else unquote(value) for key, value in pairs}


def _listed(folder: str) -> str:
    try:
        names = sorted(name for name in os.listdir(folder) if not name.startswith("."))
    except OSError:
        return ", which is no folder"
    more = ", ..." if len(names) > _SHOWN else ""
    return f"; it has {', '.join(names[:_SHOWN]) or 'nothing'}{more}"
