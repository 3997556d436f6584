"""An output directory that appears only when it is whole, and whose making can be continued after a kill."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from data_prep.errors import InputError, OutputError
from lcn_tf import json_files
from lcn_tf.whole_files import replacing

_WORK = "work"
_LAST = "schema.json"  # without it, a folder is no prepared data set


class PartialFolder:
    """The folder beside the output directory in which it is made.

    Attributes:
      records: what will be the output directory.
      work: everything else; deleted at the end.
      filling: a file that exists once the records are being moved, one by one, to an output directory that exists.
    """

    def __init__(self, folder: str):
        self.records = os.path.join(folder, "records")
        self.work = os.path.join(folder, _WORK)
        self.filling = os.path.join(self.work, "filling.json")

    def new(self, name: str) -> str:
        """An empty folder in `work`; what an earlier attempt left there is deleted."""
        path = os.path.join(self.work, name)
        shutil.rmtree(path, ignore_errors=True)
        os.makedirs(path)
        return path

    def once(self, name: str, make: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
        """What `make` returned when it was first called for this output directory; JSON."""
        path = os.path.join(self.work, f"{name}.json")
        if not os.path.exists(path):
            write_json(path, make())
        return json_files.read(path, dict)


def write_json(path: str, value: Mapping[str, Any]) -> None:
    """Writes a JSON file that is whole or absent."""
    with replacing(path, partial=f"{path}.partial-{os.getpid()}", sync=False) as file:
        json.dump(value, file, indent=2)


@contextlib.contextmanager
def new_folder(output_dir: str, request: Mapping[str, Any]) -> Iterator[PartialFolder]:
    """A folder that takes the name `output_dir` when the block ends well.

    It lies beside `output_dir`, as `.{name}.partial`. A block that fails or is killed leaves its work there, and the
    next attempt with the same request finds it; another request starts anew. Input that is refused leaves nothing.

    Args:
      output_dir: new or empty directory.
      request: JSON of everything that what is made depends on.

    Raises:
      OutputError: `output_dir` holds something already, its parent cannot be written to, or another process is at work.
    """
    if not output_dir:
        raise OutputError("output_dir must not be empty")
    target = os.path.realpath(output_dir)
    folder = _beside(target)
    if os.path.lexists(target) and not _is_free(target) and not _is_filling(folder, request):
        raise OutputError(f"output_dir {output_dir} exists already: choose another directory or delete it first")
    if os.path.ismount(target):
        raise OutputError(f"output_dir {output_dir} is a whole file system: choose a directory in it")
    with locked(output_dir):
        partial = PartialFolder(folder)
        try:
            _continue_or_start(partial, request)
            yield partial
            _publish(partial, target)
        except InputError:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        except OSError as error:
            reason = error if isinstance(error, OutputError) else f"output_dir {output_dir} cannot be written: {error}"
            raise OutputError(f"{reason} (what is done so far is kept in {folder}: the same command goes on from "
                              "there)") from error
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def locked(output_dir: str) -> Iterator[None]:
    """Keeps other processes from making `output_dir`; the lock is the folder beside it, deleted if it is left empty.

    Raises:
      OutputError: its parent cannot be written to, or another process is at work.
    """
    folder = _beside(os.path.realpath(output_dir))
    try:
        os.makedirs(folder, exist_ok=True)
        lock = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise OutputError(f"output_dir {output_dir} cannot be written: {error}") from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OutputError(f"output_dir {output_dir} is being made by another process") from error
        except OSError:  # a file system without locks
            pass
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                os.rmdir(folder)
    finally:
        os.close(lock)


def _beside(target: str) -> str:
    return os.path.join(os.path.dirname(target), f".{os.path.basename(target)}.partial")


def _continue_or_start(partial: PartialFolder, request: Mapping[str, Any]) -> None:
    if _is_of(partial, request):
        return
    for folder in (partial.work, partial.records):
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
    write_json(os.path.join(partial.work, "request.json"), json.loads(json.dumps(request)))


def _is_of(partial: PartialFolder, request: Mapping[str, Any]) -> bool:
    """Whether an earlier attempt with the same request has left its work."""
    path = os.path.join(partial.work, "request.json")
    if not (os.path.exists(path) and os.path.isdir(partial.records)):
        return False
    return json_files.read(path) == json.loads(json.dumps(request))


def _is_free(target: str) -> bool:
    return os.path.isdir(target) and not os.listdir(target)


def _is_filling(folder: str, request: Mapping[str, Any]) -> bool:
    """Whether an earlier attempt with the same request was killed while it moved the records to their place."""
    partial = PartialFolder(folder)
    return os.path.exists(partial.filling) and _is_of(partial, request)


def _publish(partial: PartialFolder, target: str) -> None:
    """Gives the records their place. A directory that exists stays the same one: somebody may be working in it."""
    if not os.path.isdir(target):
        os.replace(partial.records, target)
        return
    if not os.path.exists(partial.filling):
        if not _is_free(target):
            raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), target)
        write_json(partial.filling, {})
    for name in sorted(os.listdir(partial.records), key=lambda name: name == _LAST):
        place = os.path.join(target, name)
        if os.path.isdir(place):
            shutil.rmtree(place)
        os.replace(os.path.join(partial.records, name), place)
