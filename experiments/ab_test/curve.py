"""Offline gains beside true online effects: every model of Table 2 serves all users of a simulated test alone.

    python -m experiments.ab_test.curve --output_dir=runs/ab_curve
    python -m experiments.ab_test.curve --output_dir=runs/ab_curve --arms=sim=A/saved_model/1,lcn=B/saved_model/1

It takes the flags of `python -m experiments.ab_test` and does that test first: models that are missing are trained on
the logs of the days before it, finished runs are given by their exports; the same command goes on with what was
stopped. `curve.md`, `.png` and `.json` have ΔAUC and ΔGAUC on the test split of each run's records, the true ΔCTR and
Δstay, and their rank correlations. Policies (`--arms=...,oracle=oracle`) are lines of the table without offline
metrics.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence

import pandas as pd
from absl import app
from absl import flags as absl_flags

import lcn_tf  # noqa: F401  (chooses Keras 2 before TensorFlow is loaded)

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from data_prep.errors import InputError
from experiments.ab_test import flags, offline_online
from experiments.ab_test.analysis.totals import of_population
from experiments.ab_test.offline_online import Model
from experiments.ab_test.outcomes import OUTCOMES, alone
from experiments.ab_test.run import run
from experiments.ab_test.settings import ABTestConfig
from experiments.ab_test.simulation.config import WorldConfig
from experiments.tables.rows import TABLES
from lcn_tf.training import results
from lcn_tf.whole_files import write_text

CONTROL = "sim"


def table_2() -> tuple[str, ...]:
    """Each model of Table 2 as an arm, the control first: those that a flag file says all of."""
    cfgs = dict.fromkeys(row.cfg for row in TABLES["2"].rows if not row.flags)
    names = [os.path.splitext(cfg)[0] for cfg in cfgs]
    return tuple(f"{name}={name}.cfg" for name in sorted(names, key=lambda name: name != CONTROL))


def make(config: ABTestConfig, world: WorldConfig, arguments: Sequence[str], command: str) -> str:
    """Does what is left of the test and writes the curve; returns its Markdown.

    Args:
      config: of the test.
      world: its users, requests and pages.
      arguments: flags of all models that are trained here.
      command: for the files.

    Raises:
      ValueError: models that go on learning, a run without metrics, or what `run` refuses.
      OSError: a folder that cannot be read or written.
    """
    if config.nightly:
        raise ValueError("training=nightly: offline metrics are of models that stay as they are; take frozen")
    if config.control_arm in config.policies:
        raise ValueError(f"control {config.control_arm!r}: a policy has no offline metrics to compare with")
    for export in config.exports.values():
        offline_online.offline_of(_run_of(export))  # now: serving takes long
    run(config, world, arguments, command)
    models = models_of(config)
    outcomes = pd.read_parquet(os.path.join(config.output_dir, OUTCOMES))
    totals = {model.name: of_population(outcomes, alone(model.name)) for model in models}
    points = offline_online.points(models, totals, config.control_arm)
    text = offline_online.markdown(points, config.control_arm, command)
    path = os.path.join(config.output_dir, offline_online.NAME)
    offline_online.draw(f"{path}.png", points)
    results.write_json(f"{path}.json", offline_online.figures(points, config.control_arm))
    write_text(f"{path}.md", text)
    return text


def models_of(config: ABTestConfig) -> list[Model]:
    """The arms with the offline metrics of their runs, in the order of the test; policies have none.

    Raises:
      ValueError: a run without metrics.
    """
    runs = {name: os.path.join(config.output_dir, "models", name) for name in config.trained}
    runs |= {name: _run_of(path) for name, path in config.exports.items()}
    return [Model(name, offline_online.offline_of(runs[name]) if name in runs else {}) for name in config.names]


def _run_of(export: str) -> str:
    """The work folder of an exported version, RUN/saved_model/1."""
    return os.path.dirname(os.path.dirname(os.path.normpath(export)))


def main(argv: list[str]) -> None:
    """Makes the curve of the flags; bad input ends in one line that says what is wrong."""
    try:
        if absl_flags.FLAGS["arms"].using_default_value:
            absl_flags.FLAGS["arms"].value = table_2()
        config, world = flags.read()
        print(make(config, world, argv[1:], "python -m experiments.ab_test.curve " + shlex.join(sys.argv[1:])))
    except (ValueError, OSError, InputError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("stopped; the same command goes on from here")
    print(f"Files: {os.path.join(config.output_dir, offline_online.NAME)}.*")


if __name__ == "__main__":
    flags.define()
    app.run(main, flags_parser=flags.parse)
