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

import tensorflow as tf

from command_line.text_table import align
from experiments import flags, prepared_data
from experiments.benchmarks import flags as common
from experiments.benchmarks import measure
from experiments.tables.report import STEP_COSTS
from lcn_tf.data import pipeline
from lcn_tf.models import build_model, registry
from lcn_tf.training import compile_model

_OBJECTIVES = absl_flags.DEFINE_list("objectives", list(registry.components("objectives")), "which to measure")

NONE, BASE = "none", "crp"  # what is compared with
_BATCHES = 4


class Steps:
    """Training steps of LCN-200-50 with one objective, or none, over the first batches of a training split."""

    def __init__(self, objective: str, arguments: Sequence[str]):
        chosen = "" if objective == NONE else objective
        unexpected = flags.parse(["objective_step", "--flagfile=lcn_200_50.cfg", "--dataset=industrial", *arguments,
                                  f"--model.objectives={chosen}"])[1:]
        if unexpected:
            raise ValueError(f"expected flags of experiments.run, like --dataset=industrial, got {unexpected[0]}")
        experiment = flags.read()
        groups = experiment.groups
        tf.keras.mixed_precision.set_global_policy(groups["train"].precision)
        files = prepared_data.files_of(experiment, prepared_data.find_or_prepare(experiment).data_dir)
        batches = pipeline.read(files, "train", groups["data"], groups["train"].batch_size, seed=(1, 0))
        self.model = build_model(files.schema, groups["data"].lengths_of(files.schema), groups["model"],
                                 experiment.components, groups["embeddings"], 1, files.vectors(), files.catalogue,
                                 groups["balance"])
        compile_model(self.model, groups["train"], 1_000)
        self._kept, self._number = list(batches.take(_BATCHES)), 0
        self._step = tf.function(self.model.train_step, input_signature=[batches.element_spec])

    def __call__(self) -> float:
        """One step; returns the running loss when the step is done."""
        batch = self._kept[self._number % len(self._kept)]
        self._number += 1
        return float(self._step(batch)["loss"])

    @property
    def trained(self) -> int:
        """Numbers that training changes."""
        return sum(weight.shape.num_elements() for weight in self.model.trainable_weights)


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
    models = {name: Steps(name, arguments) for name in dict.fromkeys((NONE, BASE, *objectives))}
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
