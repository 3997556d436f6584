import dataclasses
import itertools
import json
import math
import pathlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from lcn_tf.metrics.auc import exact_auc
from lcn_tf.metrics.gauc import group_auc
from lcn_tf.metrics.significance import (
    delong,
    detectable_difference,
    hanley_mcneil,
    holm,
    paired_t_test,
    resampled_seeds,
    user_bootstrap,
)

GOLDEN = json.loads((pathlib.Path(__file__).parents[1] / "golden" / "metrics.json").read_text())


def _rows(rows, users, seed, gap=0.0):
    rng = np.random.default_rng(seed)
    keys = rng.integers(users, size=rows)
    logits = rng.normal(-1, 1, size=rows) + rng.normal(0, 1, size=users)[keys]
    labels = (rng.random(rows) < 1 / (1 + np.exp(-logits))).astype(np.int64)
    return labels, logits + rng.normal(0, 1, rows), logits + rng.normal(0, 1 + gap, rows), keys


def test_delong_golden():
    expected = GOLDEN["delong"]
    result = delong(expected["y"], expected["pA"], expected["pB"])
    names = {"auc_a": "aucA", "auc_b": "aucB", "variance_a": "varA", "variance_b": "varB", "covariance": "cov",
             "difference": "diff", "variance": "var_diff", "z": "z", "p_value": "p_two_sided"}
    for name, golden in names.items():
        assert getattr(result, name) == pytest.approx(expected[golden], rel=2e-5), name


@given(st.integers(0, 1_000))
def test_delong_equals_its_definition_by_pairs(seed):
    rng = np.random.default_rng(seed)
    labels = np.array([0, 0, 1, 1, *rng.integers(0, 2, size=13)])
    scores = rng.integers(0, 5, size=(2, 17))  # ties
    kernel = [np.array([[(p > n) + 0.5 * (p == n) for n in column[labels == 0]] for p in column[labels == 1]])
              for column in scores]
    result = delong(labels, *scores)
    assert (result.auc_a, result.auc_b) == pytest.approx([matrix.mean() for matrix in kernel])
    by_row, by_column = (np.cov([matrix.mean(axis=axis) for matrix in kernel]) / kernel[0].shape[1 - axis]
                         for axis in (1, 0))
    expected = by_row + by_column
    assert [result.variance_a, result.variance_b, result.covariance] == pytest.approx(
        [expected[0, 0], expected[1, 1], expected[0, 1]], abs=1e-12)
    swapped = delong(labels, scores[1], scores[0])
    assert (swapped.difference, swapped.p_value) == pytest.approx((-result.difference, result.p_value), abs=1e-9)


def test_delong_of_equal_models_and_of_single_rows():
    same = delong([0, 1, 0, 1, 1], [1, 2, 3, 4, 5], [1, 2, 3, 4, 5])
    assert (same.difference, same.z, same.p_value) == (0, 0, 1)
    apart = delong([0, 0, 1, 1], [1, 2, 3, 4], [4, 3, 2, 1])
    assert (apart.difference, apart.z, apart.p_value) == (1, math.inf, 0)
    with pytest.raises(ValueError, match=r"two of each class, got \[3, 1\]"):
        delong([0, 0, 0, 1], [1, 2, 3, 4], [1, 2, 3, 4])


def test_bootstrap_point_values_seed_and_direction():
    labels, good, bad, users = _rows(1_499, 131, 3, gap=2.0)
    result = user_bootstrap(labels, good, bad, users, seed=5, resamples=97, gauc_weights="clicks")
    again = user_bootstrap(labels, good, bad, users, seed=5, resamples=97, gauc_weights="clicks")
    other = user_bootstrap(labels, good, bad, users, seed=6, resamples=97, gauc_weights="clicks")
    swapped = user_bootstrap(labels, bad, good, users, seed=5, resamples=97, gauc_weights="clicks")
    assert result == again and result["auc"].low != other["auc"].low
    assert result["auc"].difference == pytest.approx(exact_auc(labels, good) - exact_auc(labels, bad))
    expected = group_auc(labels, good, users, "clicks").value - group_auc(labels, bad, users, "clicks").value
    assert result["gauc"].difference == pytest.approx(expected)
    for name in ("auc", "gauc"):
        assert 0 < result[name].low < result[name].difference < result[name].high
        assert (swapped[name].low, swapped[name].high) == pytest.approx((-result[name].high, -result[name].low))
        assert result[name].resamples == 97


def test_bootstrap_equals_resampled_rows():
    """Weights by user give what copying the users' rows gives."""
    labels, first, second, users = _rows(83, 7, 11)
    result = user_bootstrap(labels, first, second, users, seed=17, resamples=5, confidence=0.5)
    rng, keys = np.random.default_rng(17), np.unique(users)
    differences = {"auc": [], "gauc": []}
    for _ in range(5):
        drawn = keys[rng.integers(len(keys), size=len(keys))]
        rows = np.concatenate([np.flatnonzero(users == key) for key in drawn])
        copies = np.concatenate([np.full(np.sum(users == key), copy) for copy, key in enumerate(drawn)])
        differences["auc"].append(exact_auc(labels[rows], first[rows]) - exact_auc(labels[rows], second[rows]))
        differences["gauc"].append(group_auc(labels[rows], first[rows], copies).value
                                   - group_auc(labels[rows], second[rows], copies).value)
    for name, values in differences.items():
        assert (result[name].low, result[name].high) == pytest.approx(np.quantile(values, [0.25, 0.75]))
        assert result[name].standard_error == pytest.approx(np.std(values, ddof=1))


def test_bootstrap_agrees_with_delong_where_rows_are_independent():
    labels, first, second, _ = _rows(3_001, 1, 23)
    result = user_bootstrap(labels, first, second, np.arange(3_001), seed=1, resamples=300)["auc"]
    assert result.standard_error == pytest.approx(math.sqrt(delong(labels, first, second).variance), rel=0.15)


def test_bootstrap_leaves_out_resamples_of_a_single_class():
    result = user_bootstrap([1, 0, 0], [3, 2, 1], [1, 2, 3], [1, 2, 3], seed=2, resamples=200)
    assert 0 < result["auc"].resamples < 200
    assert result["gauc"].resamples == 0 and math.isnan(result["gauc"].low)


@pytest.mark.parametrize("field,value", [("resamples", 1), ("confidence", 1.0), ("gauc_weights", "rows")])
def test_bootstrap_bad_settings(field, value):
    with pytest.raises(ValueError, match="weights" if field == "gauc_weights" else field):
        user_bootstrap([0, 1], [1, 2], [2, 1], [1, 2], **{"seed": 1, field: value})


def test_hanley_mcneil_golden():
    expected = GOLDEN["hanley_mcneil"]
    values = [value for name, value in expected.items() if name.startswith("se_")]
    for auc, rows, rate, value in zip(expected["auc"], expected["rows"], expected["ctr"], values, strict=True):
        # The golden figures are rounded to 6 decimals, which is more than 2e-5 of them.
        assert hanley_mcneil(auc, rows * rate, rows * (1 - rate)) == pytest.approx(value, rel=2e-5, abs=5.1e-7)
    with pytest.raises(ValueError, match="auc_value"):
        hanley_mcneil(1.2, 10, 10)
    with pytest.raises(ValueError, match="negatives"):
        hanley_mcneil(0.7, 10, 0)


def test_paired_t_test():
    a, b = [0.71, 0.72, 0.70, 0.73, 0.715], [0.70, 0.722, 0.69, 0.72, 0.70]
    expected = stats.ttest_rel(a, b)
    result = paired_t_test(a, b)
    assert (result.t, result.p_value) == pytest.approx((expected.statistic, expected.pvalue))
    assert (result.mean, result.std) == pytest.approx((np.mean(np.subtract(a, b)), np.std(np.subtract(a, b), ddof=1)))
    assert paired_t_test(a, a).p_value == 1.0 and paired_t_test([1, 2, 3], [0, 1, 2]).p_value == 0.0
    with pytest.raises(ValueError, match="two or more seeds"):
        paired_t_test([0.7], [0.6])


@pytest.mark.parametrize("other", [math.nan, 0.6])
def test_a_metric_that_is_undefined_for_a_seed_is_no_sign_of_equality(other):
    result = paired_t_test([0.7, math.nan, 0.7], [0.6, other, 0.6])
    assert all(map(math.isnan, dataclasses.astuple(result)))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6), st.floats(0.001, 0.5))
def test_holm_rejects_as_step_down(p_values, alpha):
    rejected = set()
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    for step, place in enumerate(order):
        if p_values[place] * (len(p_values) - step) > alpha:
            break
        rejected.add(place)
    adjusted = holm(p_values)
    assert {place for place, value in enumerate(adjusted) if value <= alpha} == rejected
    assert np.all(adjusted >= p_values) and np.all(adjusted <= 1)


def test_holm_example_and_errors():
    for order in itertools.permutations([0, 1, 2]):
        values = np.array([0.01, 0.03, 0.04])[list(order)]
        assert holm(values) == pytest.approx(np.array([0.03, 0.06, 0.06])[list(order)])
    assert holm([]).tolist() == [] and holm([0.3]).tolist() == [0.3]
    assert holm([0.02, 0.5, 0.02]).tolist() == [0.06, 0.5, 0.06]
    for value in (1.2, math.nan):
        with pytest.raises(ValueError, match="p_values"):
            holm([0.2, value])


def test_seeds_are_drawn_anew_with_every_resample():
    rng = np.random.default_rng(4)
    values = rng.normal(size=[5, 1]) + 0.1 * rng.normal(size=[5, 20_000])
    found = resampled_seeds(values, seed=3)
    between = np.var(values.mean(axis=1))  # of single draws, which 5 of them divide by 5
    assert np.var(found) == pytest.approx(between / 5 + 0.1**2 / 5, rel=0.05)
    assert found.mean() == pytest.approx(values.mean(), abs=0.02)
    np.testing.assert_array_equal(found, resampled_seeds(values, seed=3))
    np.testing.assert_array_equal(resampled_seeds(values[:1], seed=3), values[0])
    with pytest.raises(ValueError, match=r"resamples must be \[S, R\] with S at least 1, got \[3\]"):
        resampled_seeds([1.0, 2.0, 3.0], seed=3)


@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("power, alpha", [(0.8, 0.05), (0.5, 0.005)])
def test_a_detectable_difference_is_found_as_often_as_it_says(seeds, power, alpha):
    rng, deviation = np.random.default_rng(4), 0.3
    truth = detectable_difference(deviation / seeds**0.5, seeds, power=power, alpha=alpha)
    drawn = truth + deviation * rng.normal(size=[20_000, seeds])
    found = stats.ttest_1samp(drawn, 0.0, axis=1).pvalue < alpha
    assert found.mean() == pytest.approx(power, abs=0.015)


@pytest.mark.parametrize("seeds", [2, 5])
@pytest.mark.parametrize("common", [0.05, 0.3])
def test_with_users_in_common_the_test_errs_no_more_often_than_it_says_and_has_its_power(seeds, common):
    rng, deviation = np.random.default_rng(5), 0.3
    truth = detectable_difference(deviation / seeds**0.5, seeds, common_error=common)
    found = {}
    for mean in (0.0, truth):
        shared = common * rng.normal(size=[4_000, 1])
        drawn = mean + shared + deviation * rng.normal(size=[4_000, seeds])
        found[mean] = np.mean([paired_t_test(row, np.zeros(seeds), common).p_value < 0.05 for row in drawn])
    assert found[truth] == pytest.approx(0.8, abs=0.03)
    assert found[0.0] < 0.06
    assert paired_t_test([1.0, 1.0], [0.0, 0.0], 0.5).p_value == pytest.approx(2 * stats.t.sf(2, 1))


@pytest.mark.parametrize("options, message", [
    ({"common_error": -1.0}, "errors must not be negative, got 0.1 and -1.0"),
    ({"seeds": 1}, "seeds must be at least 2, got 1"), ({"power": 1}, "alpha and power must be between 0 and 1"),
    ({"power": 0.04}, "power above alpha, got 0.05 and 0.04")])
def test_no_detectable_difference(options, message):
    assert detectable_difference(0.0, 3) == 0.0  # of models that do not differ
    with pytest.raises(ValueError, match=message):
        detectable_difference(0.1, **{"seeds": 3, **options})
