"""What users would have done under each arm alone, and the effect that follows: the truth of a simulated test."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from experiments.ab_test.analysis.linearised import Linearised, ratios_of
from experiments.ab_test.analysis.metrics import METRICS, Metric
from experiments.ab_test.analysis.totals import Totals, of_population
from experiments.ab_test.outcomes import alone


def true_effects(outcomes: pd.DataFrame, control: str, treatment: str) -> dict[Metric, NDArray[np.float64]]:
    """Each metric's relative effect on these very users, days and random numbers, from the first day to each day,
    `[T]`.

    Nothing is sampled here: both arms serve everybody. {} where the populations of one arm alone are not there.
    """
    populations = set(outcomes["population"])
    if not {alone(control), alone(treatment)} <= populations:
        return {}
    totals = [of_population(outcomes, alone(arm)) for arm in (control, treatment)]
    return {metric: np.expm1(between(*totals, metric).logs) for metric in METRICS}


def between(control: Totals, treatment: Totals, metric: Metric) -> Linearised:
    """The effect between two populations of the same users, of whom each is its own comparison.

    The standard errors are those for users of the same kind; for these very users the effect is exact.

    Raises:
      ValueError: the users or days are not the same.
    """
    if not np.array_equal(control.users, treatment.users):
        raise ValueError(f"populations {control.population!r} and {treatment.population!r} are of different users")
    if control.days != treatment.days:
        raise ValueError(f"populations {control.population!r} and {treatment.population!r}: expected as many days, got "
                         f"{control.days} and {treatment.days}")
    return ratios_of(treatment, metric).minus(ratios_of(control, metric))
