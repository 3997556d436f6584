"""Validation metrics of every epoch for TensorBoard, beside the training's curves."""

from __future__ import annotations

import glob
import os
from collections.abc import Mapping, Sequence

import tensorflow as tf

_PREFIX = "validation_"


class ValidationScalars:
    """Scalars `epoch_<metric>`, named and counted as Keras' own, of the `validation_<metric>` columns of `history.csv`.

    What a run that was killed had written is replaced by its history, so that no epoch is missing or there twice.

    Args:
      folder: of TensorBoard's run "validation"; gets one event file.
      history: rows of the epochs that are done.
    """

    def __init__(self, folder: str, history: Sequence[Mapping[str, float]]):
        for path in glob.glob(os.path.join(glob.escape(folder), "events.out.tfevents.*")):
            os.remove(path)
        self._writer = tf.summary.create_file_writer(folder)
        for row in history:
            self.write(row)

    def write(self, row: Mapping[str, float]) -> None:
        """Adds an epoch."""
        with self._writer.as_default(step=int(row["epoch"]) - 1):
            for name, value in row.items():
                if name.startswith(_PREFIX):
                    tf.summary.scalar(f"epoch_{name.removeprefix(_PREFIX)}", value)
        self._writer.flush()
