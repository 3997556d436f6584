"""Every day of a series in a table and a picture: measured before the model was trained on it."""

from __future__ import annotations

import csv
import io
import os

import matplotlib

matplotlib.use("agg")

from matplotlib import pyplot

from command_line.text_table import align
from experiments.daily.series import Series, version
from lcn_tf.whole_files import replacing, write_text

_METRICS = {"auc": "AUC", "gauc": "GAUC", "logloss": "log loss", "calibration_ratio": "predicted / clicks"}
_COUNTS = ("impressions", "click_rate")
_IDS = ("admitted", "evicted", "waiting")


def write(series: Series) -> None:
    """Writes `progress.csv` and `progress.png`, as of the days that are done."""
    days = series.done
    measured = [series.outcome(day)["measured"] or {} for day in days]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["day", *_COUNTS, *_METRICS, "published"])
    for day, found in zip(days, measured, strict=True):
        writer.writerow([day, *(found.get(name) for name in (*_COUNTS, *_METRICS)),
                         "no" if series.outcome(day)["refused"] else "yes"])
    write_text(os.path.join(series.workdir, "progress.csv"), text.getvalue())
    figure, axes = pyplot.subplots(len(_METRICS), sharex=True, figsize=(8, 9), layout="constrained")
    for axis, (name, title) in zip(axes, _METRICS.items(), strict=True):
        values = [found.get(name) for found in measured]
        axis.plot(range(len(days)), [float("nan") if value is None else value for value in values], marker="o")
        axis.set_ylabel(title)
        axis.grid(alpha=0.3)
    axes[0].set_title("Each day, measured before the model was trained on it")
    shown = range(0, len(days), max(1, len(days) // 10))
    axes[-1].set_xticks(list(shown), [days[place] for place in shown], rotation=30, ha="right")
    with replacing(os.path.join(series.workdir, "progress.png"), "wb") as file:
        figure.savefig(file, format="png", metadata={"Software": None})
    pyplot.close(figure)


def table(series: Series) -> str:
    """The days as text: metrics, how many ids came, went and waited in all tables, and what was published."""
    lines = [("day", *_METRICS.values(), *_IDS, "published")]
    for day in series.done:
        outcome = series.outcome(day)
        found = outcome["measured"] or {}
        ids = (f"{sum(counts[what] for counts in outcome['ids'].values()):,}" for what in _IDS)
        lines.append((day, *("" if found.get(name) is None else f"{found[name]:.4f}" for name in _METRICS), *ids,
                      f"no: {'; '.join(outcome['refused'])}" if outcome["refused"] else version(day)))
    return "\n".join(align(lines))
