import json
import pathlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcn_tf.metrics.auc import exact_auc
from lcn_tf.metrics.gauc import group_auc, per_user_auc, user_weights

GOLDEN = json.loads((pathlib.Path(__file__).parents[1] / "golden" / "metrics.json").read_text())["gauc"]
ROWS = st.lists(st.tuples(st.integers(0, 1), st.integers(-2, 2), st.integers(-1, 5)), min_size=1, max_size=41)


def _by_loop(labels, scores, users, weights):
    """GAUC user by user."""
    total, weight_sum, kept_users, kept_rows = 0.0, 0.0, 0, 0
    for user in set(users.tolist()):
        mine = users == user
        if labels[mine].min() == labels[mine].max():
            continue
        weight = {"impressions": mine.sum(), "clicks": labels[mine].sum(), "unweighted": 1}[weights]
        total += weight * exact_auc(labels[mine], scores[mine])
        weight_sum += weight
        kept_users += 1
        kept_rows += mine.sum()
    value = total / weight_sum if kept_users else np.nan
    return value, kept_users / len(set(users.tolist())), kept_rows / len(users)


@pytest.mark.parametrize("weights", ["impressions", "clicks", "unweighted"])
def test_golden(weights):
    result = group_auc(GOLDEN["y"], GOLDEN["p"], GOLDEN["uid"], weights)
    assert result.value == pytest.approx(GOLDEN[f"gauc_{weights}"], rel=2e-5)
    assert result.user_coverage == pytest.approx(GOLDEN["coverage_users"], rel=2e-5)
    assert result.impression_coverage == pytest.approx(GOLDEN["coverage_impressions"], rel=2e-5)


def test_golden_per_user():
    per_user = per_user_auc(GOLDEN["y"], GOLDEN["p"], GOLDEN["uid"])
    keys = np.unique(GOLDEN["uid"])
    assert keys[~np.isnan(per_user.auc)].tolist() == GOLDEN["kept_users"]
    assert per_user.auc[~np.isnan(per_user.auc)] == pytest.approx(GOLDEN["per_user_auc"])
    assert per_user.impressions.tolist() == [3, 2, 3, 1] and per_user.clicks.tolist() == [1, 1, 0, 1]


@given(ROWS, st.sampled_from(["impressions", "clicks", "unweighted"]), st.randoms(use_true_random=False))
def test_equals_a_loop_over_users_in_any_order_of_rows(rows, weights, random):
    random.shuffle(rows)
    labels, scores, users = (np.array(column) for column in zip(*rows, strict=True))
    result = group_auc(labels, scores, users, weights)
    expected = _by_loop(labels, scores, users, weights)
    assert (result.value, result.user_coverage, result.impression_coverage) == pytest.approx(expected, nan_ok=True)


@given(ROWS, st.integers(-100, 100))
def test_a_users_own_shift_changes_nothing(rows, shift):
    labels, scores, users = (np.array(column) for column in zip(*rows, strict=True))
    original, shifted = (group_auc(labels, column, users).value for column in (scores, scores + shift * users))
    assert shifted == pytest.approx(original, nan_ok=True)


def test_one_user_is_the_global_auc_and_keys_may_be_text():
    labels, scores = [0, 1, 1, 0, 1], [0.3, 0.2, 0.9, 0.1, 0.3]
    assert group_auc(labels, scores, ["u"] * 5).value == pytest.approx(exact_auc(labels, scores))
    assert group_auc(labels, scores, list("aabbb")).value == pytest.approx((2 * 0 + 3 * 1) / 5)


def test_infinite_scores_tie_within_a_user():
    labels, users = [0, 1, 1, 0, 1, 0], list("aaabbb")
    per_user = per_user_auc(labels, [-np.inf, -np.inf, np.inf, 0.0, np.inf, np.inf], users)
    assert per_user.auc.tolist() == [0.75, 0.75]


def test_no_user_with_both_classes():
    result = group_auc([1, 1, 0], [0.1, 0.2, 0.3], [1, 1, 2])
    assert np.isnan(result.value) and result.user_coverage == 0 and result.impression_coverage == 0


def test_bad_input():
    with pytest.raises(ValueError, match=r"user_keys must have shape \(2,\)"):
        group_auc([0, 1], [0.1, 0.2], [1])
    with pytest.raises(ValueError, match="weights must be one of .*'rows'"):
        group_auc([0, 1], [0.1, 0.2], [1, 1], "rows")
    assert user_weights(per_user_auc([0, 1, 1], [1, 2, 3], [1, 1, 2]), "impressions").tolist() == [2, 0]
