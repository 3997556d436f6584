"""The folder of generated logs: its files appear when all of them are whole."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterable, Iterator


@contextlib.contextmanager
def appearing_together(output_dir: str, names: Iterable[str]) -> Iterator[str]:
    """A temporary folder whose files move to `output_dir` when the block ends well.

    Every call has a folder of its own, so that processes that write the same files do not meet in them.

    Args:
      output_dir: created if missing; files of the same names are replaced.
      names: of the files that move, in the order in which they do; the rest of the temporary folder is deleted.

    Raises:
      OSError: `output_dir` cannot be written.
    """
    os.makedirs(output_dir, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=output_dir) as folder:
        yield folder
        for name in names:
            os.replace(os.path.join(folder, name), os.path.join(output_dir, name))
