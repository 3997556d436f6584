"""A table to choose a default by: metrics of the validation day alone, each row on the same seeds."""

from __future__ import annotations

import os
from collections.abc import Sequence

from experiments.tables import report
from experiments.tables.comparison import Line, Spread
from experiments.tables.rows import Table
from lcn_tf.whole_files import write_text


def write(folder: str, table: Table, lines: Sequence[Line], command: str) -> str:
    """Writes `<key>.md` and `<key>.csv`; returns the Markdown."""
    text = _markdown(table.title, lines, command)
    write_text(os.path.join(folder, f"{table.key}.md"), text)
    write_text(os.path.join(folder, f"{table.key}.csv"), report.csv_text([_record(line) for line in lines]))
    return text


def _markdown(title: str, lines: Sequence[Line], command: str) -> str:
    header = ["validation day", *(name for name, _ in report.METRICS), "logloss of the base rate", "seeds"]
    rows = [[line.name, *(report.spread_text(spread) if line.runs else "" for spread in _spreads(line)),
             report.spread_text(_spread(line, "logloss", "base rate")) if line.runs else "", str(len(line.runs))]
            for line in lines]
    table = map(report.markdown_row, (header, ["---"] * len(header), *rows))
    commits = report.commits_text([run for line in lines for run in line.runs.values()])
    return "\n".join([f"# {title}", "", "```sh", command, "```", "", *table, "", commits, ""])


def _record(line: Line) -> dict[str, object]:
    values: dict[str, object] = {"row": line.name, "cfg": line.planned.row.cfg,
                                 "flags": " ".join(line.planned.row.flags), "seeds": len(line.runs)}
    for (_, name), spread in zip(report.METRICS, _spreads(line), strict=True):
        values.update({f"validation_{name}": spread.mean, f"validation_{name}_std": spread.std})
    return values


def _spreads(line: Line) -> list[Spread]:
    return [_spread(line, name) for _, name in report.METRICS]


def _spread(line: Line, name: str, row: str = "model") -> Spread:
    return Spread.of([run["metrics"]["validation"][row][name] for run in line.runs.values()])
