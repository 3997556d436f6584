import collections

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from lcn_tf.ops import pair_sampling

# 99.9th percentile of the chi-square distribution, by degrees of freedom; the draws are seeded, so a pass stays a pass.
CHI_SQUARE = {4: 18.47, 6: 22.46, 8: 26.12, 11: 31.26}


def seed_of(number):
    return tf.constant([number, 7], tf.int64)


def chi_square(counts, probabilities):
    expected = np.asarray(probabilities) * np.sum(counts)
    return float(((np.asarray(counts) - expected) ** 2 / expected).sum())


def windows_of(mask):
    """One candidate a request, which sees everything unmasked."""
    return pair_sampling.event_windows(tf.constant(mask), tf.zeros([len(mask), 1], tf.int64))


@given(st.integers(0, 10**6), st.sampled_from([None, 1, 3, 20]))
def test_windows_hold_the_unmasked_events_from_the_offset_on(number, length):
    rng = np.random.default_rng(number)
    mask, offset = rng.random((7, 5)) < 0.6, rng.integers(0, 8, (7, 3))
    windows = pair_sampling.event_windows(tf.constant(mask), tf.constant(offset), length)
    for candidate, start in enumerate(offset.flat):
        request = candidate // 3
        stop = 5 if length is None else start + length
        expected = [5 * request + position for position in range(5)
                    if mask[request, position] and start <= position < stop]
        first, count = int(windows.first[candidate]), int(windows.count[candidate])
        assert windows.places.numpy()[first:first + count].tolist() == expected


@given(st.integers(0, 10**6), st.sampled_from([1, 2]))
def test_events_are_distinct_and_visible(number, num):
    rng = np.random.default_rng(number)
    mask, offset = rng.random((13, 5)) < 0.7, rng.integers(0, 7, (13, 3))
    visible = np.zeros((39, 13, 5), bool)  # candidate, request, position
    for candidate, start in enumerate(offset.flat):
        visible[candidate, candidate // 3, start:start + 3] = mask[candidate // 3, start:start + 3]
    windows = pair_sampling.event_windows(tf.constant(mask), tf.constant(offset), 3)
    candidates = rng.integers(0, 39, 29).astype(np.int32)
    events, valid = pair_sampling.sample_events(windows, tf.constant(candidates), seed_of(number), num)
    events = np.stack(events, axis=1)
    assert events.shape == (29, num) and events.dtype == np.int32
    seen = visible.reshape(39, 65)[candidates]
    np.testing.assert_array_equal(valid, seen.sum(axis=1) >= num)
    for place in np.flatnonzero(valid):
        assert seen[place, events[place]].all() and len(set(events[place])) == num
    single = pair_sampling.draw_events(windows, tf.constant(candidates), seed_of(number)).numpy()
    assert single.shape == (29,) and seen[np.arange(29), single][seen.any(axis=1)].all()


def test_pairs_of_events_are_uniform():
    mask = np.tile([True, False, True, True, False, True], (6000, 1))
    pairs, valid = pair_sampling.sample_events(windows_of(mask), tf.range(6000), seed_of(3), 2)
    assert valid.numpy().all()
    counts = collections.Counter(zip(*(events.numpy() % 6 for events in pairs), strict=True))
    ordered = [(a, b) for a in (0, 2, 3, 5) for b in (0, 2, 3, 5) if a != b]
    assert set(counts) == set(ordered)
    assert chi_square([counts[pair] for pair in ordered], np.full(12, 1 / 12)) < CHI_SQUARE[11]


@given(st.integers(0, 10**6), st.sampled_from([1, 2]), st.integers(1, 9))
def test_events_do_not_depend_on_padding(number, num, padding):
    mask = np.random.default_rng(number).random((7, 5)) < 0.6
    narrow, wide = windows_of(mask), windows_of(np.concatenate([mask, np.zeros((7, padding), bool)], axis=1))
    few, valid = pair_sampling.sample_events(narrow, tf.range(7), seed_of(number), num)
    many, still_valid = pair_sampling.sample_events(wide, tf.range(7), seed_of(number), num)
    np.testing.assert_array_equal(valid, still_valid)
    for events, wide_events in zip(few, many, strict=True):
        np.testing.assert_array_equal((events % 5)[valid], (wide_events % (5 + padding))[valid])
    rows = tf.constant(np.flatnonzero(mask.any(axis=1)).repeat(3), tf.int32)
    np.testing.assert_array_equal(pair_sampling.draw_events(narrow, rows, seed_of(number)) % 5,
                                  pair_sampling.draw_events(wide, rows, seed_of(number)) % (5 + padding))


@given(st.integers(0, 10**6), st.sampled_from([1, 2]))
def test_a_window_draws_what_the_cut_history_draws(number, num):
    rng = np.random.default_rng(number)
    mask, offset = rng.random((7, 11)) < 0.8, rng.integers(0, 12, (7, 2))
    padded = np.pad(mask, [[0, 0], [0, 16]])
    cut = np.array([padded[request, start:start + 5] for request in range(7) for start in offset[request]])
    windows = pair_sampling.event_windows(tf.constant(mask), tf.constant(offset), 5)
    events, valid = pair_sampling.sample_events(windows, tf.range(14), seed_of(number), num)
    cut_events, cut_valid = pair_sampling.sample_events(windows_of(cut), tf.range(14), seed_of(number), num)
    np.testing.assert_array_equal(valid, cut_valid)
    for places, cut_places in zip(events, cut_events, strict=True):
        np.testing.assert_array_equal((places % 11 - offset.reshape(14))[valid], (cut_places % 5)[valid])


def test_single_draws_are_uniform_and_visible():
    mask = np.array([[False, True, True, False, True, True, True], [False] * 7])
    drawn = pair_sampling.draw_events(windows_of(mask), tf.zeros([5000], tf.int32), seed_of(5)).numpy()
    counts = np.bincount(drawn, minlength=7)
    assert counts[[0, 3]].sum() == 0 and len(counts) == 7
    assert chi_square(counts[[1, 2, 4, 5, 6]], np.full(5, 0.2)) < CHI_SQUARE[4]


def test_where_nothing_is_visible_places_stay_within_the_history():
    for mask in ([[True, True], [False, False]], [[False, False], [False, False]]):
        windows = windows_of(np.array(mask))
        (event,), valid = pair_sampling.sample_events(windows, tf.constant([1, 1, 1]), seed_of(5), 1)
        assert not valid.numpy().any()
        for places in (event, pair_sampling.draw_events(windows, tf.constant([1, 1, 1]), seed_of(5))):
            assert places.shape == (3,) and tf.reduce_all((places >= 0) & (places < 4))


def test_negative_pairs_follow_the_law_over_counted_candidates():
    """a is uniform over its valid candidates, b over the other N - 1; only different users are valid."""
    counted, users = np.array([True, True, True, False, True]), np.array([4, 5, 4, 6, 7])
    valid_a = np.array([True, True, True, True, False])
    a, b, valid = (tensor.numpy() for tensor in pair_sampling.sample_negative_pairs(
        tf.constant(counted), tf.constant(valid_a), tf.constant([True, True, False, True, True]), tf.constant(users),
        20000, seed_of(11)))
    assert set(a) == {0, 1, 2} and 3 not in b
    np.testing.assert_array_equal(valid, (users[a] != users[b]) & (b != 2))
    expected = [(i, j) for i in (0, 1, 2) for j in (0, 1, 2, 4) if i != j]
    counts = collections.Counter(zip(a, b, strict=True))
    assert set(counts) == set(expected)
    assert chi_square([counts[pair] for pair in expected], np.full(9, 1 / 9)) < CHI_SQUARE[8]


@given(st.integers(0, 10**6))
def test_padded_candidates_change_no_negative_pair(number):
    rng = np.random.default_rng(number)
    counted, users, sides = rng.random(17) < 0.7, rng.integers(0, 4, 17), rng.random((2, 17)) < 0.7
    kept = np.flatnonzero(counted)
    if len(kept) == 0:
        return
    padded = pair_sampling.sample_negative_pairs(
        tf.constant(counted), tf.constant(sides[0]), tf.constant(sides[1]), tf.constant(users), 101, seed_of(number))
    dense = pair_sampling.sample_negative_pairs(
        tf.ones([len(kept)], tf.bool), tf.constant(sides[0][kept]), tf.constant(sides[1][kept]),
        tf.constant(users[kept]), 101, seed_of(number))
    np.testing.assert_array_equal(padded[2], dense[2])
    valid = dense[2].numpy()
    for place, dense_place in zip(padded[:2], dense[:2], strict=True):
        np.testing.assert_array_equal(place.numpy()[valid], kept[dense_place.numpy()[valid]])


def test_partners_are_uniform_over_the_other_candidates():
    ones = tf.ones([7], tf.bool)
    a, b, valid = (tensor.numpy() for tensor in pair_sampling.sample_negative_pairs(
        ones, ones, ones, tf.range(7), 7000, seed_of(13)))
    assert valid.all() and (a != b).all()
    assert chi_square(np.bincount(a, minlength=7), np.full(7, 1 / 7)) < CHI_SQUARE[6]
    assert chi_square(np.bincount(b, minlength=7), np.full(7, 1 / 7)) < CHI_SQUARE[6]


@pytest.mark.parametrize(("counted", "valid_a"), [([True], [True]), ([False, False], [True, True]),
                                                  ([True, True], [False, False])])
def test_nothing_to_draw_gives_no_valid_pair(counted, valid_a):
    a, b, valid = pair_sampling.sample_negative_pairs(
        tf.constant(counted), tf.constant(valid_a), tf.constant(valid_a), tf.range(len(counted)), 17, seed_of(1))
    assert not valid.numpy().any()
    for places in (a.numpy(), b.numpy()):
        assert ((places >= 0) & (places < len(counted))).all()


def test_seeds_reproduce_and_differ():
    windows = windows_of(np.ones((101, 11), bool))
    first, again, other = (np.stack(pair_sampling.sample_events(windows, tf.range(101), seed, 2)[0])
                           for seed in (seed_of(1), seed_of(1), seed_of(2)))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    folded = [pair_sampling.fold_seed(seed_of(1), index).numpy().tolist() for index in range(5)]
    assert len({tuple(seed) for seed in folded}) == 5


def test_the_first_counted_candidate_of_each_group():
    first = pair_sampling.first_of_each_group(tf.constant([False, True, True, True, False]),
                                              tf.constant([7, 8, 7, 8, 9]))
    assert first.numpy().tolist() == [False, True, True, False, False]


def test_errors():
    with pytest.raises(ValueError, match="num must be 1 or 2, got 3"):
        pair_sampling.sample_events(windows_of(np.ones((2, 3), bool)), tf.range(2), seed_of(1), 3)
