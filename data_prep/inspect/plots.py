"""The statistics of a data set as PNG files."""

from __future__ import annotations

import os
from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from data_prep.inspect.report import words
from data_prep.inspect.split_statistics import SplitStatistics

_BINS = 50  # bars of a histogram of lengths


def write_plots(statistics: Mapping[str, SplitStatistics], zone: str, plot_dir: str) -> list[str]:
    """Draws splits, rates of clicks and of what other labels there are, history lengths and known ids.

    Args:
      statistics: split -> what it holds.
      zone: name of the time zone of the days.
      plot_dir: an existing folder; files of the same names are replaced.

    Returns:
      The paths of the files.
    """
    figures = {
        "splits": _splits(statistics), "click_rate_per_day": _rates(statistics, zone),
        "history_lengths": _lengths(statistics), "vocabulary_coverage": _coverage(*list(statistics.items())[-1])}
    paths = [os.path.join(plot_dir, f"{name}.png") for name in figures]
    for path, figure in zip(paths, figures.values(), strict=True):
        FigureCanvasAgg(figure).print_png(path)
    return paths


def _splits(statistics: Mapping[str, SplitStatistics]) -> Figure:
    figure, (axes,) = _figure()
    counts = {name: [getattr(found, name) for found in statistics.values()]
              for name in ("impressions", "groups", "users")}
    positives = zip(*(found.positives.values() for found in statistics.values()), strict=True)
    counts |= {f"{word}s": list(of_splits) for word, of_splits in zip(words(statistics), positives, strict=True)}
    _grouped_bars(axes, list(statistics), counts)
    axes.set(title="Records by split", yscale="log", ylabel="count")
    axes.margins(y=0.1)
    axes.set_ylim(bottom=0.8)
    for bars in axes.containers:
        axes.bar_label(bars, fmt="{:,.0f}", fontsize="small")
    return figure


def _rates(statistics: Mapping[str, SplitStatistics], zone: str) -> Figure:
    labels = words(statistics)
    figure, every_axes = _figure(columns=len(labels))
    end = "\n" if len(labels) > 1 else " "  # beside each other, long titles meet
    for place, (word, axes) in enumerate(zip(labels, every_axes, strict=True), 1):
        for split, found in statistics.items():
            days = np.array(list(found.days), "datetime64[D]")
            counts = np.array(list(found.days.values())).reshape(-1, 1 + len(labels))
            shown, rate = counts[:, 0], counts[:, place] / counts[:, 0]
            axes.errorbar(days, rate, 2 * np.sqrt(rate * (1 - rate) / shown), fmt="o", markersize=4, label=split)
        axes.set(title=f"{word.capitalize()} rate per day ({zone}),{end}± 2 standard errors",
                 ylabel=f"{word}s / impressions")
    figure.legend(*every_axes[0].get_legend_handles_labels(), loc="outside right upper")
    figure.autofmt_xdate()
    return figure


def _lengths(statistics: Mapping[str, SplitStatistics]) -> Figure:
    histories = list(next(iter(statistics.values())).lengths)
    figure, every_axes = _figure(columns=len(histories))
    for axes, history in zip(every_axes, histories, strict=True):
        for split, found in statistics.items():
            counts = found.lengths[history].impressions
            edges = np.unique(np.linspace(0, len(counts), _BINS + 1, dtype=int))
            shares = np.add.reduceat(counts, edges[:-1]) / max(counts.sum(), 1)
            axes.stairs(shares, edges, label=split)
        axes.set(title=history, xlabel="events that a candidate sees")
    every_axes[0].set_ylabel("share of impressions")
    every_axes[-1].legend()  # the same splits in all of them
    return figure


def _coverage(split: str, found: SplitStatistics) -> Figure:
    figure, (axes,) = _figure()
    names = list(dict.fromkeys(name for by_feature in found.known.values() for name in by_feature))
    _grouped_bars(axes, names, {
        place: [shares.get(name, np.nan) for name in names] for place, shares in found.known.items()})
    axes.set(title=f"Vocabulary coverage of the {split} split", ylabel="ids that are not out of vocabulary",
             ylim=(0, 1.02))
    axes.tick_params(axis="x", rotation=30)
    return figure


def _figure(columns: int = 1) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(9 if columns == 1 else 4.5 * columns, 4.5), layout="constrained")
    return figure, [figure.add_subplot(1, columns, column + 1) for column in range(columns)]


def _grouped_bars(axes: Axes, groups: list[str], series: Mapping[str, list[float]]) -> None:
    width = 0.8 / max(len(series), 1)
    for place, (name, heights) in enumerate(series.items()):
        axes.bar(np.arange(len(groups)) + (place - (len(series) - 1) / 2) * width, heights, width, label=name)
    axes.set_xticks(range(len(groups)), groups)
    if series:
        axes.figure.legend(loc="outside right upper")
