"""Outcomes as users' totals: who counts from when, and what is refused."""

import numpy as np
import pandas as pd
import pytest

from experiments.ab_test.analysis.totals import of_population
from tests.experiments.ab_test.frames import outcomes


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return outcomes(users=30, days=4, seed=3)


def test_totals_are_sums_from_the_first_day_on(table):
    totals = of_population(table.sample(frac=1, random_state=0), "split")
    rows = table[table["population"] == "split"]
    for place in (0, 5, len(totals.users) - 1):
        own = rows[rows["user"] == totals.users[place]].sort_values("day")
        for name in ("requests", "impressions", "clicks", "stay_seconds"):
            np.testing.assert_allclose(totals.sums[name][place], own[name].cumsum())
        assert totals.before["before_clicks"][place] == own["before_clicks"].iloc[0]
        assert totals.arms[totals.arm_of[place]] == own["arm"].iloc[0]


def test_a_user_counts_from_the_first_request_on(table):
    rows = table[table["population"] == "split"]
    first = rows[rows["requests"] > 0].groupby("user")["day"].min()
    totals = of_population(table, "split")
    assert totals.users.tolist() == first.index.tolist() and len(first) < rows["user"].nunique()
    np.testing.assert_array_equal(totals.sums["users"], np.arange(4) >= first.to_numpy()[:, None])


def test_users_without_rows_on_some_days_have_the_same_totals(table):
    sparse = of_population(table[table["requests"] > 0], "split")
    full = of_population(table, "split")
    np.testing.assert_array_equal(sparse.users, full.users)
    np.testing.assert_array_equal(sparse.sums["stay_seconds"], full.sums["stay_seconds"])


def changed(table, column, value, user=None):
    table = table.copy()
    rows = (table["population"] == "split") & (table["user"] == (user or table["user"].iloc[0]))
    table.loc[table.index[rows][1], column] = value
    return table


@pytest.mark.parametrize(("change", "message"), [
    (lambda table: table.drop(columns="clicks"), "got none called clicks"),
    (lambda table: changed(table, "arm", "third"), "user 7: in more than one arm of population 'split'"),
    (lambda table: changed(table, "day", 0), "user 7: 2 rows of day 0 in population 'split'"),
    (lambda table: changed(table, "day", -1), "day: expected whole numbers of at least 0, got -1"),
    (lambda table: changed(table, "day", 20260101), "day: expected 0, 1, ... in population 'split', got 20260101 but"),
    (lambda table: table.assign(day=table["day"] + 1), "day: expected 0, 1, ... in population .all:new., got 1 but"),
    (lambda table: table.assign(day=table["day"].astype(str)), "day: expected whole numbers of at least 0, got '0'"),
    (lambda table: table.assign(day=pd.Timestamp("2026-01-01")), r"day: expected whole .*Timestamp\('2026-01-01"),
    (lambda table: table.assign(day=table["day"] + 0.5), "day: expected whole numbers of at least 0, got 0.5"),
    (lambda table: table.assign(clicks=table["clicks"].astype(str)), "clicks: expected whole numbers of at least 0"),
    (lambda table: table.assign(clicks=table["clicks"] > 0), "clicks: expected whole numbers of at least 0, got"),
    (lambda table: table.assign(impressions=0, clicks=0), "impressions: expected some in population 'all:new', got 0"),
    (lambda table: table.assign(user=table["user"].astype("Int64").mask(table["user"] == 7)), "user: .*got <NA>"),
    (lambda table: changed(table, "arm", None), "arm: expected one line of text, got (None|nan)"),
    (lambda table: changed(table, "arm", ""), "arm: expected one line of text, got ''"),
    (lambda table: changed(table, "population", None), "population: expected one line of text, got (None|nan)"),
    (lambda table: table.iloc[:0], "outcomes: expected rows, got none"),
    (lambda table: changed(table, "stay_seconds", -2.5), "stay_seconds: expected numbers of at least 0, got -2.5"),
    (lambda table: changed(table, "stay_seconds", np.nan), "stay_seconds: expected numbers of at least 0, got nan"),
    (lambda table: changed(table, "stay_seconds", np.inf), "stay_seconds: expected numbers of at least 0, got inf"),
    (lambda table: changed(table, "before_stay_seconds", 1.5),
     r"before_stay_seconds: expected the same in all rows of user 7 in population 'split', got \d+ and 1.5"),
    (lambda table: changed(table, "clicks", 5_000),
     r"clicks: expected at most the \d+ impressions of user 7 in population 'split', got 50\d\d"),
    (lambda table: table.assign(before_clicks=9_000),
     r"before_clicks: expected at most the \d+ before_impressions of user 7 in population 'all:new', got 9000"),
])
def test_what_is_no_outcome_is_refused(table, change, message):
    with pytest.raises(ValueError, match=message):
        for population in ("all:new", "split"):
            of_population(change(table), population)


def test_whole_floats_and_categories_are_what_they_mean(table):
    other = table.assign(day=table["day"].astype(float), user=table["user"].astype(float),
                         arm=table["arm"].astype("category"), clicks=table["clicks"].astype("Int64"))
    one, same = (of_population(rows, "split") for rows in (table, other))
    assert same.users.dtype == np.int64 and same.arms == one.arms
    np.testing.assert_array_equal(same.users, one.users)
    np.testing.assert_array_equal(same.sums["clicks"], one.sums["clicks"])


def test_users_may_be_text_and_arms_numbers(table):
    other = table.assign(user="u" + table["user"].astype(str).str.zfill(4), arm=(table["arm"] == "new").astype(int))
    one, same = (of_population(rows, "split") for rows in (table, other))
    assert same.arms == ("0", "1") and same.users.tolist() == [f"u{user:04d}" for user in one.users]
    np.testing.assert_array_equal(same.sums["clicks"], one.sums["clicks"])
    with pytest.raises(ValueError, match="user u0007: in more than one arm"):
        of_population(changed(other, "arm", 2, "u0007"), "split")


def test_an_unknown_population_is_told(table):
    with pytest.raises(ValueError, match="population 'all:newer': outcomes have 'all:new', 'all:old', 'split'"):
        of_population(table, "all:newer")
