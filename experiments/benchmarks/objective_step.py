"""What a training step costs with each auxiliary objective beside LCN-200-50, in time and in weights that it trains.

    python -m experiments.benchmarks.objective_step [--objectives=crp,dss] [--output=objective_step.json] \
        -- [--dataset=industrial] [--input_dir=...]

What follows `--` are flags of `experiments.run`: the data, which is prepared if missing, and what else a run may be
told. Models train on the same first batches of the training split; steps are as `fit` traces them and take turns, so
that ratios are of one turn. Serving costs nothing: objectives are in no export. Written as `objective_step.json` into a
folder of results, the figures stand in Table 5.
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
from experiments.tables.report import STEP_COSTS
from lcn_tf.models import registry

_OBJECTIVES = absl_flags.DEFINE_list("objectives", list(registry.components("objectives")), "which to measure")

NONE, BASE = "none", "crp"  # what is compared with


def steps_of(objective: str, arguments: Sequence[str]) -> RunSteps:
    """Training steps of LCN-200-50 with one objective, or none."""
    chosen = "" if objective == NONE else objective
    return RunSteps(["--flagfile=lcn_200_50.cfg", "--dataset=industrial", *arguments, f"--model.objectives={chosen}"])


def main(argv: list[str]) -> None:
    """Runs the benchmark, prints its table and writes the JSON file; bad input ends in one line."""
    logging.set_verbosity(logging.WARNING)
    settings = {flag.name: flag.value for flag in (_OBJECTIVES, common.STEPS)}
    output = common.OUTPUT.value or STEP_COSTS  # now: flags of runs are parsed afresh
    try:
        if not os.path.isdir(os.path.dirname(output) or "."):  # now: measuring takes long
            raise ValueError(f"--output={output}: there is no folder {os.path.dirname(output)}")
        figures = measure_objectives(_OBJECTIVES.value, common.STEPS.value, argv[1:])
        measure.write_figures(output, {**settings, "flags": argv[1:]}, figures)
    except (absl_flags.Error, ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    print(report(figures))


def measure_objectives(objectives: Sequence[str], steps: int, arguments: Sequence[str]) -> list[dict[str, Any]]:
    """The figures of no objective, CRP and those that are named: medians over the turns, ratios within turns.

    Raises:
      ValueError: an objective or flags that are not known.
    """
    if unknown := sorted(set(objectives) - set(registry.components("objectives"))):
        raise ValueError(f"--objectives names {unknown[0]!r}; known: {', '.join(registry.components('objectives'))}")
    flags.define()
    models = {name: steps_of(name, arguments) for name in dict.fromkeys((NONE, BASE, *objectives))}
    seconds = measure.durations(models, steps)
    return [{"objective": name, "seconds": statistics.median(values), "steps": steps,
             "over_none": measure.ratio(values, seconds[NONE]), "over_crp": measure.ratio(values, seconds[BASE]),
             "trained": models[name].trained, "trained_over_none": models[name].trained / models[NONE].trained}
            for name, values in seconds.items()]


def report(figures: Sequence[Mapping[str, Any]]) -> str:
    """The figures as text."""
    lines = [["objective", "ms", "over none", "over crp", "trained numbers", "over none"]]
    lines += [[one["objective"], f"{1e3 * one['seconds']:,.0f}", f"{one['over_none']:.2f}", f"{one['over_crp']:.2f}",
               f"{one['trained']:,}", f"{one['trained_over_none']:.2f}"] for one in figures]
    return "\n".join(align(lines))


if __name__ == "__main__":
    app.run(main)
