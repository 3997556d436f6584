"""A model carried on day by day beside models trained from nothing: AUC of the day that follows, and time of training.

    python -m data_prep.industrial.generate --output_dir=LOGS --preset=month     # and docs/month.toml beside it
    python -m experiments.benchmarks.daily --first_day=2024-01-01 --last_day=2024-01-30 \
      -- --flagfile=lcn_200_50.cfg --mapping=LOGS/logs.toml

Runs `experiments.daily` over all days, with the flags after `--`. Then, for every fifth day, it begins a series with
all days before it as if they were one: its model is trained from nothing, in one pass over as many impressions, and
measured on the day as the other one was. Finished series are not run again.
"""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

from absl import app, flags

from command_line.text_table import align
from experiments.benchmarks import flags as common
from experiments.benchmarks import measure
from lcn_tf import json_files

_WORKDIR = flags.DEFINE_string("workdir", "runs/daily_benchmark", "folder of the series")
_FIRST = flags.DEFINE_string("first_day", "2024-01-01", "first day of the logs")
_LAST = flags.DEFINE_string("last_day", "2024-01-30", "last day")
_EVERY = flags.DEFINE_integer("every", 5, "days from one comparison to the next", lower_bound=1)
_TRAINED = re.compile(r"trained in ([0-9.]+) s")


def main(argv: Sequence[str]) -> None:
    """Runs the series, prints the table and writes the JSON file; bad input ends in one line."""
    first, last = date.fromisoformat(_FIRST.value), date.fromisoformat(_LAST.value)
    days = [(first + timedelta(days)).isoformat() for days in range((last - first).days + 1)]
    try:
        carried = _series("carried_on", argv[1:], 1, days[-1])
        rows = []
        for place in sorted({*range(_EVERY.value, len(days), _EVERY.value), len(days) - 1}):
            begun = _series(f"from_nothing_{place}", argv[1:], place, days[place])
            rows.append({"day": days[place], "days_before": place, "auc_carried_on": carried["auc"][days[place]],
                         "auc_from_nothing": begun["auc"][days[place]],
                         "seconds_carried_on": carried["seconds"][place - 1],
                         "seconds_from_nothing": begun["seconds"][0]})
        figures = {"days": rows}
        measure.write_figures(common.OUTPUT.value or "daily.json", {"flags": list(argv[1:])}, figures)
    except (ValueError, OSError, RuntimeError) as error:
        sys.exit(f"error: {error}")
    print(report(rows))


def _series(name: str, words: Sequence[str], first_days: int, last_day: str) -> dict[str, Any]:
    """AUC by day and seconds of training by day of a series, run as far as it is not."""
    workdir = os.path.join(_WORKDIR.value, name)
    figures = f"{workdir}.json"
    if not os.path.exists(figures):
        command = [sys.executable, "-m", "experiments.daily", *words, f"--workdir={workdir}",
                   f"--first_day={_FIRST.value}", f"--first_days={first_days}", f"--last_day={last_day}"]
        os.makedirs(_WORKDIR.value, exist_ok=True)
        with open(f"{workdir}.log", "a", encoding="utf-8") as log:
            process = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, check=False)
        if process.returncode:
            raise RuntimeError(f"{' '.join(command)} exited with {process.returncode}, see {workdir}.log")
        with open(os.path.join(workdir, "progress.csv"), encoding="utf-8", newline="") as file:
            auc = {row["day"]: float(row["auc"]) for row in csv.DictReader(file) if row["auc"]}
        with open(f"{workdir}.log", encoding="utf-8") as log:
            seconds = [float(text) for text in _TRAINED.findall(log.read())]
        with open(figures, "w", encoding="utf-8") as file:
            json.dump({"auc": auc, "seconds": seconds}, file)
    return json_files.read(figures, {"auc": {str: float}, "seconds": [float]})


def report(rows: Sequence[dict[str, Any]]) -> str:
    """The figures as text."""
    lines = [("day", "days before", "AUC carried on", "from nothing", "difference", "seconds carried on",
              "from nothing", "share")]
    lines += [(row["day"], str(row["days_before"]), f"{row['auc_carried_on']:.4f}", f"{row['auc_from_nothing']:.4f}",
               f"{row['auc_carried_on'] - row['auc_from_nothing']:+.4f}", f"{row['seconds_carried_on']:.1f}",
               f"{row['seconds_from_nothing']:.1f}", f"{row['seconds_carried_on'] / row['seconds_from_nothing']:.2f}")
              for row in rows]
    return "\n".join(align(lines))


if __name__ == "__main__":
    app.run(main)
