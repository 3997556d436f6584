"""An output directory that appears only when it is whole."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator

from data_prep.errors import OutputError


@contextlib.contextmanager
def new_folder(output_dir: str) -> Iterator[str]:
    """A temporary folder beside `output_dir` that takes its name when the block ends well, and is deleted otherwise.

    Raises:
      OutputError: `output_dir` holds something already, or its parent cannot be written to.
    """
    target = os.path.abspath(output_dir)
    if os.path.exists(target) and not (os.path.isdir(target) and not os.listdir(target)):
        raise OutputError(f"output_dir {output_dir} exists already: choose another directory or delete it first")
    try:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        folder = tempfile.mkdtemp(prefix=f".{os.path.basename(target)}.partial-", dir=os.path.dirname(target))
    except OSError as error:
        raise OutputError(f"output_dir {output_dir} cannot be written: {error}") from error
    try:
        yield folder
        os.chmod(folder, 0o777 & ~_umask())
        os.replace(folder, target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask
