"""Milliseconds per scoring call, by arm."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
from scipy import stats

from experiments.ab_test.analysis.columns import checked
from experiments.ab_test.outcomes import LATENCY_COLUMNS

FIGURES = ("mean", "p50", "p99")


@dataclasses.dataclass(frozen=True)
class Latency:
    """Of an arm: its calls, and milliseconds of them all."""

    calls: int
    mean: float
    p50: float
    p99: float


@dataclasses.dataclass(frozen=True)
class Difference:
    """Treatment minus control, milliseconds: the mean over days, and its 95 % interval, NaN with a single day."""

    mean: float
    low: float
    high: float


def of_arms(latency: pd.DataFrame) -> dict[str, Latency]:
    """What each arm's calls took.

    Raises:
      ValueError: a column or rows are missing, or a value cannot be; the message names them.
    """
    latency = checked(latency, LATENCY_COLUMNS, "latency")
    return {str(arm): Latency(len(rows), *(_figure(name, rows["milliseconds"]) for name in FIGURES))
            for arm, rows in latency.groupby("arm", sort=True)}


def difference(latency: pd.DataFrame, control: str, treatment: str, figure: str) -> Difference:
    """What the treatment costs by one of `FIGURES`.

    Calls of a day share the state of the machine, so days count, not calls: the figure of each day's calls, paired by
    day (t-test).

    Raises:
      ValueError: a column or rows are missing, a value cannot be, or no day has calls of both arms.
    """
    latency = checked(latency, LATENCY_COLUMNS, "latency")
    by_day = {arm: {int(day): _figure(figure, rows["milliseconds"]) for day, rows in
                    latency[latency["arm"] == arm].groupby("day")} for arm in (control, treatment)}
    days = sorted(by_day[control].keys() & by_day[treatment].keys())
    if not days:
        raise ValueError(f"latency: no day has calls of both {control!r} and {treatment!r}")
    values = np.array([by_day[treatment][day] - by_day[control][day] for day in days])
    mean = float(values.mean())
    if len(values) < 2:
        return Difference(mean, np.nan, np.nan)
    width = float(stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
    return Difference(mean, mean - width, mean + width)


def _figure(name: str, values: pd.Series) -> float:
    array = values.to_numpy(np.float64)
    return float(array.mean() if name == "mean" else np.percentile(array, float(name[1:])))
