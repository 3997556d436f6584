"""Metrics of a run on resamples of the users, as short text: a line of `results.jsonl` holds two thousand of them."""

from __future__ import annotations

import base64

import numpy as np
from numpy.typing import ArrayLike

_UNDEFINED = np.iinfo(np.uint16).max
_STEPS = _UNDEFINED - 1


def pack(values: ArrayLike) -> str:
    """Numbers `[R]` from 0 to 1, or NaN, to the nearest 1 / 65,534: base64 of little-endian 16-bit integers."""
    array = np.asarray(values, np.float64)
    codes = np.where(np.isnan(array), _UNDEFINED, np.round(array * _STEPS))
    return base64.b64encode(codes.astype("<u2").tobytes()).decode()


def unpack(text: str) -> np.ndarray:
    """What `pack` was given, `[R]` float64."""
    codes = np.frombuffer(base64.b64decode(text), "<u2")
    return np.where(codes == _UNDEFINED, np.nan, codes / _STEPS)
