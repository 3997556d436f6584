"""A simulated A/B test, from nothing or of models that are there; the same command goes on with one that was stopped.

    python -m experiments.ab_test --output_dir=runs/ab
    python -m experiments.ab_test --output_dir=runs/ab --days=14 --arms=sim=A/saved_model/1,lcn=B/saved_model/1
    python -m experiments.ab_test --output_dir=runs/ab --arms=random=random,oracle=oracle --preset=tiny
    python -m experiments.ab_test --output_dir=runs/ab -- --train.epochs=2

The first trains SIM Soft and LCN on the logs of the days before the test, lets them rank for the users of the days
after, and writes the report. What follows ` -- ` are flags of all models that are trained here. docs/ab_test.md tells
the rest.
"""

from __future__ import annotations

import os
import shlex
import sys

from absl import app
from absl import flags as absl_flags

import lcn_tf  # noqa: F401  (chooses Keras 2 before TensorFlow is loaded)

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from command_line import dataclass_flags, flag_files
from data_prep.errors import InputError
from experiments.ab_test.config import WorldConfig
from experiments.ab_test.run import run
from experiments.ab_test.settings import ABTestConfig


def main(argv: list[str]) -> None:
    """Does the test of the flags; bad input ends in one line that says what is wrong."""
    arguments = sys.argv[1:]
    try:
        config, world = dataclass_flags.read("", ABTestConfig), dataclass_flags.read("", WorldConfig)
        print(run(config, world, argv[1:], "python -m experiments.ab_test " + shlex.join(arguments)))
    except (ValueError, OSError, InputError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("stopped; the same command goes on from here")
    print(f"Files: {config.output_dir}")


def _parse(argv: list[str]) -> list[str]:
    """Parses what stands before ` -- `; the rest are flags of other commands."""
    end = argv.index("--") if "--" in argv else len(argv)
    unexpected = flag_files.parse_or_exit(argv[:end])[1:]
    if unexpected:
        sys.exit(f"error: unexpected arguments {unexpected}; flags of models that are trained here stand behind --")
    return [argv[0], *argv[end + 1:]]


if __name__ == "__main__":
    absl_flags.FLAGS.set_gnu_getopt(True)
    dataclass_flags.define("", ABTestConfig)
    dataclass_flags.define("", WorldConfig)
    app.run(main, flags_parser=_parse)
