"""A file with an id and texts in each row -> ids and texts."""

from __future__ import annotations

import collections
import os
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.csv as pcsv
import pyarrow.parquet as pq
from absl import logging

from data_prep.errors import InputError
from data_prep.reading.counted_lines import CountedLines


def read_texts(path: str, id_column: str, text_columns: Sequence[str]) -> tuple[list[str], list[str]]:
    """Ids as they are written, and the text of each: its columns with a space between them.

    Where cells hold line ends, a warning is logged: a quote that nobody closes makes one row of many lines.

    Args:
      path: a Parquet file, or CSV in UTF-8 with a header, plain or `.gz`; cells may be quoted.
      id_column: whose values are the ids.
      text_columns: one at least; empty cells add nothing.

    Raises:
      InputError: no such file, or not readable; a column that it lacks or that is named twice; no row, an empty id or
        one that is there twice.
    """
    if not text_columns:
        raise InputError(f"{path}: expected the names of text columns, got none")
    names = [id_column, *text_columns]
    if repeated := next((name for name in names if names.count(name) > 1), None):
        raise InputError(f"{path}: expected each column once, as ids or texts, got {repeated} "
                         f"{names.count(repeated)} times")
    table = _columns(path, names)
    ids = [value or "" for value in table[id_column].to_pylist()]
    if not ids:
        raise InputError(f"{path}: no row")
    if "" in ids:
        raise InputError(f"{path}, {id_column}: row {ids.index('') + 1} has none")
    value, count = collections.Counter(ids).most_common(1)[0]
    if count > 1:
        raise InputError(f"{path}, {id_column}: expected each value once, got {value!r} {count} times")
    cells = zip(*(table[name].to_pylist() for name in text_columns), strict=True)
    return ids, [" ".join(cell for cell in row if cell) for row in cells]


def _columns(path: str, names: list[str]) -> pa.Table:
    """Columns of a file as strings."""
    if not os.path.isfile(path):
        raise InputError(f"{path}: no such file")
    try:
        if path.endswith(".parquet"):
            _check_names(path, names, pq.read_schema(path).names)
            table = pq.read_table(path, columns=names)
        else:
            with pcsv.open_csv(path, parse_options=_QUOTED) as reader:
                _check_names(path, names, reader.schema.names)
            options = pcsv.ConvertOptions(include_columns=names, column_types=dict.fromkeys(names, pa.string()))
            content = CountedLines(path)
            table = pcsv.read_csv(content, parse_options=_QUOTED, convert_options=options)
            if (expected := content.lines - 1) > len(table):
                logging.warning("%s: %s lines make %s rows: cells between quotes hold line ends; is a quote never "
                                "closed?", path, f"{expected:,}", f"{len(table):,}")
        return table.cast(pa.schema([(name, pa.string()) for name in table.column_names]))
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error


_QUOTED = pcsv.ParseOptions(newlines_in_values=True)


def _check_names(path: str, names: list[str], known: list[str]) -> None:
    if missing := [name for name in names if name not in known]:
        raise InputError(f"{path}: no column {' and no column '.join(missing)}; it has {', '.join(known)}")
    if repeated := next((name for name in names if known.count(name) > 1), None):
        raise InputError(f"{path}: the column {repeated!r} is there more than once: {', '.join(known)}")
