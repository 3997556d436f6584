"""The flags of a simulated test, and what stands behind ` -- `."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from absl import flags as absl_flags

from command_line import dataclass_flags, flag_files
from experiments.ab_test.settings import ABTestConfig
from experiments.ab_test.simulation.config import WorldConfig


def define() -> None:
    """Defines them."""
    absl_flags.FLAGS.set_gnu_getopt(True)
    dataclass_flags.define("", ABTestConfig)
    dataclass_flags.define("", WorldConfig)


def parse(argv: Sequence[str]) -> list[str]:
    """Parses what stands before ` -- `; returns the program and the rest, which are flags of other commands."""
    end = argv.index("--") if "--" in argv else len(argv)
    unexpected = flag_files.parse_or_exit(argv[:end])[1:]
    if unexpected:
        sys.exit(f"error: unexpected arguments {unexpected}; flags of models that are trained here stand behind --")
    return [argv[0], *argv[end + 1:]]


def read() -> tuple[ABTestConfig, WorldConfig]:
    """Their values.

    Raises:
      ValueError: settings that do not fit.
    """
    return dataclass_flags.read("", ABTestConfig), dataclass_flags.read("", WorldConfig)
