"""SSL's masks: mutual information against scikit-free loops, and which features go together."""

import math

import numpy as np
import pytest

from lcn_tf.ops.feature_masks import correlated_masks, mutual_information, random_mask

COLUMNS = np.random.default_rng(3).integers(0, [[2], [3], [5], [4]], [4, 29])
COLUMNS[3] = 2 * COLUMNS[0] + 40  # says all of the first


def test_mutual_information_equals_sums_over_values():
    found, items = mutual_information(COLUMNS), COLUMNS.shape[1]
    for i, one in enumerate(COLUMNS):
        for j, other in enumerate(COLUMNS):
            expected = 0.0
            for v in set(one):
                for w in set(other):
                    both = sum((one == v) & (other == w)) / items
                    if both:
                        expected += both * math.log(both / (sum(one == v) * sum(other == w) / items ** 2))
            assert found[i, j] == pytest.approx(expected, abs=1e-12)


def test_a_feature_goes_with_the_half_that_it_says_most_of():
    information = np.array([[9.0, 0.1, 0.7, 0.2, 0.4], [0.1, 9.0, 0.2, 0.3, 0.0], [0.7, 0.2, 9.0, 0.1, 0.1],
                            [0.2, 0.3, 0.1, 9.0, 0.5], [0.4, 0.0, 0.1, 0.5, 9.0]])
    hidden = [set(np.flatnonzero(row)) for row in correlated_masks(information)]
    assert hidden == [{0, 2, 4}, {1, 3, 2}, {2, 0, 1}, {3, 4, 1}, {4, 3, 0}]
    assert correlated_masks(mutual_information(COLUMNS))[0].tolist()[3]


@pytest.mark.parametrize("count", [2, 3, 4, 7])
def test_either_view_shows_something(count):
    for masks in (correlated_masks(np.ones([count, count])),
                  np.stack([random_mask(count, [seed, 1]) for seed in range(20)])):
        assert masks.sum(1).min() > 0 and masks.sum(1).max() < count
    assert len({tuple(row) for row in masks}) > 1 and set(masks.sum(1)) == {count // 2}


def test_of_two_features_each_is_hidden_alone():
    assert correlated_masks(np.ones([2, 2])).tolist() == [[True, False], [False, True]]
