"""A file with an id and texts in each row -> ids and texts."""

from __future__ import annotations

import collections
import os
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.csv as pcsv
import pyarrow.parquet as pq

from data_prep.errors import InputError


def read_texts(path: str, id_column: str, text_columns: Sequence[str]) -> tuple[list[str], list[str]]:
    """Ids as they are written, and the text of each: its columns with a space between them.

    Args:
      path: a Parquet file, or CSV in UTF-8 with a header, plain or `.gz`; cells may be quoted.
      id_column: whose values are the ids.
      text_columns: one at least; empty cells add nothing.

    Raises:
      InputError: no such file, or not readable; a column that it lacks; no row, an empty id or one that is there twice.
    """
    if not text_columns:
        raise InputError(f"{path}: expected the names of text columns, got none")
    table = _columns(path, [id_column, *text_columns])
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
            table = pcsv.read_csv(path, parse_options=_QUOTED, convert_options=options)
        return table.cast(pa.schema([(name, pa.string()) for name in table.column_names]))
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error


_QUOTED = pcsv.ParseOptions(newlines_in_values=True)


def _check_names(path: str, names: list[str], known: list[str]) -> None:
    if missing := [name for name in names if name not in known]:
        raise InputError(f"{path}: no column {' and no column '.join(missing)}; it has {', '.join(known)}")
