"""Files that a reader never sees half of: they get their names when they are whole."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import IO, Any

_BUFFER_BYTES = 1 << 20


@contextlib.contextmanager
def replacing(path: str, mode: str = "w", partial: str | None = None, sync: bool = True) -> Iterator[IO[Any]]:
    """Opens a file that takes the name `path`, and the place of what is there, when the block ends well.

    A block that fails leaves `path` as it is, and what it has written under the name `partial`.

    Args:
      path: of the file.
      mode: "w" for UTF-8 text, whose line ends are written as they are given, or "wb".
      partial: name until then, on the same file system; default: `{path}.partial`.
      sync: whether the content is on the disk before it gets its name, so that a loss of power spares it, too.
    """
    partial = partial or f"{path}.partial"
    encoding, newline = (None, None) if "b" in mode else ("utf-8", "")
    with open(partial, mode, _BUFFER_BYTES, encoding, newline=newline) as file:
        yield file
        if sync:
            file.flush()
            os.fsync(file.fileno())
    os.replace(partial, path)


def write_text(path: str, text: str) -> None:
    """Replaces a file's content in one step."""
    with replacing(path) as file:
        file.write(text)
