"""How honest the analysis of A/B tests is: error rates, coverage and power over many small tests with a known truth.

    python -m experiments.ab_test.honesty [--replications=2000] [--workdir=runs/ab_honesty]

Tests of two thousand users of generated logs, drawn from larger worlds whose effects are known (`replications.py`): of
two arms that are the same, of a small and of a large effect. `honesty.md` and `honesty.json` in the work folder have
the figures, each with its 95 % interval. Finished worlds are kept there: the same command goes on where it was
stopped, and the same seed gives the same files.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from experiments import workdir_lock
from experiments.ab_test.analysis import estimates
from experiments.ab_test.analysis.metrics import CTR, METRICS
from experiments.ab_test.rates import Mean, Rate, mean, rate
from experiments.ab_test.replications import (
    LARGE,
    SAME,
    SMALL,
    Settings,
    make_population,
    reading_name,
    replicate,
)
from experiments.ab_test.report import plain
from experiments.tables.report import markdown_table
from lcn_tf import json_files
from lcn_tf.training import results
from lcn_tf.whole_files import write_text

ALPHA = 0.05
_CHECKS = 4  # of a reading, see `verdicts`
_EXACT = 3  # of them, which should be 5 % or 95 %; that of daily looks should be at most 5 %
PRIMARY = reading_name(CTR.key, True)
READINGS = [(metric, adjusted) for metric in METRICS for adjusted in (False, True)]
_NOTES = """\
Every test has the same number of users, who are drawn from a larger world and divided by a hash. *Planned end*: one
look after the last day, by tea-tasting. *Daily, naive*: the same test on each day, stopped when p < 0.05. *Daily, all
looks*: the intervals that hold on all days at once. *Coverage*: how often the interval of the planned end holds the
effect on all users of the world, which is what it is made for; *on these users*, the effect on the very users that
were drawn, which it holds as often or more (Neyman's variance does not know by how much effects differ between
users); *all looks*: how often no day's interval misses. *Predicted* is the power that tea-tasting expects for the
true effect. *Wrong sign* and *exaggeration* are of the effects that were found, with p < 0.05: how often they point
the wrong way, and how many times as large as the truth they are on average."""


def make(replications: int, settings: Settings, workdir: str) -> list[dict[str, Any]]:
    """Simulates the worlds that are missing in a work folder, and returns them all.

    Args:
      replications: a multiple of the tests of a world.
      settings: of the tests.
      workdir: gets a file per world.

    Raises:
      ValueError: another number of replications, the folder has worlds of other settings, or there is no library to
        analyse them.
    """
    estimates.library()
    per_world = settings.per_world
    if replications < per_world or replications % per_world:
        raise ValueError(f"--replications must be a multiple of --per_world={per_world}, got {replications}")
    _claim(workdir, settings)
    paths = [os.path.join(workdir, f"world-{world:03d}.json") for world in range(replications // per_world)]
    missing = [world for world, path in enumerate(paths) if not os.path.exists(path)]
    print(f"{len(paths)} worlds of {per_world} tests, {len(missing)} to do", flush=True)
    started = time.monotonic()
    for done, world in enumerate(missing):
        population = make_population(settings, world)
        found = []
        for number in range(per_world):
            found.append(replicate(population, settings, world, number))
            _show(done * per_world + number + 1, len(missing) * per_world, time.monotonic() - started)
        truth = {arm: {name: values.tolist() for name, values in by_metric.items()}
                 for arm, by_metric in population.truth.items()}
        write_text(paths[world], json.dumps({"truth": truth, "replications": found}) + "\n")
    return [json_files.read(path, {"truth": dict, "replications": [dict]}) for path in paths]


def _claim(workdir: str, settings: Settings) -> None:
    path, now = os.path.join(workdir, "settings.json"), dataclasses.asdict(settings)
    before = results.read_json(path, dict)
    if before is None:
        os.makedirs(workdir, exist_ok=True)
        results.write_json(path, now)
    elif before != now:
        changed = ", ".join(f"{name}: {before.get(name)} before, {value} now" for name, value in now.items()
                            if before.get(name) != value)
        raise ValueError(f"{workdir} holds tests of other settings ({changed}); choose another --workdir")


def _show(done: int, todo: int, seconds: float) -> None:
    end = "\n" if done == todo else ""
    rest = seconds / done * (todo - done)
    if sys.stdout.isatty():
        print(f"\r{done:,} of {todo:,} tests, {rest:.0f} s to go   ", end=end, flush=True)
    elif done % 100 == 0 or done == todo:
        print(f"{done:,} of {todo:,} tests, {rest:.0f} s to go", flush=True)


def figures(worlds: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Reading -> its error rates, and those of each effect."""
    found = {}
    for metric, adjusted in READINGS:
        name = reading_name(metric.key, adjusted)
        same = [one for one, _ in _of(worlds, SAME, name, metric.key)]
        entry: dict[str, Any] = {
            "planned_end": rate([one["p"] < ALPHA for one in same]),
            "daily_naive": rate([one["smallest_p"] < ALPHA for one in same]),
            "daily_all_looks": rate([one["decided"] is not None for one in same])}
        for arm in (SMALL, LARGE):
            entry[arm] = _of_effect(list(_of(worlds, arm, name, metric.key)))
        found[name] = entry
    return found


def _of(worlds: Sequence[dict[str, Any]], arm: str, reading: str, metric: str
        ) -> Iterator[tuple[dict[str, Any], float]]:
    """The figures of each replication, and the true effect."""
    for world in worlds:
        truth = world["truth"][arm][metric][-1]
        for one in world["replications"]:
            yield one[arm][reading], truth


def _of_effect(pairs: Sequence[tuple[dict[str, Any], float]]) -> dict[str, Any]:
    significant = [(one, truth) for one, truth in pairs if one["p"] < ALPHA]
    decided = [one["decided"] for one, _ in pairs if one["decided"] is not None]
    return {
        "truth": mean([truth for _, truth in pairs]).value,
        "coverage": rate([one["low"] <= truth <= one["high"] for one, truth in pairs]),
        "coverage_here": rate([one["low"] <= one["here"] <= one["high"] for one, _ in pairs]),
        "coverage_all_looks": rate([not one["missed"] for one, _ in pairs]),
        "power": rate([one["p"] < ALPHA for one, _ in pairs]),
        "predicted_power": float(np.mean([one["power"] for one, _ in pairs])),
        "power_all_looks": rate([one["decided"] is not None for one, _ in pairs]),
        "median_days": float(np.median(decided)) if decided else None,
        "wrong_sign": rate([one["relative"] * truth < 0 for one, truth in significant]),
        "exaggeration": mean([abs(one["relative"] / truth) for one, truth in significant]),
    }


def verdicts(found: dict[str, Any], level: float = 0.95) -> list[str]:
    """What must hold and does not, by intervals of a level: one line each, [] if all does."""
    lines = []
    for name, entry in found.items():
        if not entry["planned_end"].contains(ALPHA, level):
            lines.append(f"{_title(name)}: false positives at the planned end {rate_text(entry['planned_end'])}, not "
                         "5 %")
        if not entry["daily_all_looks"].at_most(ALPHA, level):
            lines.append(f"{_title(name)}: false positives of daily looks {rate_text(entry['daily_all_looks'])}, not "
                         "below 5 %")
        lines += [f"{_title(name)}, {arm} effect: coverage {rate_text(entry[arm]['coverage'])}, not 95 %"
                  for arm in (SMALL, LARGE) if not entry[arm]["coverage"].contains(1 - ALPHA, level)]
    return lines


def verdict_text(found: dict[str, Any]) -> list[str]:
    """Whether all holds: of the first metric of reports, each by its own interval, all at once (Bonferroni)."""
    checks, exact = _CHECKS * len(found), _EXACT * len(found)
    alone, together = verdicts(found), verdicts(found, 1 - ALPHA / checks)
    first = verdicts({PRIMARY: found[PRIMARY]})
    what = "False positives are 5 % at the planned end and at most 5 % with daily looks, and the coverage is 95 %"
    return [f"{what}: of {_title(PRIMARY)}, the first figure of reports, within its 95 % intervals "
            + ("all of it." if not first else f"**not** {'; '.join(first)}."), "",
            f"Of all metrics within the 95 % intervals of {checks - len(alone)} of {checks} figures; of the "
            f"{exact} that should be 5 % or 95 % chance alone leaves out {ALPHA * exact:.1f} on average, "
            "the others should be at most 5 %.", *(f"- {line}" for line in alone), "",
            f"Within intervals that hold for all {checks} at once with 95 %: "
            + ("all of it." if not together else f"**not** {'; '.join(together)}.")]


def markdown(found: dict[str, Any], settings: Settings, replications: int) -> str:
    """The figures as tables."""
    usual = dataclasses.asdict(Settings())
    flags = {"replications": replications, "seed": settings.seed, **{
        name: value for name, value in dataclasses.asdict(settings).items() if value != usual[name]}}
    command = " ".join(["python -m experiments.ab_test.honesty", *(f"--{name}={one}" for name, one in flags.items())])
    lines = ["# Honesty of A/B tests", "", "```sh", command, "```", "",
             f"{replications:,} tests of {settings.users:,} users and {settings.days} days each; 95 % intervals.", "",
             "## Two arms that are the same: false positives", "",
             *markdown_table(["", "planned end", "daily, naive", "daily, all looks"],
                             [[_title(name), *(rate_text(entry[one]) for one in ("planned_end", "daily_naive",
                                                                                 "daily_all_looks"))]
                              for name, entry in found.items()])]
    for arm in (SMALL, LARGE):
        lines += ["", f"## A {arm} effect: coverage", "",
                  *markdown_table(["", "truth", "coverage", "on these users", "all looks"],
                                  [[_title(name), f"{100 * entry[arm]['truth']:+.2f} %",
                                    *(rate_text(entry[arm][one]) for one in ("coverage", "coverage_here",
                                                                             "coverage_all_looks"))]
                                   for name, entry in found.items()]),
                  "", f"## A {arm} effect: power, sign and size", "",
                  *markdown_table(["", "found", "predicted", "found, all looks", "median days", "wrong sign",
                                   "exaggeration"],
                                  [_power_row(name, entry[arm]) for name, entry in found.items()])]
    return "\n".join([*lines, "", "## Does it hold", "", *verdict_text(found), "", _NOTES, ""])


def _power_row(name: str, entry: dict[str, Any]) -> list[str]:
    return [_title(name), rate_text(entry["power"]), f"{100 * entry['predicted_power']:.1f} %",
            rate_text(entry["power_all_looks"]),
            "" if entry["median_days"] is None else f"{entry['median_days']:g}", rate_text(entry["wrong_sign"]),
            _mean_text(entry["exaggeration"])]


def rate_text(found: Rate) -> str:
    """A rate with its interval, in percent."""
    if not found.trials:
        return "none found"
    return f"{100 * found.value:.1f} % [{100 * found.low:.1f}, {100 * found.high:.1f}]"


def _mean_text(found: Mean) -> str:
    if not np.isfinite(found.value):
        return ""
    return f"{found.value:.2f}" + (f" [{found.low:.2f}, {found.high:.2f}]" if np.isfinite(found.low) else "")


def _title(name: str) -> str:
    return next(f"{metric.title}{', CUPED' if adjusted else ''}" for metric, adjusted in READINGS
                if reading_name(metric.key, adjusted) == name)


def main(argv: Sequence[str]) -> None:
    """Simulates what is missing, writes the files and prints the tables."""
    parser = argparse.ArgumentParser(prog="python -m experiments.ab_test.honesty", description=__doc__.splitlines()[0])
    parser.add_argument("--replications", type=int, default=2_000,
                        help="number of tests, a multiple of --per_world (default 2000)")
    for field in dataclasses.fields(Settings):
        parser.add_argument(f"--{field.name}", type=type(field.default), default=field.default,
                            help=f"{field.metadata['help']} (default {field.default})")
    parser.add_argument("--workdir", default="runs/ab_honesty", help="gets a file per world and the figures")
    options = parser.parse_args(argv)
    try:
        settings = Settings(**{field.name: getattr(options, field.name) for field in dataclasses.fields(Settings)})
        with workdir_lock.held(options.workdir):
            found = figures(make(options.replications, settings, options.workdir))
            text = markdown(found, settings, options.replications)
            results.write_json(os.path.join(options.workdir, "honesty.json"),
                               {"settings": dataclasses.asdict(settings), "replications": options.replications,
                                "readings": plain(found)})
            write_text(os.path.join(options.workdir, "honesty.md"), text)
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("\nstopped; the same command goes on from here")
    print(text)
    print(f"Files: {os.path.join(options.workdir, 'honesty')}.*")


if __name__ == "__main__":
    main(sys.argv[1:])
