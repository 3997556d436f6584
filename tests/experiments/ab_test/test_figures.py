"""Small figures against plain formulas: truth, interference, latency, days, rates, rank correlations."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from experiments.ab_test import rates
from experiments.ab_test.analysis import interference, latency
from experiments.ab_test.analysis.decidable import days_until
from experiments.ab_test.analysis.metrics import CTR, METRICS
from experiments.ab_test.analysis.rank_correlation import spearman
from experiments.ab_test.analysis.totals import of_population
from experiments.ab_test.analysis.truth import between, true_effects
from tests.experiments.ab_test.frames import outcomes


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return outcomes(users=300, days=3, effect=0.2, seed=1)


def ctr(table, population, days):
    rows = table[(table["population"] == population) & (table["day"] < days)]
    return rows["clicks"].sum() / rows["impressions"].sum()


def test_the_truth_is_the_ratio_between_the_arms_alone(table):
    found = true_effects(table, "old", "new")
    for days in (1, 2, 3):
        assert found[CTR][days - 1] == pytest.approx(ctr(table, "all:new", days) / ctr(table, "all:old", days) - 1)
    assert true_effects(table[table["population"] != "all:new"], "old", "new") == {}


def test_the_error_of_a_paired_effect_is_that_of_other_users(table):
    """Against a bootstrap of users."""
    old, new = (of_population(table, name) for name in ("all:old", "all:new"))
    rng, logs = np.random.default_rng(0), []
    for _ in range(2_000):
        drawn = rng.integers(len(old.users), size=len(old.users))
        ratios = [one.sums["clicks"][drawn, -1].sum() / one.sums["impressions"][drawn, -1].sum() for one in (old, new)]
        logs.append(math.log(ratios[1] / ratios[0]))
    found = between(old, new, CTR)
    assert found.standard_errors[-1] == pytest.approx(np.std(logs), rel=0.07)
    with pytest.raises(ValueError, match="different users"):
        between(old.only(old.users > 10), new, CTR)


def test_interference_is_the_change_of_the_effect_of_the_same_users(table):
    shared = of_population(table, "split")
    other = table[table["population"] == "split"].copy()
    treated = other["arm"] == "new"
    other.loc[treated, "clicks"] = np.random.default_rng(0).binomial(other.loc[treated, "clicks"], 0.9)
    found = interference.compare(shared, of_population(other, "split"), "old", "new")
    before = table[(table["population"] == "split") & (table["arm"] == "new")]
    change = before["clicks"].sum() / other[treated]["clicks"].sum()
    assert [one.metric for one in found] == list(METRICS)
    assert found[0].change == pytest.approx(change - 1) and found[0].low < change - 1 < found[0].high
    # The ids one after the other are the same, the border between the arms is not.
    tests = [of_population(other.assign(arm=np.where(other["user"] < border, "old", "new")), "split")
             for border in (100, 150)]
    with pytest.raises(ValueError, match=r"arm 'old': expected the same users .*, got \d+ and \d+, of whom \d+ are"):
        interference.compare(*tests, "old", "new")
    assert found[0].high - found[0].low < 0.05  # paired by user; of the effects alone it would be ten times as wide
    assert (found[1].change, found[1].low, found[1].high) == pytest.approx((0, 0, 0))
    with pytest.raises(ValueError, match="same users"):
        interference.compare(shared, shared.only(shared.users > 10), "old", "new")


def test_latency_is_compared_by_day():
    rng = np.random.default_rng(0)
    days = np.repeat(np.arange(5), 40)
    state = rng.normal(0, 3, 5)[days]
    times = pd.concat([pd.DataFrame({"arm": arm, "day": days, "milliseconds": base + state + rng.gamma(2, 1, 200)})
                       for arm, base in (("old", 20.0), ("new", 23.0))])
    medians = times.groupby(["arm", "day"])["milliseconds"].median()
    found = latency.difference(times, "old", "new", "p50")
    test = stats.ttest_rel(medians["new"], medians["old"])
    interval = test.confidence_interval(0.95)
    assert (found.mean, found.low, found.high) == pytest.approx(
        ((medians["new"] - medians["old"]).mean(), interval.low, interval.high))
    old = times[times["arm"] == "old"]["milliseconds"]
    assert latency.of_arms(times)["old"].p99 == pytest.approx(np.percentile(old, 99))
    alone = latency.difference(times[times["day"] == 0], "old", "new", "mean")
    assert math.isnan(alone.low) and math.isfinite(alone.mean)
    with pytest.raises(ValueError, match="no day has calls of both 'old' and 'newer'"):
        latency.difference(times, "old", "newer", "p50")
    with pytest.raises(ValueError, match="got none called milliseconds"):
        latency.of_arms(times.drop(columns="milliseconds"))


def test_days_are_read_off_or_follow_from_what_is_averaged_away():
    days = np.arange(1, 8)
    detectable = np.sqrt(4e-4 + 9e-3 / days)
    assert days_until(detectable, 0.05) == 5  # 0.0469, before that 0.0515
    assert days_until(detectable, 0.03) == 18  # 9e-3 / (9e-4 - 4e-4)
    assert days_until(detectable, 0.02) == math.inf
    assert math.isnan(days_until([math.nan, 0.1], 0.05))
    with pytest.raises(ValueError, match="above 0"):
        days_until(detectable, 0.0)


def test_the_interval_of_a_rate_is_clopper_pearsons():
    found = rates.rate([True] * 9 + [False] * 191)
    assert (found.value, found.low, found.high) == pytest.approx(
        (0.045, stats.beta.ppf(0.025, 9, 192), stats.beta.ppf(0.975, 10, 191)))
    assert found.contains(0.05) and not found.contains(0.09) and found.contains(0.09, level=0.999)
    assert found.at_most(0.09) and not found.at_most(0.08) and not found.at_most(0.09, level=0.999)
    assert rates.rate([False] * 200).high == pytest.approx(1 - 0.025**(1 / 200))
    nothing = rates.rate([])
    assert math.isnan(nothing.value) and nothing.contains(0.5)


def test_the_interval_of_a_rank_correlation_holds_it_in_95_percent():
    """Of 20 models with a correlation of 0.8 between normal values: Spearman's is 0.786."""
    rng, held = np.random.default_rng(0), 0
    for _ in range(1_000):
        first, second = rng.multivariate_normal([0, 0], [[1, 0.8], [0.8, 1]], 20).T
        found = spearman(first, second)
        held += found.low <= 6 / math.pi * math.asin(0.4) <= found.high
    assert 0.93 < held / 1_000 < 0.975


def test_rank_correlations_of_few_models():
    assert spearman([1, 2, 3, np.nan], [2, 1, 3, 9]).value == pytest.approx(0.5)
    assert math.isnan(spearman([1, 2, 3], [2, 1, 3]).low)
    assert math.isnan(spearman([1, 1, 1, 1], [2, 1, 3, 4]).value)
    same, swapped = spearman([1, 2, 3, 4, 5], [2, 3, 5, 8, 9]), spearman([1, 2, 3, 4, 5], [2, 3, 8, 5, 9])
    assert (same.value, same.high) == (1, 1) and same.low == swapped.low < swapped.value == pytest.approx(0.9)
    opposite = spearman([1, 2, 3, 4, 5], [9, 8, 5, 3, 2])
    assert (opposite.low, opposite.high) == (-1, -same.low)
