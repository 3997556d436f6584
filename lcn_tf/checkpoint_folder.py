"""Checkpoints and exports in folders whatever signs the folders' names have.

TensorFlow takes the path of what it is to read, and `tf.train.CheckpointManager` that of what it is to remove, for a
pattern: in a folder called `lr[0.1]` they find nothing, or files of another folder.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

PATTERN_SIGNS = "[\\"  # as patterns, the others stand for themselves, too


def latest_checkpoint(folder: str) -> str | None:
    """Path of the newest checkpoint, without the endings of its files; None where there is none."""
    state = tf.train.get_checkpoint_state(folder)
    if state is None or not os.path.exists(f"{state.model_checkpoint_path}.index"):
        return None
    return state.model_checkpoint_path


def restore(checkpoint: tf.train.Checkpoint, path: str) -> Any:
    """`checkpoint.read(path)`, of variables that exist already."""
    with readable(path) as name:
        return checkpoint.read(name)


@contextlib.contextmanager
def readable(path: str) -> Iterator[str]:
    """A checkpoint or an export under a name that TensorFlow can read from: where it must be, through a link."""
    if not set(path) & set(PATTERN_SIGNS):
        yield path
        return
    path = os.path.abspath(path)
    folder, name = (path, "") if os.path.isdir(path) else os.path.split(path)
    with tempfile.TemporaryDirectory(prefix="readable-") as temporary:
        link = os.path.join(temporary, "folder")
        os.symlink(folder, link)
        yield os.path.join(link, name)
