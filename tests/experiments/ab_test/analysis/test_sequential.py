"""The intervals of all looks at once: their construction, and how often they miss on simulated normal data."""

import math

import numpy as np
import pytest
from scipy import optimize, stats

from experiments.ab_test.analysis import sequential

LOOKS, TRIALS = 30, 20_000


def brownian(times: np.ndarray) -> np.ndarray:
    """The covariance of estimates W(v) / v."""
    return np.minimum.outer(times, times) / np.outer(times, times)


def returning(persistent: float) -> np.ndarray:
    """Of means over the days so far, of users who differ for good and from day to day."""
    days = np.arange(1.0, LOOKS + 1)
    return persistent + brownian(days)


def misses(covariance: np.ndarray, widths: np.ndarray, looks: int = LOOKS) -> np.ndarray:
    """Which of many tests leave the interval at some look."""
    errors = np.random.default_rng(0).multivariate_normal(np.zeros(LOOKS), covariance, TRIALS, method="cholesky")
    return (np.abs(errors) > widths)[:, :looks].any(1)


@pytest.mark.parametrize("persistent", [0.0, 0.1, 3.0])
def test_daily_looks_miss_in_5_percent_at_most(persistent):
    covariance = returning(persistent)
    naive = misses(covariance, 1.96 * np.sqrt(np.diagonal(covariance)))
    missed = misses(covariance, sequential.half_widths(covariance, LOOKS))
    assert naive.mean() > 0.055 + 0.2 * (persistent == 0)  # what it protects from
    assert stats.binomtest(int(missed.sum()), TRIALS).proportion_ci(0.999).high <= 0.05
    assert missed.mean() > 0.002  # and not by intervals without end


def test_half_the_boundary_would_not_do():
    covariance = returning(0.0)
    assert misses(covariance, 0.6 * sequential.half_widths(covariance, LOOKS)).mean() > 0.1


def test_looks_of_independent_days_have_their_information_as_time():
    times = np.array([2.0, 3.0, 7.0, 11.0])
    widths = sequential.half_widths(brownian(times), planned_looks=9)
    np.testing.assert_allclose(widths, sequential.boundary(times / 2, 3.0) * np.sqrt(2) / times, rtol=1e-12)


def test_users_who_are_always_alike_tell_nothing_new():
    widths = sequential.half_widths(np.full((5, 5), 4.0), planned_looks=5)
    np.testing.assert_allclose(widths, widths[0])


def test_the_time_keeps_what_the_proof_needs():
    """cov(X[s], X[t]) is at least the variance of X[s], for any covariance of looks."""
    rng = np.random.default_rng(3)
    factor = rng.random((7, 5)) + 0.2
    covariance = factor @ factor.T + np.diag(rng.random(7))
    scales = sequential._scales(covariance)
    scaled = covariance * np.outer(scales, scales)
    assert (scaled + 1e-12 >= np.minimum.outer(np.diagonal(scaled), np.diagonal(scaled))).all()


def test_the_boundary_is_where_the_mixture_reaches_its_bound():
    alpha, tuned_at = 0.05, 3.0
    ratio = optimize.brentq(lambda x: x - math.log1p(x) - 2 * math.log(1 / alpha), 1, 100)
    rest = tuned_at / ratio
    for time in (0.5, 3.0, 40.0):
        found = sequential.boundary(np.array([time]), tuned_at, alpha)[0]
        mixture = 2 * math.sqrt(rest / (time + rest)) * math.exp(found**2 / 2 / (time + rest)) \
            * stats.norm.cdf(found / math.sqrt(time + rest))
        assert 2 / alpha <= mixture <= 2 / alpha * 1.001


def test_looks_without_an_estimate_have_no_interval_and_change_no_other():
    covariance = np.full((4, 4), np.nan)
    covariance[1:, 1:] = returning(0.1)[:3, :3]
    widths = sequential.half_widths(covariance, planned_looks=3)
    assert widths[0] == math.inf
    np.testing.assert_allclose(widths[1:], sequential.half_widths(covariance[1:, 1:], planned_looks=3))


def test_a_look_that_is_not_alike_earlier_ones_has_no_interval():
    covariance = np.diag([1.0, 0.5, 0.3])
    covariance[0, 2] = covariance[2, 0] = 0.2
    widths = sequential.half_widths(covariance, planned_looks=3)
    assert np.isfinite(widths).tolist() == [True, False, True]


def test_later_looks_do_not_change_earlier_intervals():
    covariance = returning(0.5)
    np.testing.assert_allclose(sequential.half_widths(covariance, 7)[:4],
                               sequential.half_widths(covariance[:4, :4], 7), rtol=1e-14)


@pytest.mark.parametrize(("looks", "alpha", "name"), [(0, 0.05, "planned_looks"), (3, 0.0, "alpha"), (3, 1.0, "alpha")])
def test_what_makes_no_sense_is_refused(looks, alpha, name):
    with pytest.raises(ValueError, match=name):
        sequential.half_widths(returning(0.0), looks, alpha)
