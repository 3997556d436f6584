"""What each population was shown on each day, on the disk: a test that was killed goes on with the day after."""

from __future__ import annotations

import os

import numpy as np
import pandas as pd

from experiments.ab_test.outcomes import LATENCY_COLUMNS
from lcn_tf.whole_files import replacing


class ServedDays:
    """The folder of a test's days.

    Attributes:
      folder: created if missing.
    """

    def __init__(self, folder: str):
        self.folder = folder

    def read(self, population: str, day: int) -> np.ndarray | None:
        """`[n, S]` places of what the day's requests showed; None where the day is not served yet."""
        path = self._path(population, day)
        return np.load(path).astype(np.int64) if os.path.exists(path) else None

    def write(self, population: str, day: int, places: np.ndarray) -> None:
        """Keeps a day that is served."""
        path = self._path(population, day)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with replacing(path, "wb") as file:
            np.save(file, places.astype(np.int16))

    def read_latency(self, day: int) -> pd.DataFrame | None:
        """The calls that were timed on a day; None where that is not done yet."""
        path = self._path("latency", day, "csv")
        return pd.read_csv(path).astype({name: kind for name, kind in LATENCY_COLUMNS.items() if kind != "str"}) \
            if os.path.exists(path) else None

    def write_latency(self, day: int, calls: pd.DataFrame) -> None:
        """Keeps the calls that were timed on a day."""
        path = self._path("latency", day, "csv")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with replacing(path) as file:
            calls.to_csv(file, index=False)

    def _path(self, kind: str, day: int, suffix: str = "npy") -> str:
        return os.path.join(self.folder, kind.replace(":", "_"), f"{day:04d}.{suffix}")
