"""The newest version of a folder of exports, always: loaded and warmed up beside the old one, then switched.

As TensorFlow Serving does by default: the largest number among the folder's entries is aspired; it takes over when it
has answered its warm-up requests; the old one goes when its last request is answered. No request fails in between.
A version without warm-up requests is refused: TensorFlow loads an export whose weights are not copied yet without a
word, and only a request finds out.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf
from google.protobuf.message import DecodeError

from lcn_tf.serving.c_session import CSession, SessionError
from lcn_tf.serving.warmup import WARMUP_PATH, log_class

Event = tuple[float, int, str]


class ServedVersions:
    """Watches a folder and leases sessions of its newest version that loads.

    Args:
      base_path: folder of versions.
      poll_seconds: between two looks.
      threads: of each session, see `CSession`.

    Attributes:
      events: what happened, as (`time.perf_counter()`, version, text), in order: "loading", "serving", "closed", or why
        it was not loaded; a version that does not load, or a folder that cannot be read, is tried again at every look,
        and told once.

    Raises:
      SessionError: no version loads.
    """

    def __init__(self, base_path: str, poll_seconds: float = 1.0, threads: int | None = None):
        self.base_path = base_path
        self.events: list[Event] = []
        self._threads = threads
        self._lock = threading.Lock()
        self._current: _Leased | None = None
        self._ended = threading.Event()
        if not self.look():
            raise SessionError(f"{base_path}: no version loads; {self.events[-1][2] if self.events else 'it has none'}")
        self._watcher = threading.Thread(target=self._watch, args=(poll_seconds,), daemon=True)
        self._watcher.start()

    @contextmanager
    def lease(self) -> Iterator[tuple[int, CSession]]:
        """The version that serves now and its session, which stays open until the block ends."""
        with self._lock:
            leased = self._current
            if leased is None:
                raise SessionError(f"{self.base_path}: closed")
            leased.users += 1
        try:
            yield leased.version, leased.session
        finally:
            self._release(leased)

    def look(self) -> bool:
        """Loads the newest version where it is not the one that serves; returns whether one serves."""
        newest = max((int(name) for name in os.listdir(self.base_path) if name.isdecimal()), default=None)
        old = self._current
        if newest is None or (old is not None and newest == old.version):
            return old is not None
        if not self.events or self.events[-1][1] != newest:
            self._note(newest, "loading")
        try:
            session = CSession(os.path.join(self.base_path, str(newest)), self._threads)
        except SessionError as error:
            self._refuse(newest, error)
            return old is not None
        try:
            if not warm_up(session):
                raise SessionError(f"{session.path}: no warm-up requests, so it may not be whole")
        except (SessionError, OSError, tf.errors.OpError, DecodeError) as error:
            session.close()
            self._refuse(newest, error)
            return old is not None
        with self._lock:
            self._current = _Leased(newest, session)
        self._note(newest, "serving")
        if old is not None:
            self._release(old)  # the lease of being the current one
        return True

    def close(self) -> None:
        """Stops watching, and closes the session after its last request."""
        self._ended.set()
        self._watcher.join()
        with self._lock:
            last, self._current = self._current, None
        if last is not None:
            self._release(last)

    def _watch(self, seconds: float) -> None:
        while not self._ended.wait(seconds):
            try:
                self.look()
            except OSError as error:  # the folder is away, and may come back
                self._refuse(self.events[-1][1], error)

    def _refuse(self, version: int, error: Exception) -> None:
        text = " ".join(str(error).split())
        if self.events[-1][2] != text:
            self._note(version, text)

    def _release(self, leased: _Leased) -> None:
        with self._lock:
            leased.users -= 1
            unused = leased.users == 0
        if unused:
            leased.session.close()
            self._note(leased.version, "closed")

    def _note(self, version: int, text: str) -> None:
        self.events.append((time.perf_counter(), version, text))


class _Leased:
    """A session and how many use it; being the current one is a use."""

    def __init__(self, version: int, session: CSession):
        self.version = version
        self.session = session
        self.users = 1


def warm_up(session: CSession) -> int:
    """Answers the warm-up requests of a session's export; returns how many there are."""
    path = os.path.join(session.path, WARMUP_PATH)
    if not os.path.exists(path):
        return 0
    message, count = log_class(), 0
    for record in tf.data.TFRecordDataset(path).as_numpy_iterator():
        request = message.FromString(record).predict_log.request  # type: ignore[attr-defined]
        inputs = {name: tf.make_ndarray(value) for name, value in request.inputs.items()}
        session.run(request.model_spec.signature_name, inputs)
        count += 1
    return count
