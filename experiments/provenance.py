"""What produced a figure: the commit, the versions and the machine."""

from __future__ import annotations

import functools
import os
import pathlib
import platform
import subprocess
from typing import Any

import lcn_tf  # chooses Keras 2 before TensorFlow is loaded

# isort: split
import tensorflow as tf

TENSORFLOW = tf.__version__


def describe() -> dict[str, Any]:
    """`commit`, `versions` and `hardware`, as they stand beside every result."""
    return {
        "commit": _commit(),
        "versions": {"lcn_tf": lcn_tf.__version__, "tensorflow": TENSORFLOW, "python": platform.python_version()},
        "hardware": {"machine": platform.machine(), "cpus": os.cpu_count(),
                     "gpus": len(tf.config.list_physical_devices("GPU"))},
    }


def _commit(folder: pathlib.Path = pathlib.Path(__file__).parent.parent) -> str | None:
    """The checkout's commit, with "-dirty" where tracked files but results differ from it; None outside a checkout."""
    if not (folder / ".git").exists():
        return None
    git = functools.partial(subprocess.run, cwd=folder, capture_output=True, text=True, check=False)
    try:
        commit = git(["git", "rev-parse", "HEAD"]).stdout.strip()
        changed = git(["git", "diff", "HEAD", "--name-only", "--", ".", ":!experiments/results"]).stdout
    except FileNotFoundError:
        return None
    return f"{commit}-dirty" if commit and changed else commit or None
