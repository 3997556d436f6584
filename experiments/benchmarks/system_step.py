"""What each further system costs beside LCN-200-50: time of a training step, weights, bytes of tables, peak memory.

    python -m experiments.benchmarks.system_step [--output=system_step.json] -- [--dataset=industrial]

The rows are those of `python -m experiments.tables --table=systems`. What follows `--` are flags of `experiments.run`:
the data, which is prepared if missing. Models train on the same first batches of the training split; steps are as
`fit` traces them and take turns, so that ratios are of one turn. Peak memory is of a few steps in a process of its own,
beyond what is resident once TensorFlow is loaded. Written as `system_step.json` into a folder of results, the figures
stand in the table of systems.
"""

from __future__ import annotations

import os
import statistics
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from absl import app, logging
from absl import flags as absl_flags

import lcn_tf  # noqa: F401  (chooses Keras 2 before TensorFlow is loaded)

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from command_line.text_table import align
from experiments import flags
from experiments.benchmarks import flags as common
from experiments.benchmarks import measure
from experiments.benchmarks.run_steps import RunSteps
from experiments.tables.report import SYSTEM_COSTS
from experiments.tables.rows import Row
from experiments.tables.systems import SYSTEMS

_ROWS = absl_flags.DEFINE_list("rows", [], "cfgs of the rows to measure beside the first; none given: all")

_MEMORY_STEPS = 3  # from the second one on, the optimiser's temporary tensors are in memory already


def main(argv: list[str]) -> None:
    """Runs the benchmark, prints its table and writes the JSON file; bad input ends in one line."""
    logging.set_verbosity(logging.WARNING)
    settings = {flag.name: flag.value for flag in (_ROWS, common.STEPS, common.MEMORY)}
    output = common.OUTPUT.value or SYSTEM_COSTS  # now: flags of runs are parsed afresh
    try:
        if not os.path.isdir(os.path.dirname(output) or "."):  # now: measuring takes long
            raise ValueError(f"--output={output}: there is no folder {os.path.dirname(output)}")
        figures = measure_systems(_chosen(_ROWS.value), common.STEPS.value, common.MEMORY.value, argv[1:])
        measure.write_figures(output, {**settings, "flags": argv[1:]}, figures)
    except (absl_flags.Error, ValueError, OSError, RuntimeError) as error:
        sys.exit(f"error: {error}")
    print(report(figures))


def _chosen(cfgs: Sequence[str]) -> list[Row]:
    first, *others = SYSTEMS.rows
    if unknown := sorted(set(cfgs) - {row.cfg for row in others}):
        raise ValueError(f"--rows names {unknown[0]!r}; known: {', '.join(dict.fromkeys(row.cfg for row in others))}")
    return [first, *(row for row in others if not cfgs or row.cfg in cfgs)]


def measure_systems(rows: Sequence[Row], steps: int, memory: bool, arguments: Sequence[str]) -> list[dict[str, Any]]:
    """The figures of rows: medians over the turns, ratios within turns, the first row being what is compared with."""
    flags.define()
    told = {row.name: [f"--flagfile={row.cfg}", "--dataset=industrial", *row.flags, *arguments] for row in rows}
    models = {name: RunSteps(words) for name, words in told.items()}
    seconds = measure.durations(models, steps)
    first = seconds[rows[0].name]
    return [{"row": name, "seconds": statistics.median(values), "steps": steps,
             "over_first": measure.ratio(values, first), "trained": models[name].trained,
             "table_bytes": models[name].table_bytes,
             "peak_bytes": measure.in_own_process(peak_bytes, told[name]) if memory else None}
            for name, values in seconds.items()]


def peak_bytes(arguments: Sequence[str]) -> int:
    """What a few steps add at most to the memory of this process; to be called first."""
    flags.define()
    before = measure.resident_bytes()
    with measure.PeakMemory() as memory:
        steps = RunSteps(arguments)
        for _ in range(_MEMORY_STEPS):
            steps()
    return memory.bytes - before


def report(figures: Sequence[Mapping[str, Any]]) -> str:
    """The figures as text."""
    lines = [["system", "ms", "over the first", "trained numbers", "MiB of tables", "peak MiB"]]
    lines += [[one["row"], f"{1e3 * one['seconds']:,.0f}", f"{one['over_first']:.2f}", f"{one['trained']:,}",
               f"{one['table_bytes'] / 2**20:.1f}", measure.mebibytes(one["peak_bytes"])] for one in figures]
    return "\n".join(align(lines))


if __name__ == "__main__":
    app.run(main)
