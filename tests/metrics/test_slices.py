import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from lcn_tf.metrics import group_auc, slices_by_length


def _slices(lengths):
    rows = len(lengths)
    return {part["slice"]: part["impressions"] for part in
            slices_by_length(np.arange(rows) % 2, np.zeros(rows), np.zeros(rows, int), lengths)}


def test_figures_are_those_of_the_rows_of_the_slice():
    rng = np.random.default_rng(3)
    lengths, users = rng.integers(0, 13, 1_009), rng.integers(0, 53, 1_009)
    labels, logits = rng.integers(0, 2, 1_009), rng.normal(size=1_009)
    slices = slices_by_length(labels, logits, users, lengths, "clicks")
    assert [part["slice"] for part in slices] == ["0", "1-4", "5-8", "9-12"]
    for part, least, most in zip(slices, (0, 1, 5, 9), (0, 4, 8, 12), strict=True):
        rows = (lengths >= least) & (lengths <= most)
        assert part["auc"] == pytest.approx(roc_auc_score(labels[rows], logits[rows]))
        assert part["gauc"] == group_auc(labels[rows], logits[rows], users[rows], "clicks").value
        assert (part["impressions"], part["users"]) == (rows.sum(), len(set(users[rows].tolist())))
        assert part["click_rate"] == pytest.approx(labels[rows].mean())


@pytest.mark.parametrize("lengths, expected", [
    ([0, 0, 0], {"0": 3}),
    ([7, 7, 7], {"7": 3}),
    ([1, 2, 3], {"1": 1, "2": 1, "3": 1}),
    ([0, 1, 2, 3, 4, 8, 9], {"0": 1, "1-2": 2, "3-4": 2, "8-9": 2}),
    ([0, *range(1, 5), *[24] * 16], {"0": 1, "1-4": 4, "24": 16}),  # most histories are as long as they may be
    ([*[1] * 9, 2, 30], {"1": 9, "2-30": 2}),
], ids=str)
def test_parts_keep_equal_lengths_together(lengths, expected):
    assert _slices(lengths) == expected
    assert _slices(lengths[::-1]) == expected


def test_a_single_class_is_nan_in_its_slice_alone():
    cold, warm = slices_by_length([0, 0, 0, 1], [0.1, 0.2, 0.3, 0.4], [1, 2, 3, 3], [0, 0, 5, 5])
    assert np.isnan(cold["auc"]) and np.isnan(cold["gauc"]) and (cold["users"], cold["click_rate"]) == (2, 0)
    assert warm["auc"] == warm["gauc"] == 1


@pytest.mark.parametrize("lengths, message", [
    ([1], "lengths must have shape"), ([1, -2], "integers from 0, got int64 from -2"), ([1.0, 2.5], "got float64")])
def test_bad_lengths(lengths, message):
    with pytest.raises(ValueError, match=message):
        slices_by_length([0, 1], [0.1, 0.2], [1, 2], lengths)
