"""A sweep as a picture: AUC by the value of a flag, on a logarithmic axis, with the row that has no objective."""

from __future__ import annotations

import os
from collections.abc import Sequence

import matplotlib

matplotlib.use("agg")

from matplotlib import pyplot

from experiments.tables.comparison import Line
from experiments.tables.rows import Table


def draw(folder: str, table: Table, lines: Sequence[Line]) -> None:
    """Writes `<key>.png`: mean and standard deviation over the seeds; rows without runs of this code are left out."""
    baseline, *rows = lines
    measured = [line for line in rows if line.runs and line.older is None]
    figure, axes = pyplot.subplots(figsize=(6, 4), layout="constrained")
    spreads = [line.metric("auc") for line in measured]
    axes.errorbar([_value(line) for line in measured], [spread.mean for spread in spreads],
                  [spread.std for spread in spreads], marker="o", label="LCN-200-50")
    if baseline.runs and baseline.older is None:
        without = baseline.metric("auc")
        axes.axhline(without.mean, color="black", linestyle="--", label=baseline.name)
        axes.axhspan(without.mean - without.std, without.mean + without.std, color="black", alpha=0.1)
    axes.set(xscale="log", xlabel=table.key.removeprefix("sweep_"), ylabel="test AUC", title=table.title)
    axes.legend()
    figure.savefig(os.path.join(folder, f"{table.key}.png"), dpi=100)
    pyplot.close(figure)


def _value(line: Line) -> float:
    """Of the swept flag, the last of the row's."""
    return float(line.planned.row.flags[-1].partition("=")[2])
