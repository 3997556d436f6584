"""How far training is, kept in its checkpoints."""

from __future__ import annotations

import time

import tensorflow as tf


class Progress(tf.Module):
    """Epochs that are done, and the batches and seconds of the one under way; the seconds of all processes of a run.

    Attributes:
      epoch: int64 variable.
      step: int64 variable.
    """

    def __init__(self):
        super().__init__(name="progress")
        self.epoch, self.step = (tf.Variable(0, dtype=tf.int64, trainable=False, name=name) for name in
                                 ("epoch", "step"))
        self._seconds = tf.Variable(0.0, dtype=tf.float64, trainable=False, name="seconds")
        self._started = time.monotonic()

    @property
    def checkpoint(self) -> str:
        """Name of the checkpoint of this place in a run; no other place has it."""
        return f"epoch-{int(self.epoch)}-step-{int(self.step)}"

    def start(self) -> None:
        """The clock runs from here, or from where it was when the checkpoint was written."""
        self._started = time.monotonic() - float(self._seconds)

    def seconds(self) -> float:
        """Of the epoch under way, without what a kill has undone; to be in the next checkpoint."""
        self._seconds.assign(time.monotonic() - self._started)
        return float(self._seconds)

    def end_epoch(self) -> None:
        """Another epoch is done; the next one's clock runs from here."""
        self.epoch.assign_add(1)
        self.step.assign(0)
        self._seconds.assign(0.0)
        self.start()
