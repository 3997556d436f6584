"""Files that come packed: `.gz`, and `.tar.gz` with one file in it."""

from __future__ import annotations

import contextlib
import gzip
import os
import shutil
import tarfile
import zlib
from collections.abc import Iterator
from typing import IO

from data_prep.errors import InputError

SUFFIXES = (".gz", ".tar.gz")
_CHUNK_BYTES = 1 << 22
_LONGEST_LINE = 1 << 20


def is_packed(path: str) -> bool:
    """Whether `unpack` has something to do."""
    return path.endswith(".gz")


def first_line(path: str) -> bytes:
    """The first line of a file, packed or not, without its end.

    Raises:
      InputError: the archive is damaged or empty.
    """
    with _opened(path) as files:
        for _, content in files:
            return next(iter(content.readline(_LONGEST_LINE).splitlines()), b"")
    raise InputError(f"{path}: expected one file in the archive, got none")


def unpack(path: str, target: str) -> None:
    """Writes the content of a packed file to `target`.

    Raises:
      InputError: the archive is damaged, ends early, or does not hold exactly one file.
    """
    names = []
    with _opened(path) as files, open(target, "wb") as plain:
        for name, content in files:
            names.append(name)
            if len(names) == 1:
                shutil.copyfileobj(content, plain, _CHUNK_BYTES)
    if len(names) != 1:
        raise InputError(f"{path}: expected one file in the archive, got {', '.join(names) or 'none'}")


@contextlib.contextmanager
def _opened(path: str) -> Iterator[Iterator[tuple[str, IO[bytes]]]]:
    """Name and content of the files in an archive, or of the file itself, one after another."""
    try:
        with gzip.open(path, "rb") if is_packed(path) else open(path, "rb") as content:
            if path.endswith(".tar.gz"):
                with tarfile.open(fileobj=content, mode="r|") as archive:
                    yield _members(archive, content)
            else:
                yield iter([(path, content)])
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"{path}: damaged archive: {error}") from error


def _members(archive: tarfile.TarFile, content: IO[bytes]) -> Iterator[tuple[str, IO[bytes]]]:
    for member in archive:
        if member.isfile() and not os.path.basename(member.name).startswith("."):
            yield member.name, archive.extractfile(member)
    while content.read(_CHUNK_BYTES):  # to the checksum at its end
        pass
