"""Small A/B tests, over and over, of users drawn from a large simulated world whose effects are known.

A world's users are all served by each arm alone; none of these arms depends on other users, so a test's traffic is,
user by user, what the arm of that user has shown. A replication draws users with replacement, divides them by the
hash of real tests and is analysed as a real test is. So users are independent draws of the world's, and *the truth*
is the effect on all users of the world: the one that the intervals, whose variance counts both arms' users as draws,
are made for. The effect on the very users that were drawn is known, too; intervals hold it as often or more, since
Neyman's variance does not know by how much effects differ between users.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from data_prep.config import option
from experiments.ab_test.analysis import estimates
from experiments.ab_test.analysis.comparison import daily_looks
from experiments.ab_test.analysis.metrics import METRICS
from experiments.ab_test.analysis.totals import Totals, of_population
from experiments.ab_test.analysis.truth import between
from experiments.ab_test.outcomes import SPLIT, alone
from experiments.ab_test.simulation import assignment
from experiments.ab_test.simulation.arms import OraclePolicy
from experiments.ab_test.simulation.config import WorldConfig
from experiments.ab_test.simulation.simulate import simulate

CONTROL, SAME, SMALL, LARGE = "control", "same", "small", "large"
TREATMENTS = (SAME, SMALL, LARGE)
# Noise on the true click logit of the ranking: more noise, fewer clicks.
_ARMS = {CONTROL: OraclePolicy(2.0), SMALL: OraclePolicy(1.9), LARGE: OraclePolicy(1.6)}


@dataclasses.dataclass(frozen=True)
class Settings:
    """What is replicated; help texts are those of the flags.

    Raises:
      ValueError: a number outside its range; the message names it.
    """

    users: int = option(2_000, "users of a test")
    days: int = option(7, "days of a test")
    seed: int = option(17, "of worlds and draws; the same seed gives the same files")
    per_world: int = option(100, "tests of a world, each of users drawn from it")
    population: int = option(10_000, "users of a world")
    pre_days: int = option(10, "days before a test")
    preset: str = option("hard", "of the generator of industrial logs; users of hard differ much in activity")

    def __post_init__(self):
        for name, least in (("users", 10), ("days", 1), ("seed", 0), ("per_world", 1), ("population", 10)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}")
        self.world  # noqa: B018  (refuses what cannot be simulated)

    @property
    def world(self) -> WorldConfig:
        """What is simulated."""
        return WorldConfig(preset=self.preset, num_users=self.population, pre_days=self.pre_days)


@dataclasses.dataclass(frozen=True)
class Population:
    """The users of a world.

    Attributes:
      arms: arm -> what all users do under it; the same users in the same order.
      truth: treatment -> metric's key -> effect on all of them from the first day to each day, `[T]`.
    """

    arms: dict[str, Totals]
    truth: dict[str, dict[str, np.ndarray]]


def make_population(settings: Settings, world: int) -> Population:
    """Simulates the `world`-th world."""
    outcomes = simulate(settings.world, _ARMS, settings.days, _seed(settings, world), [alone(arm) for arm in _ARMS])
    arms = {arm: of_population(outcomes, alone(arm)) for arm in _ARMS}
    arms[SAME] = arms[CONTROL]
    truth = {arm: {metric.key: np.expm1(between(arms[CONTROL], arms[arm], metric).logs) for metric in METRICS}
             for arm in TREATMENTS}
    return Population(arms, truth)


def split(population: Population, treatment: str, drawn: np.ndarray, salt: str) -> Totals:
    """The traffic of a test between the control and a treatment.

    Args:
      population: whose users are drawn.
      treatment: name of the arm.
      drawn: `[U]` places of the users, some more than once; each place of this array is a user of its own.
      salt: of the hash that divides them.
    """
    users = np.arange(1, len(drawn) + 1)
    arm_of = assignment.assigned(users, {CONTROL: 0.5, treatment: 0.5}, salt).astype(np.int64)
    old, new = population.arms[CONTROL], population.arms[treatment]
    treated = (arm_of == 1)[:, None]
    sums = {name: np.where(treated, new.sums[name][drawn], old.sums[name][drawn]) for name in old.sums}
    before = {name: values[drawn] for name, values in old.before.items()}
    return Totals(SPLIT, users, (CONTROL, treatment), arm_of, sums, before)


def replicate(population: Population, settings: Settings, world: int, number: int) -> dict[str, Any]:
    """One test of each treatment: treatment -> reading ("ctr", "ctr cuped", ...) -> figures.

    Figures: `relative`, `low`, `high` and `p` of the planned end; `power` that tea-tasting predicts for the true
      effect;
    `decided` after how many days the intervals for daily looks leave out 0, `missed` whether one of them missed the
    truth of its day; `smallest_p` of all days, of two arms that are the same; `here`: the effect on the users that
    were drawn.
    """
    rng = np.random.default_rng([_seed(settings, world), number])
    drawn = rng.integers(len(population.arms[CONTROL].users), size=settings.users)
    found = {}
    for treatment in TREATMENTS:
        salt = f"{settings.seed}/{world}/{number}/{treatment}"
        found[treatment] = _readings(population, treatment, drawn, split(population, treatment, drawn, salt))
    return found


def _readings(population: Population, treatment: str, drawn: np.ndarray, totals: Totals) -> dict[str, Any]:
    effects = estimates.effects(totals, CONTROL, treatment)
    looks = [estimates.effects(totals, CONTROL, treatment, days) for days in range(1, totals.days + 1)] \
        if treatment == SAME else []
    old, new = population.arms[CONTROL], population.arms[treatment]
    found = {}
    for place, effect in enumerate(effects):
        metric, truth = effect.metric, population.truth[treatment][effect.metric.key]
        intervals = daily_looks(totals, metric, CONTROL, treatment, effect.adjusted)
        ratios = [arm.sums[metric.numerator][drawn, -1].sum() / arm.sums[metric.denominator][drawn, -1].sum()
                  for arm in (old, new)]
        values = {"relative": effect.relative, "low": effect.low, "high": effect.high, "p": effect.p_value,
                  "decided": intervals.decided_after, "here": float(ratios[1] / ratios[0] - 1),
                  "missed": bool(((intervals.low > truth) | (intervals.high < truth)).any())}
        if looks:
            values["smallest_p"] = min(one[place].p_value for one in looks)
        else:
            values["power"] = estimates.power(totals, CONTROL, treatment, metric, effect.adjusted,
                                             [float(truth[-1])])[0]
        found[reading_name(metric.key, effect.adjusted)] = values
    return found


def reading_name(metric: str, adjusted: bool) -> str:
    """What a reading is called in files."""
    return f"{metric} cuped" if adjusted else metric


def _seed(settings: Settings, world: int) -> int:
    return 1_000 * settings.seed + world
