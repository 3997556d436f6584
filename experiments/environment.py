"""What produced a figure: the commit, the versions and the machine."""

from __future__ import annotations

import os
import platform
import subprocess
from typing import Any

import tensorflow as tf

import lcn_tf


def describe() -> dict[str, Any]:
    """`commit`, `versions` and `hardware`, as they stand beside every result."""
    return {
        "commit": _commit(),
        "versions": {"lcn_tf": lcn_tf.__version__, "tensorflow": tf.__version__, "python": platform.python_version()},
        "hardware": {"machine": platform.machine(), "cpus": os.cpu_count(),
                     "gpus": len(tf.config.list_physical_devices("GPU"))},
    }


def _commit() -> str | None:
    """The checkout's commit, with "-dirty" where files differ from it; None outside a checkout."""
    folder = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    if not os.path.exists(os.path.join(folder, ".git")):
        return None
    command = ["git", "-C", folder, "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or None
    except FileNotFoundError:
        return None
