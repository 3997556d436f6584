"""Models by what is known of them offline and by their true effects online: a table, a picture, rank correlations."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from scipy import stats

matplotlib.use("agg")

from matplotlib import pyplot

from experiments.ab_test.analysis.metrics import CTR, STAY_PER_USER, Metric
from experiments.ab_test.analysis.pictures import save
from experiments.ab_test.analysis.rank_correlation import RankCorrelation, spearman
from experiments.ab_test.analysis.tables import percent, percent_interval
from experiments.ab_test.analysis.totals import Totals
from experiments.ab_test.analysis.truth import between
from experiments.tables.report import markdown_table
from lcn_tf.training import results

OFFLINE = (("auc", "ΔAUC"), ("gauc", "ΔGAUC"))
ONLINE = (CTR, STAY_PER_USER)
NAME = "curve"


@dataclasses.dataclass(frozen=True)
class Model:
    """An arm.

    Attributes:
      name: of the arm.
      offline: metric -> value on the test split of its run; {} of a policy.
    """

    name: str
    offline: Mapping[str, float]


@dataclasses.dataclass(frozen=True)
class Online:
    """A true relative effect on all users, and the 95 % interval for other users of the same kind."""

    relative: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True)
class Point:
    """A model against the control.

    Attributes:
      name: of the model.
      offline: metric -> difference on the test split; {} of a policy.
      online: metric's key -> true effect.
    """

    name: str
    offline: Mapping[str, float]
    online: Mapping[str, Online]


def offline_of(run: str) -> dict[str, float]:
    """The metrics of a finished run on its test split.

    Raises:
      ValueError: a folder without a finished run, or without one of the metrics.
    """
    found = results.read_json(os.path.join(run, "metrics.json"), {"metrics": {"test": {"model": dict}}})
    if found is None:
        raise ValueError(f"{run}: holds no finished run (metrics.json)")
    model = found["metrics"]["test"]["model"]
    if missing := [name for name, _ in OFFLINE if model.get(name) is None]:
        raise ValueError(f"{os.path.join(run, 'metrics.json')}: {missing[0]} of the test split is not known")
    return {name: float(model[name]) for name, _ in OFFLINE}


def points(models: Sequence[Model], totals: Mapping[str, Totals], control: str) -> list[Point]:
    """Each model against the control, which is a point of its own, at 0.

    Args:
      models: with offline metrics.
      totals: model -> what all users do under it alone.
      control: name of one of the models.

    Raises:
      ValueError: the control is none of the models with offline metrics.
    """
    known = {model.name: model.offline for model in models if model.offline}
    if control not in known:
        raise ValueError(f"control {control!r}: expected a model with offline metrics, one of {', '.join(known)}")
    reference = known[control]
    return [Point(model.name, {name: value - reference[name] for name, value in model.offline.items()},
                  {metric.key: _effect(totals[control], totals[model.name], metric) for metric in ONLINE})
            for model in models]


def _effect(control: Totals, treatment: Totals, metric: Metric) -> Online:
    found = between(control, treatment, metric)
    width = stats.norm.ppf(0.975) * found.standard_errors[-1]
    return Online(*(float(value) for value in np.expm1(found.logs[-1] + np.array([0, -width, width]))))


def correlations(found: Sequence[Point]) -> dict[str, dict[str, RankCorrelation]]:
    """Offline metric -> online metric -> rank correlation over all models, the control included."""
    measured = [point for point in found if point.offline]
    return {name: {metric.key: spearman([point.offline[name] for point in measured],
                                        [point.online[metric.key].relative for point in measured])
                   for metric in ONLINE} for name, _ in OFFLINE}


def markdown(found: Sequence[Point], control: str, command: str) -> str:
    """The table and the correlations."""
    header = ["", *(title for _, title in OFFLINE), *(text for metric in ONLINE
                                                      for text in (f"true Δ{metric.title}", "95 %"))]
    rows = [[point.name, *(f"{point.offline[name]:+.4f}" if point.offline else "" for name, _ in OFFLINE),
             *(text for metric in ONLINE for text in _cells(point.online[metric.key]))]
            for point in sorted(found, key=lambda point: -point.offline.get(OFFLINE[0][0], -math.inf))]
    ranks = [[title, *(_rank_text(correlations(found)[name][metric.key]) for metric in ONLINE)]
             for name, title in OFFLINE]
    measured = sum(bool(point.offline) for point in found)
    return "\n".join([
        "# Offline gains and true online effects", "", "```sh", command, "```", "", f"Against {control}.", "",
        *markdown_table(header, rows), "", f"Rank correlation over {measured} models [95 %]:", "",
        *markdown_table(["", *(f"Δ{metric.title}" for metric in ONLINE)], ranks), "",
        f"![offline and online]({NAME}.png)", "",
        "Offline: differences on the test split. Online: every user is served by each model alone, on the same days "
        "and with the same random numbers; the intervals are for other users of the same kind. Rank correlation: "
        "Spearman's; its interval takes the models for draws of those that one might compare.", ""])


def _cells(online: Online) -> tuple[str, str]:
    same = online.relative == online.low == online.high == 0
    return percent(online.relative), "" if same else percent_interval(online.low, online.high)


def _rank_text(found: RankCorrelation) -> str:
    if math.isnan(found.value):
        return "undefined"
    return f"{found.value:+.2f}" + ("" if math.isnan(found.low) else f" [{found.low:+.2f}, {found.high:+.2f}]")


def draw(path: str, found: Sequence[Point]) -> None:
    """Writes a PNG file: a panel for each pair of an offline and an online metric."""
    measured = [point for point in found if point.offline]
    figure, panels = pyplot.subplots(len(ONLINE), len(OFFLINE), squeeze=False, figsize=(12, 9), layout="constrained")
    for row, metric in zip(panels, ONLINE, strict=True):
        for axes, (name, title) in zip(row, OFFLINE, strict=True):
            online = [point.online[metric.key] for point in measured]
            x = np.array([point.offline[name] for point in measured])
            y, low, high = 100 * np.array([[one.relative, one.low, one.high] for one in online]).T
            axes.errorbar(x, y, yerr=[y - low, high - y], fmt="o", markersize=4, linewidth=0.8)
            for point, place in zip(measured, zip(x, y, strict=True), strict=True):
                axes.annotate(point.name, place, fontsize=7, xytext=(4, 3), textcoords="offset points",
                              parse_math=False)
            axes.axhline(0, color="black", linewidth=0.5)
            axes.axvline(0, color="black", linewidth=0.5)
            axes.set(xlabel=f"{title}, test split", ylabel=f"true Δ{metric.title}, %",
                     title=f"rank correlation {_rank_text(correlations(found)[name][metric.key])}")
    save(path, figure)


def figures(found: Sequence[Point], control: str) -> dict[str, Any]:
    """All of it for programs."""
    return {"control": control, "points": [dataclasses.asdict(point) for point in found],
            "rank_correlations": {name: {key: dataclasses.asdict(one) for key, one in by_metric.items()}
                                  for name, by_metric in correlations(found).items()}}
