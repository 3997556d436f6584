"""The effects against plain formulas: the delta method and CUPED by hand, the sample ratio, power."""

import math
import sys

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from experiments.ab_test.analysis import estimates
from experiments.ab_test.analysis.comparison import daily_looks
from experiments.ab_test.analysis.linearised import effects_of
from experiments.ab_test.analysis.metrics import CTR, METRICS, STAY_PER_USER
from experiments.ab_test.analysis.totals import of_population
from tests.experiments.ab_test.frames import outcomes


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return outcomes(users=300, days=3, effect=0.2, seed=1)


@pytest.fixture(scope="module")
def users(table) -> pd.DataFrame:
    """The totals of all days by pandas, users without requests left out."""
    rows = table[table["population"] == "split"]
    sums = rows.groupby("user").agg({"arm": "first", "requests": "sum", "impressions": "sum", "clicks": "sum",
                                     "stay_seconds": "sum", "before_impressions": "first", "before_clicks": "first",
                                     "before_stay_seconds": "first"})
    return sums[sums["requests"] > 0]


def found(table, metric, adjusted, days=None):
    effects = estimates.effects(of_population(table, "split"), "old", "new", days)
    return next(one for one in effects if one.metric is metric and one.adjusted is adjusted)


def ratio_and_variance(numerator, denominator):
    """A ratio of totals and its variance by the delta method, users as units."""
    ratio = numerator.sum() / denominator.sum()
    return ratio, (numerator - ratio * denominator).var(ddof=1) / denominator.mean()**2 / len(numerator)


def test_ctr_is_a_ratio_of_totals_with_an_interval_by_the_delta_method(table, users):
    effect = found(table, CTR, adjusted=False)
    (old, old_variance), (new, new_variance) = (
        ratio_and_variance(rows["clicks"], rows["impressions"]) for _, rows in sorted(
            users.groupby("arm"), key=lambda pair: pair[0] != "old"))
    assert effect.control == pytest.approx(old) and effect.treatment == pytest.approx(new)
    error = math.sqrt(old_variance / old**2 + new_variance / new**2)
    low, high = np.expm1(math.log(new / old) + np.array([-1.97, 1.97]) * error)  # t with about 290 degrees of freedom
    assert effect.relative == pytest.approx(new / old - 1)
    assert (effect.low, effect.high) == pytest.approx((low, high), rel=0.01)


def test_stay_per_user_is_welchs_test(table, users):
    effect = found(table, STAY_PER_USER, adjusted=False)
    old, new = (users.loc[users["arm"] == arm, "stay_seconds"] for arm in ("old", "new"))
    assert effect.p_value == pytest.approx(stats.ttest_ind(new, old, equal_var=False).pvalue, rel=1e-9)


def test_cuped_subtracts_a_regression_on_the_days_before(table, users):
    effect = found(table, STAY_PER_USER, adjusted=True)
    slope = np.polyfit(users["before_stay_seconds"], users["stay_seconds"], 1)[0]
    adjusted = users["stay_seconds"] - slope * (users["before_stay_seconds"] - users["before_stay_seconds"].mean())
    means = adjusted.groupby(users["arm"]).mean()
    assert (effect.control, effect.treatment) == pytest.approx((means["old"], means["new"]))
    plain = found(table, STAY_PER_USER, adjusted=False)
    assert effect.high - effect.low < 0.9 * (plain.high - plain.low)


@pytest.mark.parametrize("adjusted", [False, True])
@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.key)
@pytest.mark.parametrize("days", [1, 3])
def test_sums_over_users_are_what_the_library_computes(table, metric, adjusted, days):
    effect, totals = found(table, metric, adjusted, days), of_population(table, "split")
    sums = effects_of(totals, metric, "old", "new", adjusted)
    assert math.expm1(sums.logs[days - 1]) == pytest.approx(effect.relative, rel=1e-9)
    library = (math.log1p(effect.high) - math.log1p(effect.low)) / 2 / stats.t.ppf(
        0.975, totals.sums["users"][:, days - 1].sum() - 2)
    assert sums.standard_errors[days - 1] == pytest.approx(library, rel=1e-3)  # Welch's have a few less


def test_the_covariance_between_days_is_that_of_assignments():
    """Users stay as they are, the assignment is drawn again and again: errors of days are as alike as is estimated."""
    table = outcomes(users=400, days=3, seed=5)
    totals = of_population(table, "all:old")
    rng, logs = np.random.default_rng(0), []
    for _ in range(2_000):
        arms = (rng.permutation(len(totals.users)) % 2).astype(np.int64)
        logs.append(effects_of(type(totals)("split", totals.users, ("new", "old"), arms, totals.sums, totals.before),
                               CTR, "old", "new", adjusted=True))
    drawn, estimated = np.cov([one.logs for one in logs], rowvar=False), np.mean([one.covariance for one in logs], 0)
    np.testing.assert_allclose(estimated, drawn, rtol=0.12)


def test_the_sample_ratio_finds_52_to_48_of_many_users():
    uneven = of_population(outcomes(users=20_000, days=1, seed=2, share=0.52), "split")
    even = of_population(outcomes(users=20_000, days=1, seed=2), "split")
    assert estimates.sample_ratio(uneven, "old", "new").p_value < 0.001
    assert estimates.sample_ratio(uneven, "old", "new", {"old": 0.48, "new": 0.52}).p_value > 0.01
    assert estimates.sample_ratio(even, "old", "new").p_value > 0.01


def test_power_is_that_of_the_detectable_effect(table):
    totals = of_population(table, "split")
    smallest = estimates.detectable(totals, "old", "new", CTR, adjusted=True)
    assert estimates.power(totals, "old", "new", CTR, True, [smallest, smallest / 2]) == pytest.approx([0.8, 0.29],
                                                                                                     abs=0.01)
    effect = found(table, CTR, adjusted=True)
    error = (math.log1p(effect.high) - math.log1p(effect.low)) / 2 / 1.968
    assert smallest == pytest.approx((1.96 + 0.84) * error, rel=0.1)


def test_before_without_anything_leaves_cuped_without_effect(table):
    empty = table.assign(before_clicks=0, before_impressions=0, before_stay_seconds=0.0)
    for metric in METRICS:
        plain, adjusted = (found(empty, metric, value) for value in (False, True))
        assert adjusted.relative == pytest.approx(plain.relative)
        sums = effects_of(of_population(empty, "split"), metric, "old", "new", adjusted=True)
        assert math.expm1(sums.logs[-1]) == pytest.approx(plain.relative)


def test_an_arm_without_clicks_has_no_relative_effect(table):
    table = table.assign(clicks=table["clicks"].where(table["arm"] == "new", 0))
    effect = found(table, CTR, adjusted=False)
    assert not np.isfinite(effect.high)
    assert np.isnan(effects_of(of_population(table, "split"), CTR, "old", "new", False).logs).all()


def test_a_control_that_cuped_makes_negative_has_no_effect():
    """Its users clicked before the test, a little more than the others, and not in it."""
    table = outcomes(users=300, days=2, seed=0)
    effect = found(table.assign(clicks=table["clicks"].where(table["arm"] == "new", 0)), CTR, adjusted=True)
    assert effect.control < 0 < effect.treatment
    assert np.isnan([effect.relative, effect.low, effect.high, effect.p_value]).all()


@pytest.mark.parametrize("adjusted", [False, True])
def test_users_who_do_not_differ_have_an_effect_without_interval_and_power(table, adjusted):
    same = table.assign(clicks=table["impressions"] // 10 * 3, stay_seconds=0.0)
    effect, totals = found(same, CTR, adjusted), of_population(same, "split")
    assert effect.relative == pytest.approx(0, abs=1e-12) and np.isnan([effect.low, effect.high, effect.p_value]).all()
    looks = daily_looks(totals, CTR, "old", "new", adjusted)
    assert np.isinf(looks.high).all() and looks.decided_after is None
    for metric in METRICS:
        assert np.isnan(estimates.detectable(totals, "old", "new", metric, adjusted))
        assert np.isnan(estimates.power(totals, "old", "new", metric, adjusted, [0.1, 0.2])).all()


def test_before_that_does_not_differ_leaves_cuped_without_effect(table):
    constant = table.assign(before_clicks=3, before_impressions=7, before_stay_seconds=0.1)
    totals = of_population(constant, "split")
    for metric in METRICS:
        assert not estimates.has_before(totals, "old", "new", metric)
        assert estimates.has_before(of_population(table, "split"), "old", "new", metric)
        plain, adjusted = (effects_of(totals, metric, "old", "new", value) for value in (False, True))
        np.testing.assert_array_equal(adjusted.terms, plain.terms)
        assert found(constant, metric, True).relative == found(constant, metric, False).relative


def test_without_the_library_the_extra_is_named(table, monkeypatch):
    monkeypatch.setitem(sys.modules, "tea_tasting", None)
    with pytest.raises(ValueError, match=r"pip install lcn-tf\[ab\]"):
        estimates.effects(of_population(table, "split"), "old", "new")


def test_a_wrong_name_of_an_arm_is_told(table):
    totals = of_population(table, "split")
    for call in (lambda: estimates.effects(totals, "old", "newer"),
                 lambda: estimates.sample_ratio(totals, "newer", "old"),
                 lambda: effects_of(totals, CTR, "newer", "old", False)):
        with pytest.raises(ValueError, match=r"arm 'newer': population 'split' has 'new', 'old'"):
            call()
