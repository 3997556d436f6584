"""The statistics of a data set as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from command_line.text_table import align
from data_prep.inspect.split_statistics import SplitStatistics

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
_MOST_DAYS = 31  # listed one by one; longer spans are listed by month, or by year


def format_report(statistics: Mapping[str, SplitStatistics], zone: str) -> str:
    """Counts, click rates, history lengths and the test split's known ids.

    Args:
      statistics: split -> what it holds.
      zone: name of the time zone of the days.
    """
    sections = {
        "splits": _counts(statistics),
        f"click rate ({zone})": _click_rates(statistics),
        "history lengths: events that a candidate sees": _lengths(statistics),
        "vocabulary coverage of the test split: ids that are not out of vocabulary": _coverage(statistics["test"])}
    return "\n\n".join("\n".join([title, *(f"  {line}" for line in lines)]) for title, lines in sections.items())


def disagreements(statistics: Mapping[str, SplitStatistics], facts: Mapping[str, Any]) -> list[str]:
    """Where the splits of a `preparation.json` say something else than the records."""
    return [f"preparation.json: {split} has {entry[name]:,} {name}, the records hold {getattr(found, name):,}"
            for split, found in statistics.items() for entry in [facts.get("splits", {}).get(split, {})]
            for name in ("groups", "impressions", "clicks", "users")
            if name in entry and entry[name] != getattr(found, name)]


def _counts(statistics: Mapping[str, SplitStatistics]) -> list[str]:
    header = ("split", "groups", "impressions", "clicks", "click rate", "users", "bytes", "bytes/impression")
    return align([header, *(
        (split, f"{found.groups:,}", f"{found.impressions:,}", f"{found.clicks:,}", f"{found.click_rate:.2%}",
         f"{found.users:,}", f"{found.bytes:,}", f"{found.bytes / max(found.impressions, 1):,.0f}")
        for split, found in statistics.items())])


def _click_rates(statistics: Mapping[str, SplitStatistics]) -> list[str]:
    """By day, or by month or year where that would be a long table."""
    for unit in ("day", "month", "year"):
        rows: dict[tuple[str, str], np.ndarray] = {}
        for split, found in statistics.items():
            for day, counts in found.days.items():
                period = str(np.datetime64(day, "D").astype(f"datetime64[{unit[0].upper()}]"))
                rows[period, split] = rows.get((period, split), 0) + np.array(counts)
        if len(rows) <= _MOST_DAYS:
            break
    return align([(unit, "split", "impressions", "clicks", "click rate"),
                  *((period, split, f"{shown:,}", f"{clicked:,}", f"{clicked / shown:.2%}")
                    for (period, split), (shown, clicked) in rows.items())], left=2)


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
