"""Options of rows that are chosen on a data set's validation day: as many trials for each row, one seed, AUC decides.

A choice is no file of its own: it follows from the trials' runs that are finished, so it is never of other code or data
than they are.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence

from experiments.tables import report
from experiments.tables.comparison import Spread
from experiments.tables.plan import Planned, plan
from experiments.tables.rows import Row, Table
from experiments.tables.store import Store
from lcn_tf.whole_files import write_text


@dataclasses.dataclass(frozen=True)
class Trial:
    """One choice of options for a row.

    Attributes:
      row: of the table.
      flags: the options.
      planned: its run.
      seed: of the run.
    """

    row: Row
    flags: tuple[str, ...]
    planned: Planned
    seed: int


def trials(table: Table, common: Sequence[str]) -> list[Trial]:
    """Every trial of a table's rows on the data of the common flags.

    Raises:
      ValueError: no row has options to choose between, and what `plan` raises.
    """
    if not any(row.trials for row in table.rows):
        raise ValueError(f"no row of {table.key} has options to choose between; those of tables 2, 5 and 5-sim do, and "
                         "of the planted worlds joined_by_user and joined_by_order")
    of = [(row, flags) for row in table.rows for flags in row.trials]
    rows = [dataclasses.replace(row, name=f"{row.name}, {text(flags)}", flags=(*row.flags, *flags), against=None)
            for row, flags in of]
    return [Trial(*pair, planned, table.tuning_seed) for pair, planned in zip(of, plan(rows, common), strict=True)]


def choices(tried: Sequence[Trial], store: Store) -> dict[str, tuple[str, ...]]:
    """Row -> flags of the trial with the best validation AUC, of rows whose trials are all finished."""
    best: dict[str, tuple[str, ...]] = {}
    for name in dict.fromkeys(trial.row.name for trial in tried):
        of_row = [trial for trial in tried if trial.row.name == name]
        found = {trial.flags: _validation_auc(trial, store) for trial in of_row}
        if None not in found.values():
            best[name] = max(found, key=lambda flags: found[flags] or 0.0)
    return best


def tuned(table: Table, chosen: Mapping[str, tuple[str, ...]]) -> Table:
    """The table with the options that were chosen for its rows, under a name of its own.

    Raises:
      ValueError: a row whose trials are not all finished.
    """
    if lacking := [row.name for row in table.rows if row.trials and row.name not in chosen]:
        raise ValueError(f"trials of {', '.join(lacking)} are not finished: the same command with --tune instead of "
                         "--tuned does them")
    rows = (dataclasses.replace(row, flags=(*row.flags, *chosen.get(row.name, ()))) for row in table.rows)
    return dataclasses.replace(table, key=f"{table.key}_tuned", title=f"{table.title}, options tuned", rows=tuple(rows))


def text(flags: Sequence[str]) -> str:
    """Options without the name of what they are of: "weight 0.1, temperature 0.2"."""
    parts = (flag.partition("=") for flag in flags)
    return ", ".join(f"{name.rpartition('.')[2]} {value}" for name, _, value in parts)


def write(folder: str, table: Table, tried: Sequence[Trial], store: Store, command: str) -> None:
    """Writes `<key>_trials.md` and `.csv`: the validation AUC of every trial, the chosen ones marked."""
    chosen = choices(tried, store)
    lines, records = [], []
    for trial in tried:
        auc = _validation_auc(trial, store)
        picked = chosen.get(trial.row.name) == trial.flags
        lines.append([trial.row.name, text(trial.flags), "" if auc is None else report.spread_text(Spread.of([auc])),
                      "chosen" if picked else ""])
        records.append({"row": trial.row.name, "flags": " ".join(trial.flags), "validation_auc": auc,
                        "chosen": int(picked)})
    body = report.markdown_table(["", "options", f"validation AUC, seed {table.tuning_seed}", ""], lines)
    write_text(os.path.join(folder, f"{table.key}_trials.md"),
               "\n".join([f"# {table.title}: options that were tried", "", "```sh", command, "```", "", *body, ""]))
    write_text(os.path.join(folder, f"{table.key}_trials.csv"), report.csv_text(records))


def _validation_auc(trial: Trial, store: Store) -> float | None:
    """None where the run is not finished; an undefined AUC is the worst."""
    run = store.find(trial.planned.key, trial.seed)
    if run is None:
        return None
    return run["metrics"]["validation"]["model"]["auc"] or 0.0
