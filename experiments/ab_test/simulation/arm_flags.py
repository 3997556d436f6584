"""The flags of a model that is trained for a test, looked at before anything is written."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from absl import flags as absl_flags

from command_line import dataclass_flags, flag_files
from data_prep.days.config import LastingIdsConfig
from experiments import flags as experiment_flags
from experiments.ab_test.simulation.trained_arms import FITTING
from experiments.daily.config import DailyConfig

_SOME_SERIES = ("--workdir=series", "--last_day=2000-01-01")  # that must be given


def digest(cfg: str, flags: Sequence[str], nightly: bool) -> str:
    """Sixteen hexadecimal digits of what a flag file and the flags behind it say, with all files that they include.

    Args:
      cfg: flag file of the model.
      flags: of all models, after those of the cfg.
      nightly: whether they are those of the daily job, not of the main one.

    Raises:
      FileNotFoundError: a flag file is not there.
      ValueError: an unknown flag or value; the message names the flag file, or the line that it is from.
    """
    find = experiment_flags.find_config
    try:
        own = flag_files.expand([f"--flagfile={cfg}", *flags], find)
        _check([*flag_files.expand(FITTING, find), *own], nightly)
    except (absl_flags.Error, ValueError) as error:
        raise ValueError(f"arms: {cfg} with the flags [{' '.join(flags)}]: {error}") from error
    return hashlib.sha256("\n".join(argument.text for argument in own).encode()).hexdigest()[:16]


def _check(arguments: list[flag_files.Argument], nightly: bool) -> None:
    values = absl_flags.FlagValues()
    run_class = DailyConfig if nightly else experiment_flags.RunConfig
    experiment_flags.define(run_class, values)
    if nightly:
        dataclass_flags.define("ids", LastingIdsConfig, values)
        arguments = [*map(flag_files.Argument, _SOME_SERIES), *arguments]
    if unexpected := flag_files.parse("arm", arguments, values)[1:]:
        raise ValueError(f"unexpected arguments {unexpected}")
    experiment_flags.read(run_class, values)
