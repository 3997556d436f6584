"""The report of an A/B test from its outcomes: Markdown, a picture and the figures as JSON.

    python -m experiments.ab_test.report runs/ab --control=sim [--shares=sim=0.9,lcn=0.1] [--own=runs/ab_own]

`runs/ab` holds `outcomes.parquet` and, if scoring was timed, `latency.parquet`: see `experiments.ab_test.outcomes`.
The arms' shares of the users, for the sample ratio, are those of `settings.json`, if that is there, else equal ones.
With `--own`, the folder of the same test with training on each arm's own data, the difference is reported as
interference; a folder that holds both populations needs no second one. The same files give the same report, byte for
byte.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from experiments.ab_test import settled
from experiments.ab_test.analysis import interference, latency, tables
from experiments.ab_test.analysis.comparison import Comparison, compare
from experiments.ab_test.analysis.metrics import Metric
from experiments.ab_test.analysis.pictures import draw_tests
from experiments.ab_test.analysis.totals import Totals, of_population
from experiments.ab_test.outcomes import LATENCY, OUTCOMES, SPLIT, SPLIT_OWN
from experiments.ab_test.simulation.assignment import check_shares
from lcn_tf.whole_files import write_text

NAME = "report"
_NOTES = """\
Effects are relative, in percent. *This look*: the interval of tea-tasting's test, by the delta method over users; it
holds if the day of the only look was chosen beforehand. *All looks*: the interval that holds on all days at once, so
that a test may be looked at daily and stopped when its interval leaves out 0. *CUPED* takes into account what each
user did before the test. The *truth* is the effect on these very users, days and random numbers, with each arm
serving everybody. Users count from their first request on. *Days*: after how many days a plan with these users finds
the effect with 80 %; ~ goes beyond the days that were seen, > beyond ten times as many: users differ for good, which
more days of the same users do not average away."""


def write(folder: str, outcomes: pd.DataFrame, times: pd.DataFrame | None, control: str, command: str,
          shares: Mapping[str, float] | None = None, own: Totals | None = None) -> str:
    """Writes `report.md`, `report.png` and `report.json`; returns the Markdown.

    Args:
      folder: where the files go.
      outcomes: see `experiments.ab_test.outcomes`.
      times: of scoring calls, likewise; None where none were taken.
      control: name of the arm that the others are compared with.
      command: that made the outcomes.
      shares: arm -> its share of the users, of all arms; default equal ones.
      own: the users of the same test with training on each arm's own data, if it is not in `outcomes`.

    Raises:
      ValueError: columns, values, a population or an arm that cannot be, or fewer than two users in an arm.
    """
    totals = of_population(outcomes, SPLIT)
    totals.members(control)
    others = [arm for arm in totals.arms if arm != control]
    if not others:
        raise ValueError(f"population {SPLIT!r}: expected a second arm beside {control!r}, got none")
    shares = shares or dict.fromkeys(totals.arms, 1 / len(totals.arms))
    if missing := [arm for arm in totals.arms if arm not in shares]:
        raise ValueError(f"shares: expected one of each arm of the outcomes, {', '.join(totals.arms)}, got none of "
                         f"{', '.join(missing)}")
    if own is None and SPLIT_OWN in set(outcomes["population"]):
        own = of_population(outcomes, SPLIT_OWN)
    comparisons = [compare(outcomes, times, control, arm, shares) for arm in others]
    found = {arm: interference.compare(totals, own, control, arm) for arm in others} if own else {}
    text = _markdown(totals, comparisons, found, times, command, shares)
    os.makedirs(folder, exist_ok=True)
    draw_tests(os.path.join(folder, f"{NAME}.png"), comparisons)
    figures = {"comparisons": comparisons, "interference": found,
               "latency": latency.of_arms(times) if times is not None else {}}
    write_text(os.path.join(folder, f"{NAME}.json"), json.dumps(plain(figures), indent=1) + "\n")
    write_text(os.path.join(folder, f"{NAME}.md"), text)
    return text


def _markdown(totals: Totals, comparisons: Sequence[Comparison],
              found: Mapping[str, Sequence[interference.Interference]], times: pd.DataFrame | None, command: str,
              shares: Mapping[str, float]) -> str:
    lines = ["# A/B test", "", "```sh", command, "```", ""]
    for comparison in comparisons:
        lines += [*tables.headline(comparison), ""]
    lines += ["## Arms", "", *tables.arms(totals, latency.of_arms(times) if times is not None else {}), ""]
    for comparison in comparisons:
        ratio, expected = comparison.sample_ratio, (shares[arm] for arm in (comparison.treatment, comparison.control))
        lines += [f"## {comparison.treatment} against {comparison.control}", "", *tables.effects(comparison), "",
                  f"Sample ratio: {ratio.treatment:,} users to {ratio.control:,}, expected "
                  f"{' to '.join(f'{share:.4g}' for share in expected)}, p = {ratio.p_value:.3g}"
                  + (": **not by chance, do not trust the effects**." if ratio.p_value < 0.001 else "."), "",
                  "### What the test can find", "", *tables.power(comparison), "",
                  "### By day, CUPED", "", *tables.by_day(comparison), ""]
        if comparison.latency:
            lines += ["### Latency", "", *tables.latencies(comparison), "",
                      "Of each day's calls, paired by day.", ""]
        if comparison.treatment in found:
            lines += ["### Interference through shared training", "",
                      *tables.interference(found[comparison.treatment]), "",
                      "(1 + effect on all data) / (1 + effect on own data) - 1, of the same users in the same arms.",
                      ""]
    return "\n".join([*lines, f"![effects by day]({NAME}.png)", "", _NOTES, ""])


def plain(value: Any) -> Any:
    """Figures as JSON has them: what is not finite is None, a metric is its key."""
    if isinstance(value, Metric):
        return value.key
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value


def read(folder: str) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """The outcomes of a folder, and the times of its scoring calls if there are any.

    Raises:
      ValueError: there are no outcomes.
    """
    path, times = (os.path.join(folder, name) for name in (OUTCOMES, LATENCY))
    if not os.path.exists(path):
        raise ValueError(f"{folder}: holds no A/B test ({OUTCOMES})")
    return pd.read_parquet(path), pd.read_parquet(times) if os.path.exists(times) else None


def _shares(text: str) -> dict[str, float]:
    """Of `sim=0.9,lcn=0.1`.

    Raises:
      ValueError: text that is not like that, or no shares.
    """
    pairs = [part.strip().rpartition("=") for part in text.split(",")]
    try:
        found = {arm: float(share) for arm, _, share in pairs}
    except ValueError:
        found = {}
    if "" in found or len(found) < len(pairs):
        raise ValueError(f"--shares: expected one of each arm, like sim=0.9,lcn=0.1, got {text!r}")
    check_shares(found)
    return found


def main(argv: Sequence[str]) -> None:
    """Writes and prints a report."""
    parser = argparse.ArgumentParser(prog="python -m experiments.ab_test.report", description=__doc__.splitlines()[0])
    parser.add_argument("folder", help="of the test; the report is written there")
    parser.add_argument("--control", required=True, help="the arm that the others are compared with")
    parser.add_argument("--shares", help="of the users, like sim=0.9,lcn=0.1, with a sum of 1; default: those of the "
                        f"folder's {settled.NAME}, if it is there, else equal ones")
    parser.add_argument("--own", help="folder of the same test with training on each arm's own data")
    options = parser.parse_args(argv)
    try:
        shares = settled.shares_of(options.folder) if options.shares is None else _shares(options.shares)
        outcomes, times = read(options.folder)
        own = None
        if options.own:
            others = read(options.own)[0]
            own = of_population(others, SPLIT_OWN if SPLIT_OWN in set(others["population"]) else SPLIT)
        print(write(options.folder, outcomes, times, options.control,
                    "python -m experiments.ab_test.report " + shlex.join(argv), shares, own))
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    print(f"Files: {os.path.join(options.folder, NAME)}.*")


if __name__ == "__main__":
    main(sys.argv[1:])
