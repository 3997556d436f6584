"""Checkpoints of a run, also of one by several processes: all take part in saving, the chief's files stay."""

from __future__ import annotations

import os
import shutil
import tempfile

import tensorflow as tf


class Checkpoints:
    """The newest checkpoints of some objects in a folder that every process of a run sees.

    Variables that replicas hold parts of (metrics) are summed while they are saved, for which all processes must call
    `save` together; what others than the chief write goes to a folder of their own and is removed again.

    Args:
      checkpoint: what to save.
      folder: where the chief's files go.
      max_to_keep: how many stay.
      chief: whether this process's files are to stay.
    """

    def __init__(self, checkpoint: tf.train.Checkpoint, folder: str, max_to_keep: int, chief: bool = True):
        self.checkpoint = checkpoint
        self.folder = folder
        checkpoint.save_counter  # noqa: B018  (creates it here: inside `fit` every process would have to)
        self._manager = tf.train.CheckpointManager(checkpoint, folder, max_to_keep) if chief else None

    @property
    def latest(self) -> str | None:
        """Path of the newest checkpoint; None before the first."""
        return tf.train.latest_checkpoint(self.folder)

    def save(self) -> None:
        """Saves a checkpoint."""
        if self._manager:
            self._manager.save()
            return
        temporary = tempfile.mkdtemp(prefix="checkpoint-")
        try:
            self.checkpoint.write(os.path.join(temporary, "checkpoint"))
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
