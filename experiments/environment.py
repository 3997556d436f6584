"""What produced a figure: the commit, the code, the versions and the machine."""

from __future__ import annotations

import ast
import functools
import hashlib
import os
import pathlib
import platform
import subprocess
from typing import Any

import lcn_tf  # chooses Keras 2 before TensorFlow is loaded

# isort: split
import tensorflow as tf


def describe() -> dict[str, Any]:
    """`commit`, `code`, `versions` and `hardware`, as they stand beside every result."""
    return {
        "commit": _commit(),
        "code": code_digest(),
        "versions": {"lcn_tf": lcn_tf.__version__, "tensorflow": tf.__version__, "python": platform.python_version()},
        "hardware": {"machine": platform.machine(), "cpus": os.cpu_count(),
                     "gpus": len(tf.config.list_physical_devices("GPU"))},
    }


@functools.cache
def code_digest(folder: pathlib.Path = pathlib.Path(lcn_tf.__file__).parent) -> str:
    """Sixteen hexadecimal digits of a package's statements: neither comments nor docstrings change them."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        tree = ast.parse(path.read_bytes())
        for node in ast.walk(tree):
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node) is not None:
                node.body[0] = ast.Pass()
        digest.update(f"{path.relative_to(folder)}\n{ast.unparse(tree)}\n".encode())
    return digest.hexdigest()[:16]


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
