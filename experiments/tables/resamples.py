"""Metrics of every run on the same resamples of the users, in one compressed file.

Metrics are from 0 to 1 and kept to the nearest 1 / 65,534, as two planes of bytes: high ones hardly differ and compress
well, low ones do not.
"""

from __future__ import annotations

import lzma
import os
import zipfile
from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from lcn_tf.whole_files import replacing

METRICS = ("auc", "gauc")

_UNDEFINED = np.iinfo(np.uint16).max
_STEPS = _UNDEFINED - 1


def pack(values: ArrayLike) -> np.ndarray:
    """Numbers from 0 to 1, or NaN, as 16-bit integers."""
    array = np.asarray(values, np.float64)
    return np.where(np.isnan(array), _UNDEFINED, np.round(array * _STEPS)).astype(np.uint16)


def unpack(codes: np.ndarray) -> np.ndarray:
    """What `pack` was given, float64."""
    return np.where(codes == _UNDEFINED, np.nan, codes / _STEPS)


def read(path: str) -> dict[str, np.ndarray]:
    """Name of a run -> `[2, R]` uint16, rows in the order of `METRICS`; {} where there is no file.

    Raises:
      ValueError: not such a file; the message names it.
    """
    if not os.path.exists(path):
        return {}
    try:
        with np.load(path, allow_pickle=False) as arrays:
            codes = arrays["high"].astype(np.uint16) << 8 | arrays["low"]
            return dict(zip(arrays["runs"].tolist(), codes, strict=True))
    except (OSError, KeyError, ValueError, zipfile.BadZipFile, lzma.LZMAError) as error:
        raise ValueError(f"{path}: not resamples of runs: {error}") from error


def write(path: str, codes: Mapping[str, np.ndarray]) -> None:
    """Replaces the file in one step."""
    stacked = np.stack(list(codes.values()))  # [runs, 2, R]
    arrays = {"runs": np.array(list(codes)), "high": (stacked >> 8).astype(np.uint8),
              "low": (stacked & 255).astype(np.uint8)}
    # As `np.savez_compressed`, which `np.load` reads, in a compression that takes a twentieth less.
    with replacing(path, "wb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_LZMA) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
