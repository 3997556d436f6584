"""Times, peak memory and the file of figures: what every benchmark measures with."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, TypeVar

import numpy as np
import psutil

from experiments import provenance
from lcn_tf.training import results

T = TypeVar("T")

_SAMPLE_SECONDS = 0.1  # a sample looks at every process of the machine: 3 ms


def durations(calls: Mapping[str, Callable[[], Any]], count: int = 20, warmup: int = 2) -> dict[str, np.ndarray]:
    """Seconds of each of `count` runs of several calls that take turns.

    Taking turns, the calls meet alike whatever else the machine does, and `ratio` compares runs of one turn.

    Args:
      calls: name -> call; it must return only when its work is done.
      count: measured turns.
      warmup: turns before those, not measured.

    Returns:
      name -> float64 `[count]`.

    Raises:
      ValueError: `count` below 1.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}")
    seconds = {name: np.zeros(count) for name in calls}
    for turn in range(-warmup, count):
        for name, call in calls.items():
            started = time.perf_counter()
            call()
            if turn >= 0:
                seconds[name][turn] = time.perf_counter() - started
    return seconds


def ratio(values: Sequence[float] | np.ndarray, others: Sequence[float] | np.ndarray) -> float:
    """Median over turns of `value / other`."""
    return float(np.median(np.asarray(values, np.float64) / np.asarray(others, np.float64)))


def in_own_process(function: Callable[..., T], *arguments: Any) -> T:
    """`function(*arguments)` in a new process, whose memory no earlier work has touched.

    Raises:
      RuntimeError: the process was killed.
    """
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=spawn) as process:
        return process.submit(function, *arguments).result()


class PeakMemory:
    """Largest resident memory of a process and its children while the `with` block runs, sampled ten times a second.

    Pages that processes share count once for each of them.

    Args:
      pid: the process; None for this one.

    Attributes:
      bytes: the peak so far.
    """

    def __init__(self, pid: int | None = None):
        self.bytes = 0
        self._pid = pid
        self._ended = threading.Event()
        self._sampler = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> PeakMemory:
        self._look()
        self._sampler.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 traceback: TracebackType | None) -> None:
        self._ended.set()
        self._sampler.join()
        self._look()

    def _sample(self) -> None:
        while not self._ended.wait(_SAMPLE_SECONDS):
            self._look()

    def _look(self) -> None:
        self.bytes = max(self.bytes, resident_bytes(self._pid))


def resident_bytes(pid: int | None = None) -> int:
    """Resident memory of a process (None: this one) and its children; 0 for one that has ended."""
    try:
        root = psutil.Process(pid)
        processes = [root, *root.children(recursive=True)]
    except psutil.Error:
        return 0
    total = 0
    for process in processes:
        try:
            total += process.memory_info().rss
        except psutil.Error:  # it ended in the meantime
            continue
    return total


def mebibytes(count: int | None) -> str:
    """Bytes as a cell of a table; nothing where they were not measured."""
    return "" if count is None else f"{count / 2**20:,.0f}"


def write_figures(path: str, settings: Mapping[str, Any], figures: Any) -> None:
    """Writes a benchmark's figures with its settings, the commit, the versions and the machine as a JSON file."""
    results.write_json(path, {**provenance.describe(), "settings": dict(settings), "figures": figures})
