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

import lcn_tf  # noqa: F401  (chooses Keras 2 before TensorFlow is loaded)

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from data_prep.errors import InputError
from experiments.ab_test import flags
from experiments.ab_test.run import run


def main(argv: list[str]) -> None:
    """Does the test of the flags; bad input ends in one line that says what is wrong."""
    arguments = sys.argv[1:]
    try:
        config, world = flags.read()
        print(run(config, world, argv[1:], "python -m experiments.ab_test " + shlex.join(arguments)))
    except (ValueError, OSError, InputError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("stopped; the same command goes on from here")
    print(f"Files: {config.output_dir}")


if __name__ == "__main__":
    flags.define()
    app.run(main, flags_parser=flags.parse)
