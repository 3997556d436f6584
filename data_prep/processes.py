"""Calls a function in several processes, which end when this one does, however it ends.

Each process reads its work from a pipe and stops at the pipe's end. The pools of `concurrent.futures` need a guard in
the script that is running, and their processes and joblib's stay and wait for more work when the parent was killed.
"""

from __future__ import annotations

import concurrent.futures
import os
import pickle
import queue
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import BinaryIO

from data_prep.errors import OutputError

_SERVE = "from data_prep.processes import serve; serve()"


def for_each(function: Callable[[int], None], items: Sequence[int], workers: int) -> None:
    """Calls `function` for every item; the first error is raised, after the calls under way have ended.

    Args:
      function: picklable, of an importable module.
      items: its arguments.
      workers: processes; with 1, this process does the work itself.

    Raises:
      OutputError: a process was killed, as the kernel does when memory is short.
    """
    workers = min(workers, len(items))
    if workers <= 1:
        for item in items:
            function(item)
        return
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    for item in items:
        waiting.put(item)
    with concurrent.futures.ThreadPoolExecutor(workers) as threads:
        running = [threads.submit(_drive, function, waiting) for _ in range(workers)]
        for worker in concurrent.futures.as_completed(running):
            worker.result()


def _drive(function: Callable[[int], None], waiting: queue.SimpleQueue[int]) -> None:
    """Hands items to one process until none is left, or until one fails; then nobody gets another."""
    environment = {"TF_CPP_MIN_LOG_LEVEL": "2", **os.environ,
                   "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with subprocess.Popen([sys.executable, "-c", _SERVE], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          env=environment) as process:
        try:
            while True:
                try:
                    item = waiting.get_nowait()
                except queue.Empty:
                    return
                error = _call(process, function, item)
                if error is not None:
                    raise error
        except BaseException:
            while not waiting.empty():
                waiting.get_nowait()
            raise


def _call(process: subprocess.Popen[bytes], function: Callable[[int], None], item: int) -> BaseException | None:
    try:
        pickle.dump((function, item), process.stdin)
        process.stdin.flush()
        return pickle.load(process.stdout)  # noqa: S301 (from our own process)
    except (EOFError, BrokenPipeError):
        return OutputError(f"a process that wrote records ended with status {process.wait()}: it was killed, perhaps "
                           "for lack of memory (fewer workers need less)")


def serve() -> None:
    """A process's side: calls what comes in on standard input and answers None or the error."""
    answers: BinaryIO = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what the function prints is no answer
    while True:
        try:
            function, item = pickle.load(sys.stdin.buffer)  # noqa: S301
        except EOFError:
            return
        try:
            function(item)
            answer = None
        except Exception as error:
            answer = error
        try:
            pickle.dump(answer, answers)
            answers.flush()
        except BrokenPipeError:  # nobody is left to hear it
            return
