"""Checkpoints of a run, also of one by several processes: all take part in saving, the chief's files stay."""

from __future__ import annotations

import os
import re
import shutil
import tempfile

import tensorflow as tf

from lcn_tf.whole_files import write_text

_STATE = "checkpoint"  # TensorFlow's name for the file that says which checkpoint is the newest
_FILE = re.compile(r"(?P<name>.+)(\.index|\.data-\d{5}-of-\d{5}|_temp)")


class Checkpoints:
    """Checkpoints of some objects, by name, in a folder that every process of a run sees.

    TensorFlow's `CheckpointManager` is out of use: see `lcn_tf.checkpoint_folder`.

    Variables that replicas hold parts of (metrics) are summed while they are saved, for which all processes must call
    `write` together; what others than the chief write goes to a folder of their own and is removed again.

    Args:
      checkpoint: what to save.
      folder: where the chief's files go.
      chief: whether this process's files are to stay.
    """

    def __init__(self, checkpoint: tf.train.Checkpoint, folder: str, chief: bool = True):
        self.checkpoint = checkpoint
        self.folder = folder
        self.chief = chief

    def write(self, name: str) -> None:
        """Writes a checkpoint; until it is kept, the one that was kept before stays and is the newest."""
        if not self.chief:
            self._take_part()
            return
        os.makedirs(self.folder, exist_ok=True)
        self.checkpoint.write(os.path.join(self.folder, name))

    def keep(self, name: str) -> None:
        """Makes a checkpoint the one that `latest_checkpoint` finds, and removes all others and halves of one."""
        if not self.chief:
            return
        write_text(os.path.join(self.folder, _STATE),
                   f'model_checkpoint_path: "{name}"\nall_model_checkpoint_paths: "{name}"\n')
        for entry in os.listdir(self.folder):
            found = _FILE.fullmatch(entry)
            if found and (found["name"] != name or entry.endswith("_temp")):
                path = os.path.join(self.folder, entry)
                shutil.rmtree(path) if os.path.isdir(path) else os.remove(path)

    def _take_part(self) -> None:
        temporary = tempfile.mkdtemp(prefix="checkpoint-")
        try:
            self.checkpoint.write(os.path.join(temporary, "checkpoint"))
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
