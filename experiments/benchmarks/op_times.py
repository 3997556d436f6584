"""Where the time of a call goes: TensorFlow's profiler, summed over the name scopes of a model's parts."""

from __future__ import annotations

import collections
import glob
import os
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf
from tensorflow.tsl.profiler.protobuf import xplane_pb2

from command_line.text_table import align

REST = "rest"

_BRANCH = re.compile(r"cond(_\d+)?/(then|else)/_\d+/")  # what a graph's conditional puts in front of an operation
_PICOSECONDS = 1e12


def op_seconds(call: Callable[[], Any], runs: int = 20) -> dict[str, float]:
    """Seconds of each operation of a call, by its name in the graph; means over the runs, after two that do not count.

    Operations run beside each other, so that their sum is more than the call takes. One that several graphs have by the
    same name counts once for all of them.
    """
    for _ in range(2):
        call()
    with tempfile.TemporaryDirectory() as folder:
        tf.profiler.experimental.start(folder)
        for _ in range(runs):
            call()
        tf.profiler.experimental.stop()
        spaces = [_space(path) for path in glob.glob(os.path.join(folder, "**", "*.xplane.pb"), recursive=True)]
    found: collections.Counter[str] = collections.Counter()
    for plane in (plane for space in spaces for plane in space.planes):
        of_ops = {key: metadata.name for key, metadata in plane.event_metadata.items() if metadata.display_name}
        for event in (event for line in plane.lines for event in line.events):
            if event.metadata_id in of_ops:
                found[_BRANCH.sub("", of_ops[event.metadata_id])] += event.duration_ps / _PICOSECONDS / runs
    return dict(found)


def by_part(seconds: Mapping[str, float], parts: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """Seconds by part, the longest first, the rest last.

    Args:
      seconds: of operations.
      parts: name -> scopes, any of which, as whole words of a path, makes an operation part of it; the first part that
        has one counts.
    """
    found: collections.Counter[str] = collections.Counter(dict.fromkeys(parts, 0.0))
    for operation, spent in seconds.items():
        path = f"/{operation.rpartition(':')[0]}/"
        found[next((part for part, scopes in parts.items() if any(f"/{scope}/" in path for scope in scopes)),
                   REST)] += spent
    rest = found.pop(REST, 0.0)
    return {**{part: spent for part, spent in found.most_common() if spent}, REST: rest}


def table(columns: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Milliseconds of parts, a column for each call; lines of text."""
    parts = list(dict.fromkeys(part for column in columns.values() for part in column if part != REST))
    rows = [("ms of operations", *columns)]
    rows += [(part, *(f"{1e3 * column[part]:.1f}" if part in column else "" for column in columns.values()))
             for part in (*parts, REST)]
    rows.append(("sum", *(f"{1e3 * sum(column.values()):.1f}" for column in columns.values())))
    return align(rows)


def _space(path: str) -> xplane_pb2.XSpace:
    with open(path, "rb") as file:
        return xplane_pb2.XSpace.FromString(file.read())
