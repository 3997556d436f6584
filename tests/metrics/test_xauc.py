"""XAUC against a loop over all pairs."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcn_tf.metrics import exact_auc, xauc

ROWS = st.lists(st.tuples(st.integers(0, 3), st.sampled_from([0.0, 0.5, 2.0, 60.0, 1e9]), st.integers(-2, 2)),
                min_size=1, max_size=25)


def by_pairs(outcomes, scores, users):
    right = pairs = 0.0
    for i, j in itertools.combinations(range(len(outcomes)), 2):
        if users[i] == users[j] and outcomes[i] != outcomes[j]:
            pairs += 1
            agreement = (outcomes[i] - outcomes[j]) * (scores[i] - scores[j])
            right += 0.5 if agreement == 0 else float(agreement > 0)
    return right / pairs if pairs else math.nan


@given(ROWS)
def test_equals_all_pairs(rows):
    users, outcomes, scores = map(list, zip(*rows, strict=True))
    assert xauc(outcomes, scores) == pytest.approx(by_pairs(outcomes, scores, [0] * len(rows)), nan_ok=True)
    assert xauc(outcomes, scores, users) == pytest.approx(by_pairs(outcomes, scores, users), nan_ok=True)


def test_is_the_auc_of_two_outcomes_and_exact_with_many_rows():
    rng = np.random.default_rng(3)
    labels, scores = rng.integers(0, 2, 100_000), rng.normal(size=100_000).round(3)
    assert xauc(labels, scores) == pytest.approx(exact_auc(labels, scores), rel=1e-12)
    users = rng.integers(0, 50_000, 100_000)
    times = np.exp(rng.normal(size=100_000))
    assert xauc(times, times, users) == 1.0 and xauc(times, -times, users) == 0.0


@pytest.mark.parametrize("arguments, message", [
    (([], []), "outcomes must not be empty"),
    (([1.0, math.nan], [1, 2]), "outcomes must not be NaN"),
    (([1.0, 2.0], [1]), "scores must have shape"),
    (([1.0, 2.0], [1, 2], ["u"]), "user_keys must have shape"),
])
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        xauc(*arguments)
