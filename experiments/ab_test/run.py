"""Does a test: logs of the days before, models, every population day by day, latencies, outcomes, report.

| in the output folder | what |
|---|---|
| `settings.json` | what decides the figures; another test needs another folder |
| `logs/` | of the days before the test, as `data_prep.industrial` reads them |
| `data/`, `models/` | records and runs of the models that are trained here |
| `nightly/` | series of those that go on learning |
| `days/` | what each population was shown, and timed calls, by day |
| `outcomes.parquet`, `latency.parquet` | see `experiments.ab_test.outcomes` |
| `report.md`, `.png`, `.json` | the analysis |
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

import numpy as np
import pandas as pd

from experiments import run_files, workdir_lock
from experiments.ab_test import report
from experiments.ab_test.analysis import estimates
from experiments.ab_test.outcomes import LATENCY, LATENCY_COLUMNS, OUTCOMES, alone, alone_arm
from experiments.ab_test.settings import POLICIES, ABTestConfig
from experiments.ab_test.settled import settle
from experiments.ab_test.simulation import logs, traffic, trained_arms
from experiments.ab_test.simulation.arms import Arm
from experiments.ab_test.simulation.config import WorldConfig
from experiments.ab_test.simulation.nightly import NightlyModels
from experiments.ab_test.simulation.past import Past
from experiments.ab_test.simulation.saved_model import SavedModelArm, time_in_turns
from experiments.ab_test.simulation.served_days import ServedDays
from experiments.ab_test.simulation.site import Site
from lcn_tf.whole_files import replacing


def run(config: ABTestConfig, world: WorldConfig, flags: Sequence[str], command: str) -> str:
    """Does what is left of a test; returns the report as Markdown.

    Args:
      config: of the test.
      world: its users, requests and pages.
      flags: of all models that are trained here.
      command: for the report.

    Raises:
      ValueError: settings that do not fit, or are not those of the folder; a model that failed, or of other logs; no
        library for the report.
      OSError: a folder that cannot be read or written, or a flag file that is not there.
    """
    estimates.library()  # now: training and serving take long
    with workdir_lock.held(config.output_dir):
        settle(config, world, flags)
        return _Test(config, world, flags).do(command)


class _Test:
    """One test, with what is drawn of it and what was served so far."""

    def __init__(self, config: ABTestConfig, world: WorldConfig, flags: Sequence[str]):
        self.config, self.world, self.flags = config, world, flags
        self.site = Site(world, config.days, config.seed)
        self.before = traffic.serve_before(self.site.requests, world.shown, world.pre_days, config.seed)
        self.days = ServedDays(self._path("days"))
        self.paths: dict[str, str] = {}  # of frozen models, by arm
        self.nightly: NightlyModels | None = None
        self.loaded: dict[str, SavedModelArm] = {}
        self.served: dict[str, np.ndarray] = {}  # population -> what is shown, once all days are served

    def do(self, command: str) -> str:
        """All of it."""
        config = self.config
        self._models()
        # The traffic comes last: where arms do not depend on others, it is made of the populations of one arm each.
        order = sorted(config.populations, key=lambda population: alone_arm(population) is None)
        todo = [(population, day) for population in order for day in self._test_days
                if self.days.read(population, day) is None]
        print(f"{len(self.site.requests):,} requests of {self.world.users:,} users, {self.world.pre_days} days before "
              f"the test and {config.days} of it; {len(todo)} days of {len(order)} populations to serve", flush=True)
        started, done = time.monotonic(), 0
        for population in order:
            past, arm_of_user = self._begin(population)
            for day in self._test_days:
                if self._serve(population, past, arm_of_user, day):
                    done += 1
                    left = (time.monotonic() - started) / done * (len(todo) - done)
                    print(f"[{done}/{len(todo)}] {population}, day {day - self.world.pre_days + 1} of {config.days}; "
                          f"about {left / 60:.0f} min left", flush=True)
            self.served[population] = past.places
        times = self._latency()
        outcomes = self._outcomes()
        return report.write(config.output_dir, outcomes, times, config.control_arm, command, config.share_of)

    @property
    def _test_days(self) -> range:
        """Days of impressions that are the test's."""
        return range(self.world.pre_days, self.world.pre_days + self.config.days)

    def _path(self, *names: str) -> str:
        return os.path.join(self.config.output_dir, *names)

    def _models(self) -> None:
        """Trains the models that are not there, and loads those that stay as they are."""
        config = self.config
        if config.trained or config.exports:
            if not os.path.exists(self._path("logs", logs.TRUTH)):
                print("Writing the logs of the days before the test", flush=True)
                logs.write_before(self.site, self.before, self._path("logs"))
            self.site.own_events  # noqa: B018  (drawn now: it takes long)
        if config.nightly:
            self.nightly = NightlyModels(self._path("nightly"), self.site, config.trained, self._path("logs"),
                                         config.seed, self.flags)
            return
        self.paths = dict(config.exports)
        for arm, cfg in config.trained.items():
            workdir = self._path("models", arm)
            version = run_files.exported_version(workdir)
            if version is None:
                print(f"Training {arm} ({cfg}); its log: {os.path.join(workdir, 'log.txt')}", flush=True)
                version = trained_arms.train(cfg, self._path("logs"), self._path("data"), workdir,
                                             self.world.pre_days, config.seed, self.flags)
            self.paths[arm] = version
        past = Past(self.site.requests, self.before, self.world.pre_days, config.seed)
        for path in self.paths.values():
            self._model(path, past)

    def _begin(self, population: str) -> tuple[Past, np.ndarray]:
        """A population with the days before the test, and with the rows that it shares with others."""
        arm_of_user = self._arm_of_user(population)
        places = self.before.copy()
        for place, name in enumerate(self.config.names):
            if alone(name) in self.served and not self._depends_on_others(name):
                own = arm_of_user[self.site.requests.user] == place
                places[own] = self.served[alone(name)][own]
        return Past(self.site.requests, places, self.world.pre_days, self.config.seed), arm_of_user

    def _serve(self, population: str, past: Past, arm_of_user: np.ndarray, day: int) -> bool:
        """Serves a day; returns whether it was not served before."""
        rows, past.day = np.flatnonzero(self.site.requests.day == day), day
        known = self.days.read(population, day)
        if known is not None:
            past.places[rows] = known
            return False
        left = rows[past.places[rows, 0] < 0]
        arms = {place: self._arm(population, place, past, arm_of_user)
                for place in np.unique(arm_of_user[self.site.requests.user[left]]).tolist()}
        traffic.serve(past, arms, arm_of_user, left)
        self.days.write(population, day, past.places[rows])
        return True

    def _arm(self, population: str, place: int, past: Past, arm_of_user: np.ndarray) -> Arm:
        """What ranks for an arm's users in a population on `past.day`."""
        name = self.config.names[place]
        if name in self.config.policies:
            return POLICIES[self.config.policies[name]]()
        return self._model(self._version(population, name, past, arm_of_user == place), past)

    def _version(self, population: str, name: str, past: Past, of_arm: np.ndarray) -> str:
        """Path of the model of an arm that serves `past.day`; `of_arm` `[U]` are its users."""
        if self.nightly is None:
            return self.paths[name]
        return self.nightly.version(population, name, past.day, past.places, of_arm)

    def _depends_on_others(self, name: str) -> bool:
        if name in self.config.policies:
            return POLICIES[self.config.policies[name]]().depends_on_others
        return self.config.nightly

    def _model(self, path: str, past: Past) -> SavedModelArm:
        """A model, loaded and checked once; of nightly versions those of a day stay in memory."""
        if path not in self.loaded:
            model = SavedModelArm(path, self.site, depends_on_others=self.config.nightly)
            model.check(past)
            if self.nightly is not None:
                for older in list(self.loaded)[:max(0, len(self.loaded) + 1 - len(self.config.trained))]:
                    del self.loaded[older]
            self.loaded[path] = model
        return self.loaded[path]

    def _arm_of_user(self, population: str) -> np.ndarray:
        return traffic.arms_of_users(population, self.world.users, self.config.names, self.config.share_of,
                                     self.config.salt)

    def _latency(self) -> pd.DataFrame | None:
        """Times calls of the day's first requests, of all models in turns; what was timed before is kept."""
        models = [name for name in self.config.names if name not in self.config.policies]
        if not models or not self.config.latency_calls:
            return None
        tables = []
        for day in self._test_days:
            calls = self.days.read_latency(day)
            if calls is None:
                print(f"Timing calls of day {day - self.world.pre_days + 1} of {self.config.days}", flush=True)
                rows = np.flatnonzero(self.site.requests.day == day)[:self.config.latency_calls]
                timed = {}
                for name in models:
                    past = Past(self.site.requests, self.served[alone(name)], day, self.config.seed)
                    everybody = np.ones(self.world.users, bool)
                    timed[name] = self._model(self._version(alone(name), name, past, everybody), past), past
                calls = pd.DataFrame([(name, day - self.world.pre_days, value) for name, found in time_in_turns(
                    timed, rows).items() for value in found], columns=list(LATENCY_COLUMNS))
                self.days.write_latency(day, calls)
            tables.append(calls)
        times = pd.concat(tables, ignore_index=True)
        with replacing(self._path(LATENCY), "wb") as file:
            times.to_parquet(file, index=False)
        return times

    def _outcomes(self) -> pd.DataFrame:
        outcomes = pd.concat([traffic.outcomes_of(
            population, self.site.requests, self.served[population], self._arm_of_user(population), self.config.names,
            self.world.pre_days, self.config.days) for population in self.config.populations], ignore_index=True)
        with replacing(self._path(OUTCOMES), "wb") as file:
            outcomes.to_parquet(file, index=False)
        return outcomes
