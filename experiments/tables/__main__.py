"""The paper's tables, Figures 4 and 5 and sweeps: runs what is missing and writes the table.

    python -m experiments.tables --table=2 --dataset=industrial --preset=small --seeds=5
    python -m experiments.tables --figure=5 --dataset=movielens --input_dir=ml-latest-small --seeds=5
    python -m experiments.tables --sweep=crp.weight --dataset=industrial --preset=small --seeds=5
    python -m experiments.tables --choice=level_norm --dataset=industrial --preset=hard --seeds=3
    python -m experiments.tables --table=systems --seeds=5
    python -m experiments.tables --table=worlds --dataset=industrial --preset=scenarios --seeds=5

Finished runs are kept in `<results_dir>` and used again while their flags, their data and the versions of their
parts are the same; a killed one is continued. What follows ` -- ` are flags of all runs. experiments/README.md
explains how to read the tables.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from absl import flags as absl_flags

from data_prep.errors import InputError
from data_prep.registry import DATASETS
from experiments import finished_run, flags, provenance
from experiments.tables import choice, figure_4, figure_5, report, slices, sweep, tuning, worlds
from experiments.tables.comparison import compare
from experiments.tables.plan import Planned, plan
from experiments.tables.rows import CHOICES, FIGURE_4, FIGURE_5, SWEEPS, TABLES, Table
from experiments.tables.runs import Missing, missing, run_missing
from experiments.tables.store import Store
from experiments.tables.systems import FURTHER, SYSTEMS
from lcn_tf import json_files
from lcn_tf.data.catalogue import Catalogue
from lcn_tf.schema import FeatureSchema


def main(argv: Sequence[str]) -> None:
    """Runs what is missing, writes the files and prints the table."""
    split = argv.index("--") if "--" in argv else len(argv)
    options = _parser().parse_args(argv[:split])
    options.arguments = list(argv[split + 1:])
    try:
        failed = _make(options, "python -m experiments.tables " + shlex.join(argv))
    except (ValueError, OSError, InputError, absl_flags.Error) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("stopped; the same command goes on from here")
    if failed:
        sys.exit(f"error: {failed} runs failed; the same command tries them again")


def _make(options: argparse.Namespace, command: str) -> int:
    """Makes the table, figure or sweep of the options; returns the number of runs that failed."""
    table, folder = _chosen(options), _results_dir(options)
    flags.define()
    print(f"{table.title}: looking for data (prepared if missing) and finished runs", flush=True)
    store, seeds = Store(folder), range(1, options.seeds + 1)
    os.makedirs(folder, exist_ok=True)
    chosen: Mapping[str, Sequence[str]] = {}
    if options.tune or options.tuned:
        tried = tuning.trials(table, _common(options))
        if options.tune:
            return _tune(options, command, table, tried, store)
        chosen = tuning.choices(tried, store)
        table = tuning.tuned(table, chosen)
    planned = plan(table.rows, _common(options))
    if table is FIGURE_4:
        return _look_at_items(options, command, planned, store)
    runs = missing(planned, seeds, store)
    print(f"{len(planned)} rows, {options.seeds} seeds, {len(runs)} runs to do", flush=True)
    failed = [] if options.only_finished else run_missing(runs, store, options.workdir, options.jobs)
    lines = compare(planned, store, seeds, table.with_seeds)
    versions = {run["versions"]["tensorflow"] for line in lines for run in line.runs.values()}
    if versions - {provenance.TENSORFLOW}:
        print(f"Finished runs are of TensorFlow {', '.join(sorted(versions))}; this is {provenance.TENSORFLOW}")
    if table is FIGURE_5:
        print(figure_5.write(folder, table, lines, command))
    elif options.choice:
        print(choice.write(folder, table, lines, command))
    else:
        steps = {one["objective"]: one["over_none"] for one in _measured(folder, report.STEP_COSTS)}
        systems = {one["row"]: one for one in _measured(folder, report.SYSTEM_COSTS)} if table is SYSTEMS else {}
        print(report.write_table(folder, table, lines, command, report.Beside(chosen, steps, systems)))
        slices.write(folder, table.key, table.title, lines)
        if options.sweep:
            sweep.draw(folder, table, lines)
    print(f"Files: {os.path.join(folder, table.key)}.*")
    return len(failed)


def _measured(folder: str, name: str) -> list[dict[str, Any]]:
    """The figures of a benchmark, where they are in the folder."""
    path = os.path.join(folder, name)
    return json_files.read(path, {"figures": [dict]})["figures"] if os.path.exists(path) else []


def _tune(options: argparse.Namespace, command: str, table: Table, tried: Sequence[tuning.Trial], store: Store) -> int:
    """Does the trials that are missing; returns the number of those that failed."""
    runs = missing([trial.planned for trial in tried], [table.tuning_seed], store)
    print(f"{len(tried)} trials, {len(runs)} runs to do", flush=True)
    failed = [] if options.only_finished else run_missing(runs, store, options.workdir, options.jobs)
    tuning.write(store.folder, table, tried, store, command)
    for name, best in tuning.choices(tried, store).items():
        print(f"{name}: {tuning.text(best)}")
    print(f"Files: {os.path.join(store.folder, table.key)}_trials.*")
    return len(failed)


def _look_at_items(options: argparse.Namespace, command: str, planned: Sequence[Planned], store: Store) -> int:
    """Makes Figure 4, which needs the models themselves: those that no work folder holds are trained again."""
    known, seeds, failed = figure_4.Geometries(store.folder), range(1, options.seeds + 1), []
    unknown = [Missing(row, seed) for seed in seeds for row in planned if known.find(row, seed) is None]
    print(f"{len(planned)} rows, {options.seeds} seeds, {len(unknown)} runs to look at", flush=True)
    if not options.only_finished:
        for data_dir in {run.planned.data_dir for run in unknown}:
            Catalogue.read(data_dir, FeatureSchema.load(data_dir))  # now: older folders have none, training takes long
        lacking = [run for run in unknown if not finished_run.has_checkpoint(run.workdir(options.workdir))]
        for run in lacking:
            finished_run.forget(run.workdir(options.workdir))
        failed = run_missing(lacking, store, options.workdir, options.jobs)
        for run in unknown:
            if run not in failed:
                known.add(run.planned, run.seed, figure_4.measure(run.workdir(options.workdir)))
    found = {row.row.name: {seed: geometry for seed in seeds if (geometry := known.find(row, seed))} for row in planned}
    print(figure_4.write(store.folder, FIGURE_4, found, command))
    print(f"Files: {os.path.join(store.folder, FIGURE_4.key)}.*")
    return len(failed)


def _chosen(options: argparse.Namespace) -> Table:
    if options.figure:
        return {"4": FIGURE_4, "5": FIGURE_5}[options.figure]
    if options.choice:
        return CHOICES[options.choice]
    if options.table == worlds.KEY:
        return worlds.table_of(options.preset)
    if options.table in FURTHER:
        return FURTHER[options.table]
    return TABLES[options.table] if options.table else SWEEPS[options.sweep]


def _results_dir(options: argparse.Namespace) -> str:
    """By default one of `experiments/results`: `industrial` for raw files, `industrial_small` for generated logs."""
    generator = DATASETS[options.dataset].generator
    default = getattr(generator.config_class(), "preset", None) if generator else None
    if options.preset and options.input_dir:
        raise ValueError("--preset is of generated logs and --input_dir of raw files: give one of them")
    if options.preset and not default:
        raise ValueError(f"--preset={options.preset}: dataset={options.dataset} has no presets")
    if options.results_dir:
        return options.results_dir
    if options.arguments:
        raise ValueError(f"with flags of all runs ({shlex.join(options.arguments)}) rows are not what their names "
                         "say: give a --results_dir of their own")
    generated = "" if options.input_dir else f"_{options.preset or default or 'generated'}"
    return os.path.join("experiments", "results", options.dataset + generated)


def _common(options: argparse.Namespace) -> list[str]:
    """The flags of all runs."""
    arguments = [f"--dataset={options.dataset}", "--export=false"]
    if options.input_dir:
        arguments.append(f"--input_dir={options.input_dir}")
    if options.preset:
        arguments.append(f"--{options.dataset}_generator.preset={options.preset}")
    return [*arguments, *options.arguments]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m experiments.tables", description=__doc__.splitlines()[0],
                                     epilog="What follows -- are flags of all runs; it needs a --results_dir.")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--table", choices=[*sorted(TABLES), *FURTHER, worlds.KEY], help="one of the paper's "
                      "tables, further systems, or the table of the --preset, a world of generated logs")
    what.add_argument("--figure", choices=["4", "5"],
                      help="item embeddings by domain and category; consistency of retrieval and attention")
    what.add_argument("--choice", choices=sorted(CHOICES), help="what a default is chosen by, on the validation day")
    what.add_argument("--sweep", choices=sorted(SWEEPS), help="LCN by one flag, over a grid")
    rows = parser.add_mutually_exclusive_group()
    rows.add_argument("--tune", action="store_true", help="run the trials of the rows' options instead, one seed")
    rows.add_argument("--tuned", action="store_true",
                      help="take the options whose trials had the best AUC on the validation day, see --tune")
    parser.add_argument("--dataset", choices=sorted(DATASETS), default="industrial", help="default: industrial")
    parser.add_argument("--preset", help="of the data set's generator, for generated logs (industrial: small)")
    parser.add_argument("--input_dir", help="raw files of the data set, instead of generated logs")
    parser.add_argument("--seeds", type=_positive, default=5, help="number of seeds, 1, 2, ... (default 5)")
    parser.add_argument("--jobs", type=_positive, default=1, help="runs at a time; several share the processors, which "
                                                                  "shows in the column of minutes (default 1)")
    parser.add_argument("--results_dir", help="results.jsonl and tables (default: experiments/results/<data set>)")
    parser.add_argument("--workdir", default="runs/tables", help="a folder per run (default runs/tables)")
    parser.add_argument("--only_finished", action="store_true",
                        help="run nothing: write the table of what is finished; rows that have only runs of earlier "
                             "versions show those, marked")
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be an integer of at least 1, got {text}")
    return int(text)


if __name__ == "__main__":
    main(sys.argv[1:])
