"""How fast, and in how much memory, raw logs become records, beside a straightforward pandas version.

    python -m experiments.benchmarks.data_preparation [--folder=...] [--output=data_preparation.json]

Generates Taobao-format logs of 5 and of 20 million events, prepares both, the larger one also from Parquet by a mapping
file (`data_prep.own_logs`), and the smaller one with pandas too (`pandas_preparation`), each in a process of its own,
one after the other. Then prepares the smaller in every kind of snapshot, and with one record per impression, for the
bytes per impression. 2 cores, 5 GB of disk: 5 minutes.
"""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import Any

from absl import app, flags

from command_line.text_table import align
from data_prep.taobao.generator import GeneratorConfig, generate
from experiments.benchmarks import flags as common
from experiments.benchmarks import mapped_logs, measure
from lcn_tf.data.prepared_folder import preparation_facts

_SMALL_USERS = flags.DEFINE_integer("small_users", 13_000, "users of the smaller logs, 384 events each", lower_bound=1)
_LARGE_USERS = flags.DEFINE_integer("large_users", 52_000, "users of the larger logs", lower_bound=1)
_MEMORY_LIMIT = flags.DEFINE_string("memory_limit", "4GiB", "memory limit of the preparations")
_FOLDER = flags.DEFINE_string("folder", None, "new folder for logs and records, which stay; none: a temporary one")

REAL_EVENTS = 723_268_134  # rows of Taobao's behaviour log
# With max_candidates=1 a `user` snapshot is one record per impression, with the histories it may see.
SNAPSHOTS = {
    "request": ("--snapshot=request",),
    "day": ("--snapshot=day",),
    "user": ("--snapshot=user",),
    "one record per impression": ("--snapshot=user", "--max_candidates=1"),
}


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a command took: wall time, and the peak of the resident memory of its process and that one's children."""

    seconds: float
    peak_bytes: int


def main(argv: list[str]) -> None:
    """Runs the benchmark, prints its tables and writes the JSON file; bad input ends in one line."""
    if len(argv) > 1:
        sys.exit(f"error: unexpected arguments {argv[1:]}")
    settings = {flag.name: flag.value for flag in (_SMALL_USERS, _LARGE_USERS, _MEMORY_LIMIT)}
    with tempfile.TemporaryDirectory() as temporary:
        try:
            figures = measure_preparations(_FOLDER.value or temporary)
            measure.write_figures(common.OUTPUT.value or "data_preparation.json", settings, figures)
        except (ValueError, OSError, RuntimeError) as error:
            sys.exit(f"error: {error}")
    print(report(figures))


def measure_preparations(folder: str) -> dict[str, Any]:
    """Runs everything in `folder`; returns the figures.

    Raises:
      RuntimeError: a preparation fails; the message holds what it printed.
    """
    logs, costs, events = {}, {}, {}
    for size, users in (("small", _SMALL_USERS.value), ("large", _LARGE_USERS.value)):
        logs[size] = os.path.join(folder, f"logs-{size}")
        generate(logs[size], GeneratorConfig(num_users=users))
    for size, input_dir in logs.items():
        output_dir = os.path.join(folder, f"records-{size}")
        costs[size] = _prepare("data_prep.taobao", output_dir, f"--input_dir={input_dir}")
        events[size] = preparation_facts(output_dir)["rows"]["behavior_log.csv"]["read"]
    mapping = mapped_logs.write(logs["large"], os.path.join(folder, "logs-mapped"))
    costs["mapped"] = _prepare("data_prep.own_logs", os.path.join(folder, "records-mapped"), f"--mapping={mapping}")
    events["mapped"] = events["large"]
    costs["pandas"] = _run("experiments.benchmarks.pandas_preparation", logs["small"],
                           os.path.join(folder, "records-pandas"))
    events["pandas"] = events["small"]
    sizes = {}
    for name, settings in SNAPSHOTS.items():
        output_dir = os.path.join(folder, f"records-{name.replace(' ', '-')}")
        _prepare("data_prep.taobao", output_dir, f"--input_dir={logs['small']}", *settings)
        splits = preparation_facts(output_dir)["splits"].values()
        sizes[name] = sum(split["bytes"] for split in splits) / sum(split["impressions"] for split in splits)
    return figures_of(costs, events, sizes)


def _prepare(module: str, output_dir: str, *settings: str) -> Cost:
    return _run(module, f"--output_dir={output_dir}", f"--memory_limit={_MEMORY_LIMIT.value}", *settings)


def _run(module: str, *arguments: str) -> Cost:
    command = [sys.executable, "-m", module, *arguments]
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        with measure.PeakMemory(process.pid) as memory:
            output = process.communicate()[0]
        seconds = time.perf_counter() - start
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} exited with {process.returncode}:\n{output.decode()}")
    return Cost(seconds, memory.bytes)


def figures_of(costs: Mapping[str, Cost], events: Mapping[str, int], sizes: Mapping[str, float]) -> dict[str, Any]:
    """The figures of the costs of each preparation, the events of each, and bytes per impression."""
    # What an event more costs, free of what every preparation costs.
    per_event = (costs["large"].seconds - costs["small"].seconds) / (events["large"] - events["small"])
    return {
        "preparations": {name: {"events": events[name], "seconds": cost.seconds, "peak_bytes": cost.peak_bytes,
                                "events_per_second": events[name] / cost.seconds} for name, cost in costs.items()},
        "speed_over_pandas": costs["pandas"].seconds / costs["small"].seconds,
        "mapped_over_reader": costs["mapped"].seconds / costs["large"].seconds,
        "peak_large_over_small": costs["large"].peak_bytes / costs["small"].peak_bytes,
        "seconds_per_further_million_events": 1e6 * per_event,
        "hours_for_the_real_log": (costs["large"].seconds + (REAL_EVENTS - events["large"]) * per_event) / 3600,
        "bytes_per_impression": dict(sizes)}


def report(figures: Mapping[str, Any]) -> str:
    """The figures as text."""
    rows: list[Sequence[str]] = [("preparation", "events", "seconds", "events/s", "peak MiB")]
    rows += [(name, f"{cost['events']:,}", f"{cost['seconds']:.1f}", f"{cost['events_per_second']:,.0f}",
              f"{cost['peak_bytes'] / 2**20:,.0f}") for name, cost in figures["preparations"].items()]
    sizes = figures["bytes_per_impression"]
    whole = sizes["one record per impression"]
    records: list[Sequence[str]] = [("records", "bytes per impression", "share")]
    records += [(name, f"{size:,.0f}", f"{size / whole:.2f}") for name, size in sizes.items()]
    return "\n".join([
        *align(rows), "",
        f"{figures['speed_over_pandas']:.1f} times as fast as pandas; the larger log's peak memory is "
        f"{figures['peak_large_over_small']:.2f} times the smaller's;",
        f"by a mapping the larger one takes {figures['mapped_over_reader']:.2f} times as long;",
        f"{figures['seconds_per_further_million_events']:.2f} s for a million events more, hence "
        f"{figures['hours_for_the_real_log']:.1f} hours for {REAL_EVENTS:,}", "",
        *align(records)])


if __name__ == "__main__":
    app.run(main)
