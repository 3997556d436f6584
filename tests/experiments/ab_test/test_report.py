"""The report: its figures, the same bytes twice, and one-line errors of the command."""

import json

import numpy as np
import pandas as pd
import pytest

from experiments.ab_test import report
from experiments.ab_test.analysis import estimates
from experiments.ab_test.analysis.comparison import compare, daily_looks
from experiments.ab_test.analysis.metrics import CTR
from experiments.ab_test.analysis.totals import of_population
from tests.experiments.ab_test.frames import outcomes

FILES = ("report.md", "report.json", "report.png")


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """With clearly better new arm, and the same traffic trained on own data."""
    table = outcomes(users=500, days=4, effect=0.5, seed=1)
    own = table[table["population"] == "split"].assign(population="split:own")
    own["clicks"] -= np.minimum(own["clicks"], 1) * (own["arm"] == "new")
    return pd.concat([table, own], ignore_index=True)


@pytest.fixture(scope="module")
def times() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.concat([pd.DataFrame({"arm": arm, "day": np.repeat(np.arange(4), 50),
                                    "milliseconds": base + rng.gamma(4, 1, 200)})
                      for arm, base in (("old", 20.0), ("new", 23.0))], ignore_index=True)


def test_the_report_has_all_that_was_asked_and_the_same_bytes_twice(table, times, tmp_path):
    for name in ("first", "second"):
        report.write(str(tmp_path / name), table, times, "old", "the command")
    for name in FILES:
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes(), name
    text = (tmp_path / "first" / "report.md").read_text()
    effect = estimates.effects(of_population(table, "split"), "old", "new", metrics=[CTR])[1]
    for part in (f"clicks per impression {100 * effect.relative:+.2f} % [{100 * effect.low:+.2f}, "
                 f"{100 * effect.high:+.2f}]", "median latency +3.", "| truth |", "Sample ratio:", "all looks",
                 "Interference through shared training", "p99 ms", "days for 3 %", "the command"):
        assert part in text, part
    figures = json.loads((tmp_path / "first" / "report.json").read_text())
    reading = figures["comparisons"][0]["readings"][1]
    assert (reading["metric"], reading["adjusted"]) == ("ctr", True)
    assert reading["by_day"][-1]["relative"] == effect.relative
    assert reading["truth"][-1] == pytest.approx(0.5, abs=0.05)


def test_intervals_of_all_looks_hold_those_of_one_and_decide_later(table):
    found = compare(table, None, "old", "new")
    assert found.latency == {}
    for reading in found.readings:
        looks = reading.sequential
        for effect in reading.by_day:
            assert looks.low[effect.days - 1] < effect.low < effect.high < looks.high[effect.days - 1]
        naive = next((one.days for one in reading.by_day if one.p_value < 0.05), None)
        assert looks.decided_after is None or looks.decided_after >= naive
    assert found.readings[1].sequential.decided_after is not None


def test_a_policy_that_is_not_timed_has_no_latency(table, times, tmp_path):
    text = report.write(str(tmp_path), table, times[times["arm"] == "old"], "old", "the command")
    assert "### Latency" not in text and "median latency" not in text and "p99 ms" in text


def test_an_uneven_sample_ratio_is_said_aloud(table, tmp_path):
    uneven = table[(table["arm"] != "new") | (table["population"] != "split") | (table["user"] % 3 > 0)]
    text = report.write(str(tmp_path), uneven[uneven["population"] != "split:own"], None, "old", "the command")
    assert "do not trust the effects" in text
    assert "do not trust" not in report.write(str(tmp_path), table, None, "old", "the command")


def test_an_arm_that_comes_late_has_days_without_an_estimate(table):
    late = table.copy()
    late.loc[(late["arm"] == "new") & (late["day"] < 2) & (late["population"] == "split"),
             ["requests", "impressions", "clicks", "stay_seconds"]] = 0
    found = compare(late, None, "old", "new")
    assert [effect.days for effect in found.readings[0].by_day] == [3, 4]
    looks = daily_looks(of_population(late, "split"), CTR, "old", "new", True)
    assert np.isnan(looks.relative).tolist() == [True, True, False, False]


def test_the_command_reads_folders_and_tells_errors_in_one_line(table, times, tmp_path, capsys):
    one, other = tmp_path / "one", tmp_path / "other"
    for folder, rows in ((one, table[table["population"] != "split:own"]),
                         (other, table[table["population"] == "split:own"])):
        folder.mkdir()
        rows.to_parquet(folder / "outcomes.parquet")
    times.to_parquet(one / "latency.parquet")
    report.main([str(one), "--control=old", f"--own={other}"])
    assert "Interference" in capsys.readouterr().out
    for arguments, message in (([str(one), "--control=older"], "error: arm 'older'"),
                               ([str(tmp_path), "--control=old"], "holds no A/B test")):
        with pytest.raises(SystemExit, match=message):
            report.main(arguments)


def test_unequal_shares_are_those_of_the_settings_or_of_the_command(tmp_path, capsys):
    outcomes(users=2_000, days=1, seed=2, share=0.8).to_parquet(tmp_path / "outcomes.parquet")

    def said(*more):
        report.main([str(tmp_path), "--control=old", *more])
        return next(line for line in capsys.readouterr().out.splitlines() if line.startswith("Sample ratio"))

    assert "expected 0.5 to 0.5, p = " in said() and "do not trust" in said()
    (tmp_path / "settings.json").write_text(json.dumps({"arms": ["old=random", "new=oracle"], "shares": [0.2, 0.8]}))
    assert "expected 0.8 to 0.2, p = " in said() and "do not trust" not in said()
    assert "expected 0.1 to 0.9, p = " in said("--shares=old=0.9,new=0.1")
    for shares, message in (("0.9,0.1", "--shares: expected one of each arm, like sim=0.9,lcn=0.1, got '0.9,0.1'"),
                            ("old=0.9,new=0.2", "shares must have a sum of 1"),
                            ("old=0.9,newer=0.1", "expected one of each arm of the outcomes, new, old, got none of new")
                            ):
        with pytest.raises(SystemExit, match=message):
            said(f"--shares={shares}")
    (tmp_path / "settings.json").write_text('{"arms": 3}')
    with pytest.raises(SystemExit, match="settings.json: expected the settings of a test"):
        said()


def test_odd_names_and_metrics_without_anything_leave_the_report_whole(table, times, tmp_path):
    odd = table[table["population"] == "split"].assign(
        clicks=0, stay_seconds=0.0, before_clicks=0, before_impressions=0, before_stay_seconds=0.0,
        arm=lambda rows: rows["arm"].map({"old": "a|$\\x$", "new": "b$"}))
    text = report.write(str(tmp_path), odd, None, "a|$\\x$", "the command")
    assert "clicks per impression undefined, stay time per user undefined." in text and "nan" not in text
    assert "| CTR, CUPED (nothing before the test) |" in text and "| a\\|$\\x$ | b$ | effect |" in text
    with pytest.raises(ValueError, match="milliseconds: expected numbers of at least 0, got nan"):
        report.write(str(tmp_path), table, times.assign(milliseconds=np.nan), "old", "the command")
