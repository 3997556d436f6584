"""Statistics of a table: each row's metrics over its seeds, and its differences to the row it is held against."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments.printed_metrics import attainable_share
from experiments.settings import Configuration, before
from experiments.tables import resamples
from experiments.tables.plan import Planned
from experiments.tables.store import Store
from lcn_tf.metrics import Interval, detectable_difference, holm, interval, paired_t_test, resampled_seeds
from lcn_tf.training import monitored_metric

_SEED_OF_SEEDS = 0  # one for all rows, so that their draws of the seeds are the same


@dataclasses.dataclass(frozen=True)
class Spread:
    """Mean and standard deviation (n - 1) over seeds; NaN where undefined."""

    mean: float
    std: float

    @classmethod
    def of(cls, values: Sequence[float | None]) -> Spread:
        """Of numbers; None, an undefined metric, makes both undefined."""
        if not values or None in values:
            return cls(math.nan, math.nan)
        return cls(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else math.nan)


@dataclasses.dataclass(frozen=True)
class Comparison:
    """A row minus the one it is held against, on the seeds of both.

    AUC and GAUC are of the label that chooses the epoch (`train.monitor`), in general the first.

    Attributes:
      auc, gauc: mean difference over the seeds, with an interval by resampling the users of the test split, the same
        for both rows; where a table has intervals with seeds, by drawing the seeds, too.
      user_error: standard error of the AUC's difference by the users of the test split.
      seed_error: the same by seeds; NaN with fewer than two, and where an AUC is undefined.
      p_value: two-sided paired t-test of AUC over the seeds, where a table has intervals with seeds over users and
        seeds; Holm-corrected over the table; NaN where `seed_error` is.
      seed_p_value: the same over the seeds alone, not corrected: whether training differs, on these users.
    """

    auc: Interval
    gauc: Interval
    user_error: float
    seed_error: float
    p_value: float
    seed_p_value: float

    def detectable(self, seeds: int, alpha: float = 0.05) -> float:
        """The smallest true difference of AUC that a test over users and so many seeds finds with 80 %."""
        return detectable_difference(self.seed_error, seeds, common_error=self.user_error, alpha=alpha)


@dataclasses.dataclass(frozen=True)
class Line:
    """A row of the table as measured.

    Attributes:
      planned: the row.
      runs: seed -> its line of `results.jsonl`.
      comparison: None for a baseline, and where data or seeds are not those of the other row.
      older: the configuration of the runs where it is not that of the code: of parts with another version, or with
        other defaults. They stand in for runs that are still to do.
    """

    planned: Planned
    runs: Mapping[int, dict[str, Any]]
    comparison: Comparison | None
    older: Configuration | None = None

    @property
    def name(self) -> str:
        """The row's name; with what is older than the code, where something is."""
        if self.older is None:
            return self.planned.row.name
        now = self.planned.configuration
        parts = [f"{part} {version}" for part, version in self.older.parts.items() if now.parts.get(part) != version]
        flags = [f"--{name}={text}" for name, text in self.older.settings.items() if now.settings.get(name) != text]
        flags += [f"--{name}={before()[name]}" for name in now.settings if name not in self.older.settings]
        return f"{self.planned.row.name} [older: {', '.join([*parts, *flags])}]"

    def metric(self, name: str) -> Spread:
        """A test metric of the model; undefined where it is of a label that the model does not predict."""
        return Spread.of([run["metrics"]["test"]["model"].get(name) for run in self.runs.values()])

    @property
    def attainable_share(self) -> Spread:
        """Of the oracle's AUC; NaN for real data."""
        tests = [run["metrics"]["test"] for run in self.runs.values()]
        if not all("oracle" in test for test in tests):
            return Spread.of([])
        pairs = [(test["model"]["auc"], test["oracle"]["auc"]) for test in tests]
        return Spread.of([None if None in pair else attainable_share(*pair) for pair in pairs])

    @property
    def minutes(self) -> Spread:
        """Wall time of training and its validation."""
        return Spread.of([run["training_seconds"] / 60 for run in self.runs.values()])


def compared(planned: Planned) -> str:
    """What names of the metrics begin with that rows are compared by: those of the label that chooses the epoch."""
    settings = {**before(), **planned.configuration.settings}
    return monitored_metric.prefix(settings["train.monitor"])


def compare(planned: Sequence[Planned], store: Store, seeds: Sequence[int], with_seeds: bool = False) -> list[Line]:
    """Every row of a table with what the store holds of it.

    Args:
      planned: the rows.
      store: of the data set.
      seeds: those that count.
      with_seeds: whether intervals are over users and seeds, not over users alone.
    """
    by_name = {row.row.name: row for row in planned}
    found = {name: {seed: run for seed in seeds if (run := store.find(row.key, seed))}
             for name, row in by_name.items()}
    older = {name: runs for name, row in by_name.items() if not found[name] and (
        runs := store.find_older(row.row.cfg, row.row.flags, row.data_fingerprint, seeds))}
    found.update({name: runs for name, (_, runs) in older.items()})
    comparisons: dict[str, Comparison] = {}
    for name, row in by_name.items():
        other = by_name.get(row.row.against or "")
        if other and other.data_fingerprint == row.data_fingerprint and compared(other) == compared(row):
            common = sorted(found[name].keys() & found[other.row.name].keys())
            if common:
                comparisons[name] = _compare([found[name][seed] for seed in common],
                                             [found[other.row.name][seed] for seed in common], compared(row),
                                             with_seeds)
    tested = [name for name, comparison in comparisons.items() if not math.isnan(comparison.p_value)]
    for name, p_value in zip(tested, holm([comparisons[name].p_value for name in tested]), strict=True):
        comparisons[name] = dataclasses.replace(comparisons[name], p_value=float(p_value))
    return [Line(row, found[name], comparisons.get(name), older[name][0] if name in older else None)
            for name, row in by_name.items()]


def _compare(runs: Sequence[dict[str, Any]], others: Sequence[dict[str, Any]], prefix: str, with_seeds: bool
             ) -> Comparison:
    intervals, by_user = {}, []
    for index, metric in enumerate(resamples.METRICS):
        pairs = [(_metric(run, prefix + metric), _metric(other, prefix + metric))
                 for run, other in zip(runs, others, strict=True)]
        differences = [run["resamples"][index] - other["resamples"][index]
                       for run, other in zip(runs, others, strict=True)]
        difference = statistics.fmean(one - other for one, other in pairs)
        drawn = resampled_seeds(differences, seed=_SEED_OF_SEEDS) if with_seeds else np.mean(differences, axis=0)
        intervals[metric] = interval(difference, drawn)
        by_user.append(interval(difference, np.mean(differences, axis=0)).standard_error)
    values = [[_metric(run, f"{prefix}auc") for run in side] for side in (runs, others)]
    if len(runs) < 2 or np.isnan(values).any():
        return Comparison(**intervals, user_error=by_user[0], seed_error=math.nan, p_value=math.nan,
                          seed_p_value=math.nan)
    by_seed = paired_t_test(*values)
    test = paired_t_test(*values, common_error=by_user[0]) if with_seeds else by_seed
    return Comparison(**intervals, user_error=by_user[0], seed_error=test.std / math.sqrt(len(runs)),
                      p_value=test.p_value, seed_p_value=by_seed.p_value)


def _metric(run: dict[str, Any], name: str) -> float:
    value = run["metrics"]["test"]["model"].get(name)
    return math.nan if value is None else value
