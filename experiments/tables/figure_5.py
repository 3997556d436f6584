"""Figure 5: the share of the final stage's favourite events that the earlier stages deliver, and what it is worth.

Panels: by model; over the epochs of training (validation split); by K1. Definition: docs/readings.md, consistency.
"""

from __future__ import annotations

import dataclasses
import math
import os
import re
from collections.abc import Sequence
from typing import Any

import matplotlib

matplotlib.use("agg")

from matplotlib import pyplot
from matplotlib.axes import Axes

from experiments.tables import report
from experiments.tables.comparison import Line, Spread
from experiments.tables.rows import Table
from lcn_tf.whole_files import write_text

_K1 = re.compile(r"LCN-(\d+)-50$")


def write(folder: str, table: Table, lines: Sequence[Line], command: str) -> str:
    """Writes `figure_5.png`, `.md` and `.csv`; returns the Markdown."""
    measured = [line for line in lines if line.runs]
    text = _markdown(table.title, lines, command)
    write_text(os.path.join(folder, f"{table.key}.md"), text)
    write_text(os.path.join(folder, f"{table.key}.csv"),
                       report.csv_text([report.record(line) | _record(line) for line in lines]))
    figure, (by_model, by_epoch, by_k1) = pyplot.subplots(1, 3, figsize=(20, 5), layout="constrained")
    known = [line for line in measured if _consistency(line, "value")]
    _draw_models(by_model, known)
    _draw_epochs(by_epoch, known)
    _draw_k1(by_k1, known)
    figure.savefig(os.path.join(folder, f"{table.key}.png"), dpi=120)
    pyplot.close(figure)
    return text


def _markdown(title: str, lines: Sequence[Line], command: str) -> str:
    rows = []
    for line in lines:
        shares = [_consistency(line, name) for name in ("value", "random_baseline", "chance_corrected")]
        cells = [line.name, *(report.spread_text(spread, 3) if spread else "" for spread in shares),
                 "" if (impressions := _impressions(line)) is None else f"{impressions:,}",
                 report.spread_text(line.metric("auc")) if line.runs else "", _gap(line),
                 report.p_value_text(line.comparison.p_value) if line.comparison else "", str(len(line.runs))]
        rows.append(cells)
    header = ["", "consistency", "at random", "chance-corrected", "impressions", "AUC", "oracle gap in AUC [95 %]",
              "p", "seeds"]
    return "\n".join([f"# {title}", "", "```sh", command, "```", "", "![Figure 5](figure_5.png)", "",
                      *report.markdown_table(header, rows), "",
                      "impressions: those of the test split's first that have more valid events than are compared. The",
                      "oracle gap is the AUC of the same model when it passes every event on, minus the row's.",
                      *_heads(lines), "",
                      *report.facts(lines), ""])


def _consistency(line: Line, name: str) -> Spread | None:
    """Over the seeds; None where the model selects nothing, or no row has enough events."""
    if not line.planned.row.selects:
        return None
    found = [(run.get("consistency") or {}).get("test") for run in line.runs.values()]
    if not found or None in found or any(values[name] is None for values in found):
        return None
    return Spread.of([values[name] for values in found])


def _impressions(line: Line) -> int | None:
    """How many impressions the consistency is of, the same for all seeds."""
    if not _consistency(line, "value"):
        return None
    return next(iter(line.runs.values()))["consistency"]["test"]["rows"]


def _heads(lines: Sequence[Line]) -> list[str]:
    """What heads that search and attend by themselves (TWIN) deliver before their lists are merged."""
    found = [(line.name, _consistency(line, "per_head")) for line in lines]
    return [f"{name}: {report.spread_text(spread, 3)} within each head." for name, spread in found if spread]


def _record(line: Line) -> dict[str, Any]:
    names = ("value", "random_baseline", "chance_corrected", "per_head")
    spreads = {name: _consistency(line, name) for name in names}
    return {"consistency_impressions": _impressions(line),
            **{f"consistency_{name}": spread and spread.mean for name, spread in spreads.items()}}


def _gap(line: Line) -> str:
    if not line.comparison:
        return ""
    found = line.comparison.auc
    gap = dataclasses.replace(found, difference=-found.difference, low=-found.high, high=-found.low)
    return report.interval_text(gap)


def _draw_models(axes: Axes, lines: Sequence[Line]) -> None:
    names = [line.name for line in lines]
    for shift, (name, label) in enumerate((("value", "as it is"), ("chance_corrected", "chance-corrected"))):
        spreads = [_consistency(line, name) or Spread.of([]) for line in lines]
        axes.barh([index + 0.4 * shift for index in range(len(lines))], [spread.mean for spread in spreads], 0.4,
                  xerr=[0 if math.isnan(spread.std) else spread.std for spread in spreads], label=label)
    axes.set_yticks([index + 0.2 for index in range(len(lines))], names)
    axes.invert_yaxis()
    axes.set(title="Test split", xlabel="consistency")
    axes.legend()


def _draw_epochs(axes: Axes, lines: Sequence[Line]) -> None:
    axes.set_prop_cycle(color=pyplot.colormaps["tab20"].colors)  # more models than the default has colours
    for line in lines:
        epochs: dict[int, list[float]] = {}
        for run in line.runs.values():
            for row in run["history"]:
                if row.get("validation_consistency") is not None:
                    epochs.setdefault(row["epoch"], []).append(row["validation_consistency"])
        axes.plot(list(epochs), [Spread.of(values).mean for values in epochs.values()], marker="o",
                  label=line.name)
    axes.set(title="Validation split, mean over the seeds still training", xlabel="epoch", ylabel="consistency")
    if lines:
        axes.legend(fontsize="x-small", loc="upper left", bbox_to_anchor=(1, 1))


def _draw_k1(axes: Axes, lines: Sequence[Line]) -> None:
    found = {int(match[1]): line for line in lines if (match := _K1.match(line.planned.row.name))}
    for name, label in (("value", "as it is"), ("chance_corrected", "chance-corrected")):
        spreads = [_consistency(found[k1], name) or Spread.of([]) for k1 in sorted(found)]
        axes.errorbar(sorted(found), [spread.mean for spread in spreads], [spread.std for spread in spreads],
                      marker="o", label=label)
    axes.set(title="LCN-K1-50, test split", xlabel="K1", ylabel="consistency")
    if found:
        axes.legend()
