"""A table as Markdown, for people, and as CSV, for programs."""

from __future__ import annotations

import collections
import dataclasses
import math
import os
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from experiments.printed_metrics import worse_than_base_rate
from experiments.tables.comparison import Line, Spread, compared
from experiments.tables.rows import Table
from lcn_tf.metrics import Interval, paired_t_test
from lcn_tf.models import ModelConfig
from lcn_tf.whole_files import write_text

METRICS = (("AUC", "auc"), ("GAUC", "gauc"), ("logloss", "logloss"))
STEP_COSTS = "objective_step.json"  # of `experiments.benchmarks.objective_step`, in a folder of results
SYSTEM_COSTS = "system_step.json"  # of `experiments.benchmarks.system_step`, likewise
_SYSTEM_COLUMNS = ("tables MiB", "peak MiB")
_LCN = {"/".join(part) for part in dataclasses.replace(ModelConfig(), objectives=()).parts}
_SEED_P = "p, seeds alone"
_WORSE = "†"  # beside a log loss that is worse than the base rate's in some run


@dataclasses.dataclass(frozen=True)
class Beside:
    """What stands beside the metrics of objectives.

    Attributes:
      chosen: row -> flags of options that were chosen on the validation day.
      step_cost: objective -> time of a step beside LCN over that of one without any.
      system_costs: row -> figures of `experiments.benchmarks.system_step`.
    """

    chosen: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict)
    step_cost: Mapping[str, float] = dataclasses.field(default_factory=dict)
    system_costs: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)


def write_table(folder: str, table: Table, lines: Sequence[Line], command: str, beside: Beside = Beside()
                ) -> str:
    """Writes `<key>.md` and `<key>.csv`; returns the Markdown."""
    text = markdown(table, lines, command, beside)
    write_text(os.path.join(folder, f"{table.key}.md"), text)
    write_text(os.path.join(folder, f"{table.key}.csv"), csv_text([record(line, table.with_seeds) for line in lines]))
    return text


def markdown(table: Table, lines: Sequence[Line], command: str, beside: Beside = Beside()) -> str:
    """The table, with what it can tell above it and what it is made of below it."""
    of_labels = _of_other_labels(lines)
    metrics = (*METRICS, *of_labels)
    of = compared(lines[0].planned) if lines else ""  # one for all rows of a table
    auc, gauc = (f"Δ{name}{_of(of)} [95 %]" for name in ("AUC", "GAUC"))
    tested = [(name, key) for name, key in of_labels if key != f"{of}auc"]
    header = ["", *(name for name, _ in metrics), auc, gauc, "compared with", "p", _SEED_P,
              *(f"Δ{name}, p" for name, _ in tested), "options",
              "step ×", "parameters ×", *_SYSTEM_COLUMNS, "attainable share", "paper AUC / GAUC", "minutes",
              "parameters", "seeds"]
    if not any(line.planned.row.name in beside.system_costs for line in lines):
        header = [name for name in header if name not in _SYSTEM_COLUMNS]
    if not any(_known(line.attainable_share) for line in lines):
        header.remove("attainable share")
    if not beside.chosen:
        header.remove("options")
    if not table.with_seeds:
        header = [name for name in header if name not in (_SEED_P, "step ×", "parameters ×")]
    names = {line.planned.row.name: line.name for line in lines}
    rows = []
    for line in lines:
        row, comparison = line.planned.row, line.comparison
        options = (flag.removeprefix("--") for flag in beside.chosen.get(row.name, ()))
        cells = {"": line.name, "seeds": str(len(line.runs)), "options": " ".join(options),
                 "step ×": _step_cost(line, beside.step_cost), "parameters ×": _parameters_over(line, lines),
                 "paper AUC / GAUC": f"{row.paper_auc:.4f} / {row.paper_gauc:.4f}" if row.paper_auc else ""}
        if line.runs:
            cells.update({name: spread_text(line.metric(key)) for name, key in metrics})
            if _worse_runs(line):
                cells["logloss"] += f" {_WORSE}"
            cells.update({"attainable share": spread_text(line.attainable_share, 3),
                          "minutes": f"{line.minutes.mean:.1f}", "parameters": f"{_parameters(line):,}"})
        cells.update(_system_cells(beside.system_costs.get(row.name)))
        if comparison:
            cells.update({auc: interval_text(comparison.auc), gauc: interval_text(comparison.gauc),
                          "compared with": names[row.against], "p": p_value_text(comparison.p_value),
                          _SEED_P: p_value_text(comparison.seed_p_value)})
            cells.update({f"Δ{name}, p": _difference(line, lines, key) for name, key in tested})
        rows.append([cells.get(name, "") for name in header])
    above = [detectable, ""] if table.with_seeds and (detectable := _detectable(lines)) else []
    notes = [*_worse_note(lines), *facts(lines)]
    return "\n".join([f"# {table.title}", "", "```sh", command, "```", "", *above, *markdown_table(header, rows), "",
                      *notes, ""])


def _of_other_labels(lines: Sequence[Line]) -> list[tuple[str, str]]:
    """Title and key of the AUC of each label beside the first, over the impressions of which it says something."""
    keys = {key for line in lines for run in line.runs.values() for key in run["metrics"]["test"]["model"]}
    return [(f"AUC{_of(key.removesuffix('auc'))}", key) for key in sorted(keys) if key.endswith("_auc")]


def _of(prefix: str) -> str:
    """Which label metrics are of that begin so, in words; of the first one none."""
    return f" of {prefix.removesuffix('_')}" if prefix else ""


def _difference(line: Line, lines: Sequence[Line], key: str) -> str:
    """Mean difference of a metric to the row that a line is compared with, and the p of a paired t-test over seeds."""
    other = next(other for other in lines if other.planned.row.name == line.planned.row.against)
    pairs = [tuple(runs[seed]["metrics"]["test"]["model"].get(key) for runs in (line.runs, other.runs))
             for seed in sorted(line.runs.keys() & other.runs.keys())]
    if len(pairs) < 2 or any(None in pair for pair in pairs):
        return ""
    test = paired_t_test(*zip(*pairs, strict=True))
    return f"{test.mean:+.4f}, {p_value_text(test.p_value)}"


def _step_cost(line: Line, costs: Mapping[str, float]) -> str:
    """Of a row of LCN-200-50 with one objective and no other part of its own: a step's time over that without."""
    configuration = line.planned.configuration
    others = {part for part in configuration.parts if not part.startswith(("objectives/", "core"))}
    objectives = [part.partition("/")[2] for part in configuration.parts if part.startswith("objectives/")]
    is_lcn = others == _LCN and not any(name.endswith("_top_k") for name in configuration.settings)
    known = is_lcn and len(objectives) == 1 and objectives[0] in costs
    return f"{costs[objectives[0]]:.2f}" if known else ""


def _system_cells(figures: Mapping[str, Any] | None) -> dict[str, str]:
    if figures is None:
        return {}
    sizes = (f"{figures[name] / 2**20:,.1f}" if figures[name] else "" for name in ("table_bytes", "peak_bytes"))
    return {"step ×": f"{figures['over_first']:.2f}", **dict(zip(_SYSTEM_COLUMNS, sizes, strict=True))}


def _parameters_over(line: Line, lines: Sequence[Line]) -> str:
    """Numbers that training holds over those of the row that this one is compared with."""
    other = next((other for other in lines if other.planned.row.name == line.planned.row.against), None)
    return f"{_parameters(line) / _parameters(other):.2f}" if other and line.runs and other.runs else ""


def _detectable(lines: Sequence[Line]) -> str:
    """The smallest differences that the data and the seeds can tell."""
    found = [line for line in lines if line.comparison and not math.isnan(line.comparison.p_value)]
    if not found:
        return ""
    seeds = min(len(line.runs) for line in found)
    single, corrected = ([line.comparison.detectable(seeds, alpha) for line in found if line.comparison]
                         for alpha in (0.05, 0.05 / len(found)))
    return (f"With 80 % this data set and these seeds tell a difference in AUC{_of(compared(found[0].planned))} of "
            f"{statistics.median(single):.4f} from none (median of the rows, {min(single):.4f} to {max(single):.4f}; a "
            f"single comparison at 5 %), one of {statistics.median(corrected):.4f} among {len(found)} comparisons.")


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A table's lines."""
    return [markdown_row(header), "|" + "---|" * len(header), *map(markdown_row, rows)]


def markdown_row(cells: Iterable[str]) -> str:
    """A table's line, not padded as by pandas and tabulate: with one longer name every line would be another."""
    return "| " + " | ".join(cells) + " |"


def _worse_runs(line: Line) -> dict[str, int]:
    """Split -> in how many runs the log loss is worse than the base rate's, where there are any."""
    splits = [split for run in line.runs.values() for split, rows in run["metrics"].items()
              if worse_than_base_rate(rows)]
    return {split: splits.count(split) for split in sorted(set(splits), reverse=True)}  # validation, test


def _worse_note(lines: Sequence[Line]) -> list[str]:
    found = [f"{line.name} ({', '.join(f'{split} {count} of {len(line.runs)}' for split, count in worse)})"
             for line in lines if (worse := _worse_runs(line).items())]
    return [f"{_WORSE} Runs whose log loss is worse than the base rate's: {'; '.join(found)}.", ""] if found else []


def record(line: Line, with_seeds: bool = False) -> dict[str, Any]:
    """A line's numbers, one column each; `with_seeds` as of the table."""
    row, comparison = line.planned.row, line.comparison
    values: dict[str, Any] = {"row": line.name, "cfg": row.cfg, "flags": " ".join(row.flags), "seeds": len(line.runs)}
    metrics = (*METRICS, *_of_other_labels([line]))
    for name, spread in [*((key, line.metric(key)) for _, key in metrics), ("minutes", line.minutes),
                         ("attainable_share", line.attainable_share)]:
        values.update({name: spread.mean, f"{name}_std": spread.std})
    values["parameters"] = _parameters(line) if line.runs else None
    values["against"] = row.against
    for name in ("auc", "gauc"):
        found = getattr(comparison, name) if comparison else None
        values.update({f"delta_{name}": found and found.difference, f"delta_{name}_low": found and found.low,
                       f"delta_{name}_high": found and found.high})
    values["p_value"] = comparison and comparison.p_value
    if with_seeds:
        values["p_value_seeds_alone"] = comparison and comparison.seed_p_value
    values.update({"paper_auc": row.paper_auc,
                   "paper_gauc": row.paper_gauc})
    return values


def csv_text(records: Sequence[dict[str, Any]]) -> str:
    """Records with the same names as CSV; what is unknown is empty."""
    return pd.DataFrame(records, dtype=object).to_csv(index=False, lineterminator="\n")


def spread_text(spread: Spread, digits: int = 4) -> str:
    """Mean ± standard deviation."""
    if not _known(spread):
        return "undefined"
    return f"{spread.mean:.{digits}f}" + ("" if math.isnan(spread.std) else f" ± {spread.std:.{digits}f}")


def facts(lines: Sequence[Line]) -> list[str]:
    """Which code and data the numbers are of."""
    runs = [run for line in lines for run in line.runs.values()]
    if not runs:
        return ["No run is finished yet."]
    tests = {run["data_fingerprint"]: run["metrics"]["test"] for run in runs}
    return [*map(_test_facts, tests.values()), commits_text(runs), *_older(lines), *_versions(runs)]


def commits_text(runs: Sequence[dict[str, Any]]) -> str:
    """Which commits the runs are of."""
    return f"Commits: {', '.join(sorted({_short(run['commit']) for run in runs}))}."


def _older(lines: Sequence[Line]) -> list[str]:
    return ["Rows marked as older are of earlier versions of parts or other defaults than the code's, and stand in for "
            "runs that are still to do."] if any(line.older for line in lines) else []


def _versions(runs: Sequence[dict[str, Any]]) -> list[str]:
    """TensorFlow's, where not all runs are of the same."""
    counted = collections.Counter(run["versions"]["tensorflow"] for run in runs)
    found = ", ".join(f"{version} ({count} runs)" for version, count in sorted(counted.items()))
    return [f"TensorFlow: {found}."] if len(counted) > 1 else []


def _test_facts(test: dict[str, Any]) -> str:
    model = test["model"]
    points = [f"{name} {spread_text(Spread.of([test[row]['auc']]))}" for row, name in
              (("item popularity", "item popularity"), ("without mechanism", "the click law without the mechanism"),
               ("oracle", "the true probabilities")) if row in test]
    return (f"Test split: {model['impressions']:,.0f} impressions, click rate {model['click_rate']:.4f}; AUC of "
            f"{' and of '.join(points)}.")


def _short(commit: str | None) -> str:
    name, dash, state = (commit or "unknown").partition("-")
    return name[:12] + dash + state


def _parameters(line: Line) -> int:
    return next(iter(line.runs.values()))["parameters"]


def _known(spread: Spread) -> bool:
    return not math.isnan(spread.mean)


def interval_text(found: Interval) -> str:
    """A difference with its interval."""
    if math.isnan(found.difference):
        return "undefined"
    return f"{found.difference:+.4f} [{found.low:+.4f}, {found.high:+.4f}]"


def p_value_text(value: float) -> str:
    return "" if math.isnan(value) else "< 0.001" if value < 0.001 else f"{value:.3f}"
