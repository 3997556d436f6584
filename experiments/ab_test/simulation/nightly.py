"""Models that go on learning: every night by the logs of the day before, with the command of the daily job.

| in its folder | what |
|---|---|
| `before/series/<arm>/` | the series of an arm after the days before the test, with which all of its others begin |
| `before/logs/` | what it reads |
| `<population>/series/<arm>/` | the series of an arm in a population |
| `<population>/logs/` | what they read: of all users; in `split_own/logs/<arm>/` of those of the arm alone |
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from datetime import date, timedelta

import numpy as np

from data_prep.industrial.config import IndustrialConfig
from experiments.ab_test.outcomes import SPLIT_OWN
from experiments.ab_test.simulation import logs
from experiments.ab_test.simulation.site import Site
from experiments.ab_test.simulation.trained_arms import FITTING, run

_BEFORE, _LOGS = "before", "logs"
_EPOCHS = 2  # over the days before the test, and over every later one
_NEVER_IDLE = 1_000  # days: an id means the same in the whole test
_FIRST_DAY = date.fromisoformat(IndustrialConfig().first_day)


class NightlyModels:
    """The versions of a test's models, by population and day.

    Attributes:
      folder: of the series.
      site: whose users.
      cfgs: arm -> flag file.
      logs_before: folder of the logs of the days before the test.
      seed: of the training.
      flags: of all series, after those of the cfgs.
    """

    def __init__(self, folder: str, site: Site, cfgs: Mapping[str, str], logs_before: str, seed: int,
                 flags: Sequence[str]):
        self.folder, self.site, self.cfgs, self.logs_before = folder, site, cfgs, logs_before
        self.seed, self.flags = seed, flags

    def version(self, population: str, arm: str, day: int, places: np.ndarray, arm_of_user: np.ndarray) -> str:
        """Path of the version that serves a day; trains it if it is not there.

        Args:
          population: whose users it learns from: of `split:own` those of the arm.
          arm: its name.
          day: of impressions, from 0; that of the test's first is served by what the days before taught.
          places: `[R, S]` what the population was shown on the days before this one.
          arm_of_user: `[U]` bool, whether the arm serves the user.

        Raises:
          TrainingFailedError: the command failed.
        """
        first = self.site.config.pre_days
        if day == first:
            input_dir = self._logs(os.path.join(self._here(_BEFORE), _LOGS))
            return self._trained(self._series(_BEFORE, arm), input_dir, arm, day - 1)
        workdir = self._series(population, arm)
        if not os.path.isdir(workdir):
            partial = f"{workdir}.partial"
            shutil.rmtree(partial, ignore_errors=True)
            shutil.copytree(self._series(_BEFORE, arm), partial)
            os.rename(partial, workdir)
        return self._trained(workdir, self.write_logs(population, arm, day, places, arm_of_user), arm, day - 1)

    def write_logs(self, population: str, arm: str, day: int, places: np.ndarray, arm_of_user: np.ndarray) -> str:
        """Writes what a series learns from until the end of the day before; returns the folder. See `version`."""
        own = population == SPLIT_OWN
        folder = self._logs(os.path.join(self._here(population), _LOGS, *([arm] if own else [])))
        users = arm_of_user if own else np.ones(len(arm_of_user), bool)
        for before in range(self.site.config.pre_days, day):
            paths = [os.path.join(folder, kind, f"day_{before:04d}.csv") for kind in ("impressions", "events")]
            if not os.path.exists(paths[-1]):
                logs.write_days(self.site, places, before, before + 1, users, *paths)
        return folder

    def _here(self, population: str) -> str:
        return os.path.join(self.folder, population.replace(":", "_"))

    def _series(self, population: str, arm: str) -> str:
        return os.path.join(self._here(population), "series", arm)

    def _trained(self, workdir: str, input_dir: str, arm: str, last_day: int) -> str:
        """Trains a series until the end of a day."""
        name = (_FIRST_DAY + timedelta(last_day)).isoformat()
        path = os.path.join(workdir, "published", name.replace("-", ""))
        if not os.path.isdir(path):
            config, rows = self.site.config, 2 + self._most_values()
            mapping = logs.write_mapping(self.site, self.folder)
            run([sys.executable, "-m", "experiments.daily", *FITTING, f"--train.epochs={_EPOCHS}",
                 f"--flagfile={self.cfgs[arm]}", f"--train.seed={self.seed}", f"--ids.rows={rows}",
                 f"--ids.max_idle_days={_NEVER_IDLE}", *self.flags, f"--mapping={mapping}", f"--input_dir={input_dir}",
                 f"--first_day={_FIRST_DAY.isoformat()}", f"--first_days={config.pre_days}", f"--last_day={name}",
                 f"--keep={1 + self.site.days}", f"--workdir={workdir}"], workdir)
        return path

    def _most_values(self) -> int:
        """The most values that a feature can have."""
        world = self.site.world
        return max(self.site.config.users, len(world.author), len(world.room))

    def _logs(self, path: str) -> str:
        """A folder of logs, which begins with those of the days before the test."""
        for source, target in ((logs.IMPRESSIONS, "impressions/before.csv"), (logs.EVENTS, "events/before.csv"),
                               (logs.USERS, logs.USERS)):
            target = os.path.join(path, target)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            if not os.path.exists(target):
                os.link(os.path.join(self.logs_before, source), target)
        return path
