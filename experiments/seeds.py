"""The main job with several seeds, and the mean and standard deviation of its metrics.

    python -m experiments.seeds --num_seeds=5 --workdir=runs/lcn -- --flagfile=lcn_200_50.cfg [flags of experiments.run]

Seeds are 1, 2, ... Each run has a folder of its own in `--workdir`; finished runs are not run again, a killed one is
continued. Initialisation, data order, sampling and hashes differ between runs, never the data.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from experiments import run_data, run_files, workdir_lock
from experiments.printed_metrics import attainable_share, worse_than_base_rate
from lcn_tf import json_files
from lcn_tf.data.pipeline import RecordFiles
from lcn_tf.whole_files import write_text

_METRICS = ("auc", "gauc", "logloss", "calibration_ratio")


def run_seeds(num_seeds: int, workdir: str, arguments: Sequence[str]) -> list[dict[str, Any]]:
    """Runs what is missing and returns the `metrics` of every seed's `metrics.json`.

    Raises:
      subprocess.CalledProcessError: a run failed; what it printed is on the terminal.
      ValueError: `num_seeds` is below 1, or `workdir` holds seeds of other flags or of other records.
      BlockingIOError: another process is at work in it.
    """
    if num_seeds < 1:
        raise ValueError(f"--num_seeds must be at least 1, got {num_seeds}")
    with workdir_lock.held(workdir):
        _claim(workdir, list(arguments))
        found = []
        for seed in range(1, num_seeds + 1):
            folder = os.path.join(workdir, f"seed-{seed}")
            path = os.path.join(folder, "metrics.json")
            if not os.path.exists(path):
                print(f"Seed {seed} of {num_seeds}", flush=True)
                own = [f"--train.seed={seed}", f"--workdir={folder}"]
                subprocess.run([sys.executable, "-m", "experiments.run", *arguments, *own], check=True)
            _check_records(workdir, seed)
            found.append(json_files.read(path, {"metrics": {str: {"model": dict}}})["metrics"])
        return found


def _check_records(workdir: str, seed: int) -> None:
    """Compares the records of a finished seed with those that lie there now, and with those of the first seed."""
    folder, first = (os.path.join(workdir, f"seed-{number}") for number in (seed, 1))
    note, first_note = run_data.noted(folder), run_data.noted(first)
    if note is None or first_note is None:
        return
    if run_data.is_prepared(note["data_dir"]):
        run_data.check(folder, RecordFiles.open(note["data_dir"]))
    if note["fingerprint"] != first_note["fingerprint"]:
        raise ValueError(f"{folder} is of records with the fingerprint {note['fingerprint']}, {first} of others with "
                         f"{first_note['fingerprint']}; remove the one that is out of date")


def _claim(workdir: str, arguments: list[str]) -> None:
    """Notes in `seeds.json` which flags the folder's seeds are of, or compares with what is noted there.

    Seeds that all ended before their first checkpoint (their input was refused, say) left nothing to compare with.
    """
    path = os.path.join(workdir, "seeds.json")
    if os.path.exists(path):
        before = json_files.read(path, [str])
        if before == arguments:
            return
        folders = [os.path.join(workdir, name) for name in sorted(os.listdir(workdir)) if name.startswith("seed-")]
        if any(map(run_files.has_progress, folders)):
            raise ValueError(f"{workdir} holds seeds of other flags ({' '.join(before) or 'none'} before, "
                             f"{' '.join(arguments) or 'none'} now); choose another --workdir or remove this one")
    write_text(path, json.dumps(arguments))


def format_table(runs: Sequence[Mapping[str, Any]]) -> str:
    """Mean ± standard deviation over runs of each split's metrics, and of the share of the oracle's AUC where known.

    How many runs have a log loss worse than the base rate's is told where there are any.
    """
    lines = [f"{len(runs)} seeds, mean ± standard deviation"]
    for split in sorted(runs[0], reverse=True):  # validation, test
        values = {name: [run[split]["model"][name] for run in runs] for name in _METRICS}
        if "oracle" in runs[0][split]:
            values["attainable share"] = [
                attainable_share(run[split]["model"]["auc"], run[split]["oracle"]["auc"]) for run in runs]
        lines.append(f"{split:<12}" + "   ".join(f"{name} {_spread(numbers)}" for name, numbers in values.items()))
        if worse := sum(worse_than_base_rate(run[split]) for run in runs):
            lines.append(f"{'':<12}log loss worse than the base rate's in {worse} of {len(runs)} runs")
    return "\n".join(lines)


def _spread(numbers: Sequence[float | None]) -> str:
    if None in numbers:
        return "undefined"
    deviation = statistics.stdev(numbers) if len(numbers) > 1 else float("nan")
    return f"{statistics.fmean(numbers):.4f} ± {deviation:.4f}"


def main() -> None:
    """Runs the seeds and prints the table."""
    parser = argparse.ArgumentParser(prog="python -m experiments.seeds", description=__doc__.splitlines()[0])
    parser.add_argument("--num_seeds", type=int, default=5, help="number of seeds (default 5)")
    parser.add_argument("--workdir", required=True, help="gets one folder per seed")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="-- flags of experiments.run")
    options = parser.parse_args()
    arguments = [argument for argument in options.arguments if argument != "--"]
    try:
        print(format_table(run_seeds(options.num_seeds, options.workdir, arguments)))
    except subprocess.CalledProcessError as error:
        sys.exit(f"error: a run ended with exit status {error.returncode}")
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
