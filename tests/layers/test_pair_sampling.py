import collections

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from lcn_tf.layers import pair_sampling

# 99.9th percentile of the chi-square distribution, by degrees of freedom; the draws are seeded, so a pass stays a pass.
CHI_SQUARE = {4: 18.47, 6: 22.46, 10: 29.59, 11: 31.26}


def seed_of(number):
    return tf.constant([number, 7], tf.int64)


def chi_square(counts, probabilities):
    expected = np.asarray(probabilities) * np.sum(counts)
    return float(((np.asarray(counts) - expected) ** 2 / expected).sum())


@given(st.integers(0, 10**6), st.sampled_from([1, 2]))
def test_positions_are_distinct_and_unmasked(number, num):
    mask = np.random.default_rng(number).random((13, 5)) < 0.5
    positions, valid = (
        tensor.numpy() for tensor in pair_sampling.sample_positions(tf.constant(mask), seed_of(number), num))
    assert positions.shape == (13, num) and positions.dtype == np.int32
    np.testing.assert_array_equal(valid, mask.sum(axis=1) >= num)
    assert ((positions >= 0) & (positions < 5)).all()
    for row in np.flatnonzero(valid):
        assert mask[row, positions[row]].all() and len(set(positions[row])) == num


def test_positions_are_uniform():
    mask = np.tile([True, False, True, True, False, True], (6000, 1))
    pairs, valid = pair_sampling.sample_positions(tf.constant(mask), seed_of(3), 2)
    assert valid.numpy().all()
    counts = collections.Counter(map(tuple, pairs.numpy()))
    ordered = [(a, b) for a in (0, 2, 3, 5) for b in (0, 2, 3, 5) if a != b]
    assert set(counts) == set(ordered)
    assert chi_square([counts[pair] for pair in ordered], np.full(12, 1 / 12)) < CHI_SQUARE[11]


@given(st.integers(0, 10**6), st.sampled_from([1, 2]), st.integers(1, 9))
def test_positions_do_not_depend_on_padding(number, num, padding):
    mask = np.random.default_rng(number).random((7, 5)) < 0.6
    wide = np.concatenate([mask, np.zeros((7, padding), bool)], axis=1)
    short, valid = pair_sampling.sample_positions(tf.constant(mask), seed_of(number), num)
    long, still_valid = pair_sampling.sample_positions(tf.constant(wide), seed_of(number), num)
    np.testing.assert_array_equal(valid, still_valid)
    np.testing.assert_array_equal(short.numpy()[valid.numpy()], long.numpy()[valid.numpy()])
    rows = tf.constant(np.flatnonzero(mask.any(axis=1)).repeat(3), tf.int32)
    np.testing.assert_array_equal(pair_sampling.draw_positions(tf.constant(mask), rows, seed_of(number)),
                                  pair_sampling.draw_positions(tf.constant(wide), rows, seed_of(number)))


def test_single_draws_are_uniform_and_unmasked():
    mask = tf.constant([[False, True, True, False, True, True, True], [False] * 7])
    drawn = pair_sampling.draw_positions(mask, tf.zeros([5000], tf.int32), seed_of(5)).numpy()
    counts = np.bincount(drawn, minlength=7)
    assert counts[[0, 3]].sum() == 0
    assert chi_square(counts[[1, 2, 4, 5, 6]], np.full(5, 0.2)) < CHI_SQUARE[4]
    assert pair_sampling.draw_positions(mask, tf.constant([1, 1]), seed_of(5)).shape == (2,)


def test_negative_pairs_follow_the_law_over_candidate_slots():
    """a is uniform over the slots of its valid rows, b over the other N - 1 slots; only different users are valid."""
    weights, users = np.array([2, 1, 3, 0, 1]), np.array([4, 5, 4, 6, 7])
    valid_a = np.array([True, True, True, True, False])
    row_a, row_b, valid = (tensor.numpy() for tensor in pair_sampling.sample_negative_pairs(
        tf.constant(weights), tf.constant(valid_a), tf.constant([True, True, False, True, True]), tf.constant(users),
        20000, seed_of(11)))
    assert set(row_a) == {0, 1, 2} and 3 not in row_b
    np.testing.assert_array_equal(valid, (users[row_a] != users[row_b]) & (row_b != 2))
    slots_of = np.repeat(np.arange(5), weights)
    expected = collections.Counter()
    for i, a in enumerate(slots_of):
        if valid_a[a]:
            for j, b in enumerate(slots_of):
                if j != i:
                    expected[a, b] += 1 / 6 / 6  # 6 slots valid for a, 7 slots in all
    counts = collections.Counter(zip(row_a, row_b, strict=True))
    assert set(counts) == set(expected)
    keys = sorted(expected)
    assert len(keys) == 11  # (1, 1) is impossible: row 1 has one slot
    assert chi_square([counts[key] for key in keys], [expected[key] for key in keys]) < CHI_SQUARE[10]


@given(st.integers(0, 10**6))
def test_grouped_and_single_candidate_batches_draw_the_same_pairs(number):
    rng = np.random.default_rng(number)
    weights = rng.integers(0, 4, 7)
    users = rng.integers(0, 4, 7)
    sides = rng.random((2, 7)) < 0.7
    rows = np.repeat(np.arange(7), weights)
    if len(rows) == 0:
        return
    grouped = pair_sampling.sample_negative_pairs(
        tf.constant(weights), tf.constant(sides[0]), tf.constant(sides[1]), tf.constant(users), 101, seed_of(number))
    flat = pair_sampling.sample_negative_pairs(
        tf.ones([len(rows)], tf.int32), tf.constant(sides[0][rows]), tf.constant(sides[1][rows]),
        tf.constant(users[rows]), 101, seed_of(number))
    np.testing.assert_array_equal(grouped[2], flat[2])
    valid = flat[2].numpy()
    for group_row, flat_row in zip(grouped[:2], flat[:2], strict=True):
        np.testing.assert_array_equal(group_row.numpy()[valid], rows[flat_row.numpy()[valid]])


def test_slot_partners_are_uniform_over_the_other_rows():
    ones = tf.ones([7], tf.bool)
    row_a, row_b, valid = (tensor.numpy() for tensor in pair_sampling.sample_negative_pairs(
        tf.ones([7], tf.int32), ones, ones, tf.range(7), 7000, seed_of(13)))
    assert valid.all() and (row_a != row_b).all()
    assert chi_square(np.bincount(row_a, minlength=7), np.full(7, 1 / 7)) < CHI_SQUARE[6]
    assert chi_square(np.bincount(row_b, minlength=7), np.full(7, 1 / 7)) < CHI_SQUARE[6]


@pytest.mark.parametrize(("weights", "valid_a"), [([1], [True]), ([0, 0], [True, True]), ([3, 2], [False, False])])
def test_nothing_to_draw_gives_no_valid_pair(weights, valid_a):
    row_a, row_b, valid = pair_sampling.sample_negative_pairs(
        tf.constant(weights), tf.constant(valid_a), tf.constant(valid_a), tf.range(len(weights)), 17, seed_of(1))
    assert not valid.numpy().any()
    for rows in (row_a.numpy(), row_b.numpy()):
        assert ((rows >= 0) & (rows < len(weights))).all()


def test_seeds_reproduce_and_differ():
    mask = tf.ones([101, 11], tf.bool)
    first, again, other = (pair_sampling.sample_positions(mask, seed, 2)[0].numpy()
                           for seed in (seed_of(1), seed_of(1), seed_of(2)))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    folded = [pair_sampling.fold_seed(seed_of(1), index).numpy().tolist() for index in range(5)]
    assert len({tuple(seed) for seed in folded}) == 5


def test_unique_group_weights_keep_the_first_counted_row():
    weights = pair_sampling.unique_group_weights(tf.constant([0, 2, 3, 1, 0]), tf.constant([7, 8, 7, 8, 9]))
    assert weights.numpy().tolist() == [0, 1, 1, 0, 0]


def test_errors():
    with pytest.raises(ValueError, match="num must be 1 or 2, got 3"):
        pair_sampling.sample_positions(tf.ones([2, 3], tf.bool), seed_of(1), 3)
