"""Numbers of A/B tests as text, and the tables of a report."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from experiments.ab_test.analysis.comparison import TARGETS, Comparison, Reading
from experiments.ab_test.analysis.estimates import Effect
from experiments.ab_test.analysis.interference import Interference
from experiments.ab_test.analysis.latency import Difference, Latency
from experiments.ab_test.analysis.metrics import METRICS, USERS
from experiments.ab_test.analysis.totals import Totals
from experiments.tables.report import markdown_table, p_value_text

_FARTHEST = 10  # times the days that were seen: what is foretold beyond says nothing


def percent(value: float) -> str:
    """A relative effect, like +2.93 %."""
    return f"{100 * value:+.2f} %" if math.isfinite(value) else "undefined"


def percent_interval(low: float, high: float) -> str:
    """Of a relative effect."""
    return "unbounded" if not math.isfinite(low) or not math.isfinite(high) else \
        f"[{100 * low:+.2f}, {100 * high:+.2f}]"


def milliseconds(found: Difference) -> str:
    """A difference with its interval."""
    interval = f" [{found.low:+.2f}, {found.high:+.2f}]" if math.isfinite(found.low) else ""
    return f"{found.mean:+.2f} ms{interval}"


def headline(comparison: Comparison) -> list[str]:
    """The three figures of the paper's test, by CUPED."""
    by_key = {reading.metric.key: reading.last for reading in comparison.readings if reading.adjusted}
    parts = [f"{title} {_effect(by_key[key])}"
             for key, title in (("ctr", "clicks per impression"), ("stay_per_user", "stay time per user"))]
    if comparison.latency:
        parts.append(f"median latency {milliseconds(comparison.latency['p50'])}")
    return [f"**{comparison.treatment} against {comparison.control}**, {comparison.days} days, 95 % intervals: "
            f"{', '.join(parts)}."]


def _effect(found: Effect) -> str:
    """With its interval, if there is an effect."""
    interval = f" {percent_interval(found.low, found.high)}" if math.isfinite(found.relative) else ""
    return f"{percent(found.relative)}{interval}"


def effects(comparison: Comparison) -> list[str]:
    """The effects of all days, with both kinds of intervals and the truth where it is known."""
    known = any(reading.truth is not None for reading in comparison.readings)
    header = ["metric", _cell(comparison.control), _cell(comparison.treatment), "effect", "95 %, this look", "p",
              "95 %, all looks", "decided after", *(["truth"] if known else [])]
    rows = []
    for reading in comparison.readings:
        last, looks = reading.last, reading.sequential
        levels = (f"{value:,.{reading.metric.digits}f}" for value in (last.control, last.treatment))
        cells = [_title(reading), *levels, percent(last.relative), percent_interval(last.low, last.high),
                 p_value_text(last.p_value), percent_interval(looks.low[-1], looks.high[-1]),
                 f"{looks.decided_after} days" if looks.decided_after else "not yet"]
        if known:
            cells.append("" if reading.truth is None else percent(reading.truth[-1]))
        rows.append(cells)
    return markdown_table(header, rows)


def arms(totals: Totals, latency: Mapping[str, Latency]) -> list[str]:
    """What each arm's users did."""
    header = ["arm", "users", "requests", "impressions", "clicks", *(f"{metric.title} ({metric.unit})"
                                                                  for metric in METRICS)]
    header += ["calls", "mean ms", "p50 ms", "p99 ms"] if latency else []
    rows = []
    for arm in totals.arms:
        members = totals.members(arm)
        sums = {name: float(values[members, -1].sum()) for name, values in totals.sums.items()}
        counts = (f"{sums[name]:,.0f}" for name in (USERS, "requests", "impressions", "clicks"))
        levels = (f"{sums[metric.numerator] / sums[metric.denominator]:,.{metric.digits}f}"
                  if sums[metric.denominator] else "" for metric in METRICS)
        cells = [_cell(arm), *counts, *levels]
        if latency:
            found = latency.get(arm)
            cells += [f"{found.calls:,}", *(f"{value:.2f}" for value in (found.mean, found.p50, found.p99))] \
                if found else [""] * 4
        rows.append(cells)
    return markdown_table(header, rows)


def power(comparison: Comparison) -> list[str]:
    """What a test of these users can find, and after how many days."""
    header = ["metric", "found with 80 %", *(f"power at {_target(target)}" for target in TARGETS),
              *(f"days for {_target(target)}" for target in TARGETS)]
    return markdown_table(header, [[
        _title(reading), _known(reading.detectable[-1], "±", ".2f"), *(_known(reading.power[one], "", ".0f")
                                                                      for one in TARGETS),
        *(_days(reading.days[one], comparison.days) for one in TARGETS)] for reading in comparison.readings])


def by_day(comparison: Comparison) -> list[str]:
    """The effects from the first day to each day, by CUPED."""
    readings = [reading for reading in comparison.readings if reading.adjusted]
    header = ["days", *(f"{reading.metric.title}{what}" for reading in readings
                        for what in ("", ", this look", ", all looks"))]
    rows = []
    for days in range(1, comparison.days + 1):
        cells = [str(days)]
        for reading in readings:
            effect = next((one for one in reading.by_day if one.days == days), None)
            looks = reading.sequential
            cells += [percent(effect.relative), percent_interval(effect.low, effect.high)] if effect else ["", ""]
            cells.append(percent_interval(looks.low[days - 1], looks.high[days - 1]))
        rows.append(cells)
    return markdown_table(header, rows)


def latencies(comparison: Comparison) -> list[str]:
    """Treatment minus control."""
    return markdown_table(["", "difference [95 %]"],
                          [[name, milliseconds(found)] for name, found in comparison.latency.items()])


def interference(found: Sequence[Interference]) -> list[str]:
    """What shared training makes of the effects."""
    return markdown_table(
        ["metric", "effect, trained on all data", "effect, trained on own data", "interference", "95 %"],
        [[one.metric.title, percent(one.shared), percent(one.own), percent(one.change),
          percent_interval(one.low, one.high)] for one in found])


def _title(reading: Reading) -> str:
    cuped = ", CUPED" if reading.before else ", CUPED (nothing before the test)"
    return f"{reading.metric.title}{cuped if reading.adjusted else ''}"


def _cell(arm: str) -> str:
    """A name in a Markdown table."""
    return arm.replace("|", "\\|")


def _known(value: float, sign: str, digits: str) -> str:
    return "" if math.isnan(value) else f"{sign}{100 * value:{digits}} %"


def _target(target: float) -> str:
    return f"{100 * target:g} %"


def _days(days: float, seen: int) -> str:
    if math.isnan(days):
        return ""
    if days > _FARTHEST * seen:
        return f"> {_FARTHEST * seen}"
    return f"{days:.0f}" if days <= seen else f"~{days:.0f}"
