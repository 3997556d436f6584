"""Tables of any origin: whether their columns hold what they should."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

_ANY_SIGN = ("user",)  # of the other numbers none is below 0


def checked(table: pd.DataFrame, kinds: Mapping[str, str], what: str) -> pd.DataFrame:
    """The columns of a table as the kinds that they should be; whole floats count as integers, integers as text.

    Args:
      table: with these columns and perhaps others.
      kinds: column -> "str", "int64", "float64" or "id": integers, or text.
      what: the table, in messages.

    Raises:
      ValueError: a column or all rows are missing, or a value is none of its column's kind, is not finite, or is below
        0; the message names the column and the value.
    """
    if missing := [name for name in kinds if name not in table.columns]:
        raise ValueError(f"{what}: expected the columns {', '.join(kinds)}, got none called {', '.join(missing)}")
    if table.empty:
        raise ValueError(f"{what}: expected rows, got none")
    return pd.DataFrame({name: _values(table[name], kind) for name, kind in kinds.items()})


def _values(column: pd.Series, kind: str) -> NDArray[Any]:
    if kind == "id":
        kind = "int64" if pd.api.types.is_numeric_dtype(column) else "str"
    return _text(column) if kind == "str" else _numbers(column, kind)


def _text(column: pd.Series) -> NDArray[np.object_]:
    if pd.api.types.is_integer_dtype(column) and not column.isna().any():
        return column.astype(str).to_numpy(object)
    for value in column.unique():
        if not isinstance(value, str) or value.splitlines() != [value]:
            raise ValueError(f"{column.name}: expected one line of text, got {value!r}")
    return column.to_numpy(object)


def _numbers(column: pd.Series, kind: str) -> NDArray[Any]:
    whole, signed = kind == "int64", column.name in _ANY_SIGN
    expected = f"{column.name}: expected {'whole ' if whole else ''}numbers{'' if signed else ' of at least 0'}"
    if not pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        raise ValueError(f"{expected}, got {column.iloc[0]!r}")
    values = column.to_numpy(np.float64, na_value=np.nan)
    wrong = ~np.isfinite(values) | (whole & (values != np.floor(values))) | (not signed) & (values < 0)
    if wrong.any():
        raise ValueError(f"{expected}, got {column[wrong].iloc[0]}")
    return column.to_numpy(kind)
