"""The statistics of a data set as text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from command_line.text_table import align
from data_prep.inspect.split_statistics import SplitStatistics

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
_MOST_DAYS = 31  # listed one by one; longer spans are listed by month, or by year


def format_report(statistics: Mapping[str, SplitStatistics], zone: str) -> str:
    """Counts, rates of clicks and of what other labels there are, history lengths and the last split's known ids.

    Args:
      statistics: split -> what it holds.
      zone: name of the time zone of the days.
    """
    rates, (last, newest) = [f"{word} rate" for word in words(statistics)], list(statistics.items())[-1]
    sections = {
        "splits": _counts(statistics),
        f"{', '.join(rates)} ({zone})": _rates(statistics),
        "history lengths: events that a candidate sees": _lengths(statistics),
        f"vocabulary coverage of the {last} split: ids that are not out of vocabulary": _coverage(newest)}
    return "\n\n".join("\n".join([title, *(f"  {line}" for line in lines)]) for title, lines in sections.items())


def words(statistics: Mapping[str, SplitStatistics]) -> list[str]:
    """The labels, in words."""
    return [name.replace("_", " ") for name in next(iter(statistics.values())).positives]


def disagreements(statistics: Mapping[str, SplitStatistics], facts: Mapping[str, Any]) -> list[str]:
    """Where the splits of a `preparation.json` say something else than the records."""
    lines = []
    for split, found in statistics.items():
        entry = facts.get("splits", {}).get(split, {})
        noted = {name: entry[name] for name in ("groups", "impressions", "clicks", "users") if name in entry}
        counted = {name: getattr(found, name) for name in noted}
        noted |= {f"impressions with {name}": label["positives"] for name, label in entry.get("labels", {}).items()}
        counted |= {f"impressions with {name}": count for name, count in found.positives.items()}
        lines += [f"preparation.json: {split} has {count:,} {name}, the records hold {counted.get(name, 0):,}"
                  for name, count in noted.items() if count != counted.get(name, 0)]
    return lines


def _counts(statistics: Mapping[str, SplitStatistics]) -> list[str]:
    header = ("split", "groups", "impressions", *_rate_header(statistics), "users", "bytes", "bytes/impression")
    return align([header, *(
        (split, f"{found.groups:,}", f"{found.impressions:,}",
         *_rate_cells(found.impressions, found.positives.values()),
         f"{found.users:,}", f"{found.bytes:,}", f"{found.bytes / max(found.impressions, 1):,.0f}")
        for split, found in statistics.items())])


def _rate_header(statistics: Mapping[str, SplitStatistics]) -> list[str]:
    return [cell for word in words(statistics) for cell in (f"{word}s", f"{word} rate")]


def _rate_cells(shown: int, positives: Iterable[int]) -> list[str]:
    return [cell for count in positives for cell in (f"{count:,}", f"{count / max(shown, 1):.2%}")]


def _rates(statistics: Mapping[str, SplitStatistics]) -> list[str]:
    """By day, or by month or year where that would be a long table."""
    for unit in ("day", "month", "year"):
        rows: dict[tuple[str, str], np.ndarray] = {}
        for split, found in statistics.items():
            for day, counts in found.days.items():
                period = str(np.datetime64(day, "D").astype(f"datetime64[{unit[0].upper()}]"))
                rows[period, split] = rows.get((period, split), 0) + np.array(counts)
        if len(rows) <= _MOST_DAYS:
            break
    return align([(unit, "split", "impressions", *_rate_header(statistics)),
                  *((period, split, f"{shown:,}", *_rate_cells(shown, positives))
                    for (period, split), (shown, *positives) in rows.items())], left=2)


def _lengths(statistics: Mapping[str, SplitStatistics]) -> list[str]:
    rows = [("history", "split", "mean", "empty", *(f"{share:.0%}" for share in QUANTILES), "longest")]
    for history in next(iter(statistics.values())).lengths:
        for split, found in statistics.items():
            counts = found.lengths[history]
            rows.append((history, split, f"{counts.mean:.1f}", f"{counts.empty:.1%}",
                         *(str(counts.quantile(share)) for share in (*QUANTILES, 1.0))))
    return align(rows, left=2)


def _coverage(test: SplitStatistics) -> list[str]:
    names = dict.fromkeys(name for by_feature in test.known.values() for name in by_feature)
    return align([("feature", *test.known), *(
        (name, *(f"{shares[name]:.2%}" if name in shares else "" for shares in test.known.values()))
        for name in names)])
