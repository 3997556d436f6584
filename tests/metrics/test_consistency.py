import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from lcn_tf.metrics.consistency import consistency_of_indices, consistency_of_scores, index_overlap, top_k_indices

GOLDEN = json.loads((pathlib.Path(__file__).parents[1] / "golden" / "metrics.json").read_text())["consistency"]


def test_golden():
    real, test = [GOLDEN["real"]], [GOLDEN["test"]]
    assert index_overlap(real, test).tolist() == [pytest.approx(GOLDEN["consistency"])]
    result = consistency_of_indices(real, test, [11])
    assert result.value == pytest.approx(GOLDEN["consistency"])
    assert result.random_baseline == pytest.approx(5 / 11)
    assert result.chance_corrected == pytest.approx((0.6 - 5 / 11) / (1 - 5 / 11))
    for length in (500, 2000):
        fifty = np.arange(50)[np.newaxis]
        baseline = consistency_of_indices(fifty, fifty, [length]).random_baseline
        assert baseline == pytest.approx(GOLDEN[f"random_baseline_k50_n{length}"])


@given(st.integers(0, 10_000), st.integers(1, 7))
def test_scores_equal_a_loop_of_sets(seed, top_k):
    rng = np.random.default_rng(seed)
    real, test = rng.integers(-3, 4, size=(2, 5, 13)).astype(float)  # many ties, and negative scores of real items
    mask = rng.random((5, 13)) < 0.6
    result = consistency_of_scores(real, test, mask, top_k)
    shares, baselines = [], []
    for row in range(5):
        valid = np.flatnonzero(mask[row])
        if len(valid) <= top_k:
            continue
        chosen = [{place for _, place in sorted((-scores[row, place], place) for place in valid)[:top_k]}
                  for scores in (real, test)]
        shares.append(len(chosen[0] & chosen[1]) / top_k)
        baselines.append(top_k / len(valid))
    assert (result.rows, result.excluded_rows) == (len(shares), 5 - len(shares))
    if not shares:
        assert np.isnan([result.value, result.random_baseline, result.chance_corrected]).all()
        return
    assert result.value == pytest.approx(np.mean(shares))
    assert result.random_baseline == pytest.approx(np.mean(baselines))


def test_ties_go_the_way_of_tensorflow():
    scores = np.random.default_rng(3).integers(0, 3, size=(7, 11)).astype(np.float32)
    expected = tf.math.top_k(scores, 5).indices.numpy()
    assert np.array_equal(top_k_indices(scores, np.ones_like(scores, bool), 5), expected)


def test_masked_items_come_last_whatever_their_scores():
    scores = [[9.0, -np.inf, np.nan, -5.0, 3.0]]
    assert top_k_indices(scores, [[False, True, False, True, True]], 3).tolist() == [[4, 3, 1]]


def test_the_same_scores_are_fully_consistent_and_random_ones_at_chance():
    rng = np.random.default_rng(5)
    real, other = rng.normal(size=(2, 997, 101))
    mask = np.ones(real.shape, bool)
    same = consistency_of_scores(real, real, mask, 11)
    assert (same.value, same.chance_corrected, same.rows) == (1.0, 1.0, 997)
    assert abs(consistency_of_scores(real, other, mask, 11).chance_corrected) < 0.02


def test_nothing_delivered_counts_as_missed_and_excluded_rows_are_not_read():
    assert index_overlap([[0, 1, 2]], [[2, -1, -1]]).tolist() == [pytest.approx(1 / 3)]
    result = consistency_of_indices([[0, 1], [0, 0]], [[1, 0], [0, 0]], [3, 2])
    assert (result.value, result.rows, result.excluded_rows) == (1.0, 1, 1)


def test_bad_input():
    with pytest.raises(ValueError, match="real must hold different positions"):
        index_overlap([[1, 1]], [[1, 2]])
    with pytest.raises(ValueError, match="real must not be negative"):
        index_overlap([[1, -1]], [[1, 2]])
    with pytest.raises(ValueError, match="top_k must be between 1 and 3"):
        top_k_indices(np.zeros((2, 3)), np.ones((2, 3), bool), 5)
    with pytest.raises(ValueError, match="one shape"):
        top_k_indices(np.zeros((2, 3)), np.ones((2, 5), bool), 1)
    with pytest.raises(ValueError, match="1 NaN among valid"):
        top_k_indices([[np.nan, 1.0]], [[True, True]], 1)
    with pytest.raises(ValueError, match="valid_counts"):
        consistency_of_indices([[1, 2]], [[1, 2]], [5, 5])
