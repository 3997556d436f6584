"""Users are divided by a hash."""

import numpy as np
import pytest
from scipy.stats import binomtest

from experiments.ab_test.simulation.assignment import assigned

USERS = np.arange(1, 20_001)


def test_shares_are_those_asked_for():
    found = assigned(USERS, {"a": 0.5, "b": 0.3, "c": 0.2}, "salt")
    for place, share in enumerate((0.5, 0.3, 0.2)):
        assert binomtest(int((found == place).sum()), len(USERS), share).pvalue > 1e-3


def test_another_salt_divides_anew_and_a_users_arm_is_nobody_elses_business():
    shares = {"a": 0.5, "b": 0.5}
    one, other = (assigned(USERS, shares, salt) for salt in ("salt", "pepper"))
    assert binomtest(int((one == other).sum()), len(USERS), 0.5).pvalue > 1e-3
    assert np.array_equal(assigned(USERS[:100], shares, "salt"), one[:100])


def test_arms_stay_what_they_are_on_every_machine():
    # Origin: the first hexadecimal digits of sha256sum of "salt:1" ... "salt:12" are 7aac060ba373; from 8 on it is b.
    assert assigned(np.arange(1, 13), {"a": 0.5, "b": 0.5}, "salt").tolist() == [0, 1, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0]


@pytest.mark.parametrize(("shares", "message"), [
    ({"a": 0.5, "b": 0.6}, "shares must have a sum of 1, got 1.1"),
    ({"a": 1.0, "b": 0.0}, "shares: that of arm b must be above 0, got 0.0")])
def test_refused(shares, message):
    with pytest.raises(ValueError, match=message):
        assigned(USERS, shares, "salt")
