"""An A/B test as a picture: each metric's effect by day with both kinds of intervals, and the truth where known."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib
import numpy as np

matplotlib.use("agg")

from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.ab_test.analysis.comparison import Comparison, Reading
from lcn_tf.whole_files import replacing

_DPI = 110


def draw_tests(path: str, comparisons: Sequence[Comparison]) -> None:
    """Writes a PNG file: a row of panels for each comparison; the same numbers give the same bytes."""
    readings = [[reading for reading in one.readings if reading.adjusted] for one in comparisons]
    figure, panels = pyplot.subplots(len(comparisons), len(readings[0]), squeeze=False, layout="constrained",
                                     figsize=(5.5 * len(readings[0]), 3.8 * len(comparisons)))
    for comparison, row, drawn in zip(comparisons, panels, readings, strict=True):
        for axes, reading in zip(row, drawn, strict=True):
            _draw(axes, reading)
            axes.set_title(f"{reading.metric.title}: {comparison.treatment} against {comparison.control}", fontsize=10,
                           parse_math=False)
    panels[0, 0].legend(fontsize=8)
    save(path, figure)


def save(path: str, figure: Figure) -> None:
    """Writes a PNG file without what differs between machines and days, and closes the figure."""
    with replacing(path, "wb") as file:
        figure.savefig(file, format="png", dpi=_DPI, metadata={"Software": None})
    pyplot.close(figure)


def _draw(axes: Axes, reading: Reading) -> None:
    days = np.array([effect.days for effect in reading.by_day])
    values = np.array([[effect.relative, effect.low, effect.high] for effect in reading.by_day]) * 100
    looks = reading.sequential
    every = np.arange(1, len(looks.low) + 1)
    known = np.isfinite(looks.high)
    axes.axhline(0, color="black", linewidth=0.8)
    axes.fill_between(every[known], 100 * looks.low[known], 100 * looks.high[known], alpha=0.2, color="tab:orange",
                      label="95 %, all looks at once")
    axes.fill_between(days, values[:, 1], values[:, 2], alpha=0.3, color="tab:blue", label="95 %, one look")
    axes.plot(days, values[:, 0], marker="o", markersize=3, color="tab:blue", label="effect, CUPED")
    if reading.truth is not None:
        axes.plot(every, 100 * reading.truth, linestyle="--", color="tab:red", label="truth on these users")
    axes.set(xlabel="days", ylabel="effect, %")
    finite = values[np.isfinite(values).all(1)]
    if len(finite):  # the first days' intervals may be as wide as to hide the others
        reach = 1.5 * np.abs(finite[min(2, len(finite) - 1):]).max()
        if reach > 0:
            axes.set_ylim(-reach, reach)
