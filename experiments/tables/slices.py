"""A table by slices of the test split: AUC and GAUC by the length of a history, users without a target event apart."""

from __future__ import annotations

import os
from collections.abc import Sequence

from experiments.tables.comparison import Line, Spread
from experiments.tables.report import csv_text, markdown_row, spread_text
from lcn_tf.whole_files import write_text

_HISTORIES = (("target_length", "events in the target history (0: cold users)"),
              ("source_length", "events in the lifelong source history"))


def write(folder: str, key: str, title: str, lines: Sequence[Line]) -> None:
    """Writes `<key>_slices.md` and `<key>_slices.csv`, with every row whose test split is that of most rows."""
    lines = _same_data([line for line in lines if line.runs])
    if not lines:
        return
    records, texts = [], [f"# {title}, by history length", "", "AUC / GAUC, mean ± standard deviation over seeds. "
                          f"Command and commits: [{key}.md]({key}.md).", ""]
    for history, events in _HISTORIES:
        first = _slices(lines[0], history)[0]
        names = [f"{found['slice']} ({found['impressions']:,.0f} impressions, {found['users']:,.0f} users)"
                 for found in first]
        texts += [f"## By {events}", "", f"| {markdown_row(names)}", "|" + "---|" * (len(names) + 1)]
        for line in lines:
            cells = []
            for index, part in enumerate(first):
                auc, gauc = (Spread.of([found[index][name] for found in _slices(line, history)])
                             for name in ("auc", "gauc"))
                cells.append(f"{spread_text(auc)} / {spread_text(gauc)}")
                records.append({"row": line.name, "history": history, "slice": part["slice"],
                                "impressions": part["impressions"], "users": part["users"],
                                "click_rate": part["click_rate"], "auc": auc.mean, "auc_std": auc.std,
                                "gauc": gauc.mean, "gauc_std": gauc.std})
            texts.append(markdown_row([line.name, *cells]))
        texts.append("")
    write_text(os.path.join(folder, f"{key}_slices.md"), "\n".join(texts))
    write_text(os.path.join(folder, f"{key}_slices.csv"), csv_text(records))


def _same_data(lines: Sequence[Line]) -> list[Line]:
    """The lines of the data set that most of them have."""
    fingerprints = [line.planned.data_fingerprint for line in lines]
    common = max(fingerprints, key=fingerprints.count, default=None)
    return [line for line in lines if line.planned.data_fingerprint == common]


def _slices(line: Line, history: str) -> list[list[dict]]:
    """Of every seed, the slices of one history."""
    return [run["slices"]["test"][history] for run in line.runs.values()]
