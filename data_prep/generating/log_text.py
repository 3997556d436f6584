"""The text of generated logs."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from pyarrow import csv

LINE_ENDS = {"lf": b"\n", "crlf": b"\r\n"}


def probability_texts(probability: np.ndarray) -> np.ndarray:
    """`[n]` probabilities as text of eight decimals, never all zeros or one, so that logits are finite."""
    decimals = np.clip(np.rint(probability * 1e8), 1, 1e8 - 1).astype(np.int64).astype("U8")
    return np.strings.add("0.", np.strings.zfill(decimals, 8)) if len(decimals) else decimals  # zfill takes no n = 0


def csv_rows(columns: Sequence[np.ndarray], line_end: bytes = LINE_ENDS["lf"]) -> bytes:
    """Columns as CSV without a header.

    Args:
      columns: `[n]` integers or texts, one array per column; texts hold no commas, quotes and line ends.
      line_end: after every row.
    """
    text = io.BytesIO()
    table = pa.table(list(columns), names=[str(number) for number in range(len(columns))])
    csv.write_csv(table, text, csv.WriteOptions(include_header=False, quoting_style="none"))
    return text.getvalue().replace(LINE_ENDS["lf"], line_end)
