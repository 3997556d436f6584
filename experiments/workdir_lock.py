"""One run at a time in a work folder."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
from collections.abc import Iterator

LOCK = "run.lock"


@contextlib.contextmanager
def held(workdir: str, flag: str = "workdir") -> Iterator[None]:
    """Keeps other processes from running in a work folder, which is created if need be.

    The system holds the lock and lets go of it when this process ends, however it ends; the file says who has it.

    Args:
      workdir: the folder.
      flag: that names it, for messages.

    Raises:
      BlockingIOError: another process has it; the message names its host and process id.
      PermissionError: the folder cannot be written.
    """
    path = os.path.join(workdir, LOCK)
    try:
        os.makedirs(workdir, exist_ok=True)
        file = open(path, "a+", encoding="utf-8")  # noqa: SIM115 (closed below, where the lock ends)
    except OSError as error:
        raise PermissionError(f"--{flag}={workdir} cannot be written: {error.strerror}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            raise BlockingIOError(f"--{flag}={workdir} is in use by {file.read().strip() or 'another process'}; wait "
                                  f"for it, end it, or choose another --{flag}") from error
        except OSError:  # a file system without locks: better a run without one than none
            yield
            return
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)
