"""Views of sequences: what each operator leaves, how draws are spread, and what they do not depend on."""

import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from lcn_tf.ops.sequence_views import OPERATORS, draw_operators, draw_view

SEED = tf.constant([5, 17], tf.int64)
LENGTH = 24


def view_of(sizes, operator, rows=None, seed=SEED, length=LENGTH, **shares):
    rows = range(len(sizes)) if rows is None else rows
    ids = tf.constant(np.reshape([[1000 + row, 7 * row] for row in rows], [-1, 2]), tf.int64)
    operators = tf.fill([len(sizes)], OPERATORS.index(operator))
    view = draw_view(tf.sequence_mask(sizes, length), operators, ids, seed, **shares)
    return np.where(view.mask, view.places, np.arange(length)), view.mask.numpy(), view.hidden.numpy()


def test_counts_of_the_authors_sizes():
    """The floors of shares of 2, 5 and 24 events, at least one; numbers that were computed apart from the package."""
    sizes = [2, 5, 24]
    assert view_of(sizes, "crop")[1].sum(axis=1).tolist() == [1, 3, 14]
    assert view_of(sizes, "mask")[2].sum(axis=1).tolist() == [1, 1, 7]
    moved = np.stack([view_of(sizes, "reorder", seed=tf.constant([step, 0]))[0] != np.arange(LENGTH)
                      for step in range(200)]).sum(axis=2)
    assert moved.max(axis=0).tolist() == [0, 3, 14]
    assert view_of([100], "mask", length=100, hide=0.29)[2].sum() == 29


@given(st.integers(0, 10**6), st.sampled_from([0.1, 0.5, 0.6, 1.0]))
def test_what_operators_leave(number, share):
    sizes = [*np.random.default_rng(number).integers(0, LENGTH + 1, 9), 0, 1]
    seed = tf.constant([number, 1])
    places, mask, hidden = view_of(sizes, "crop", seed=seed, crop=share)
    for row, size in enumerate(sizes):
        kept = min(size, max(1, math.floor(share * size + 1e-9)))
        assert mask[row].tolist() == [True] * kept + [False] * (LENGTH - kept) and not hidden[row].any()
        assert (np.diff(places[row, :kept]) == 1).all() and (places[row, :kept] < size).all()
    places, mask, hidden = view_of(sizes, "mask", seed=seed, hide=share)
    for row, size in enumerate(sizes):
        assert hidden[row, :size].sum() == hidden[row].sum() == min(size, max(1, math.floor(share * size + 1e-9)))
        assert mask[row].sum() == size and (places[row] == np.arange(LENGTH)).all()
    places, mask, hidden = view_of(sizes, "reorder", seed=seed, reorder=share)
    for row, size in enumerate(sizes):
        moved = np.flatnonzero(places[row] != np.arange(LENGTH))
        run = min(size, max(1, math.floor(share * size + 1e-9)))
        assert sorted(places[row]) == list(range(LENGTH)) and mask[row].sum() == size and not hidden[row].any()
        assert moved.size == 0 or (moved[-1] < size and moved[-1] - moved[0] < run)


def test_draws_are_uniform():
    rows = 6000
    starts = np.bincount(view_of([5] * rows, "crop")[0][:, 0], minlength=3)
    assert (np.abs(starts - rows / 3) < 5 * math.sqrt(rows * 2 / 9)).all() and starts.sum() == starts[:3].sum()
    hidden = view_of([5] * rows, "mask", hide=0.4)[2][:, :5].sum(axis=0)
    assert (np.abs(hidden - 0.4 * rows) < 5 * math.sqrt(rows * 0.24)).all()
    orders = view_of([5] * rows, "reorder")[0][:, :5]
    for begin in range(3):  # of the runs of three, one in three, six orders each
        shuffled = [tuple(order[begin:begin + 3]) for order in orders
                    if all(order[k] == k for k in range(5) if not begin <= k < begin + 3)]
        counts = [shuffled.count((begin, begin + 2, begin + 1)), shuffled.count((begin + 2, begin + 1, begin))]
        assert counts[1] == pytest.approx(rows / 18, abs=5 * math.sqrt(rows / 18)) and counts[0] > counts[1] / 2


def test_operators_of_the_two_views():
    ids = tf.constant([[row] for row in range(6000)], tf.int64)
    for distinct, pairs in ((True, 6), (False, 9)):
        first, second = (operators.numpy() for operators in draw_operators(ids, SEED, distinct))
        counts = np.bincount(3 * first + second, minlength=9)
        assert (counts > 0).sum() == pairs
        expected = 6000 / pairs
        assert (np.abs(counts[counts > 0] - expected) < 5 * math.sqrt(expected)).all()


@pytest.mark.parametrize("operator", OPERATORS)
def test_a_row_s_view_is_its_own(operator):
    """Neither its place, nor the other rows, nor padding matter; a step does."""
    rng = np.random.default_rng(3)
    sizes, order = rng.integers(0, 12, 11), rng.permutation(11)
    whole = view_of(sizes, operator, length=12)
    for one, other in zip(whole, view_of(sizes[order], operator, order, length=12), strict=True):
        np.testing.assert_array_equal(other, one[order])
    for one, other in zip(whole, view_of(sizes, operator, length=19), strict=True):
        for row, size in enumerate(sizes):
            np.testing.assert_array_equal(other[row, :size], one[row, :size])
    assert any((one != other).any() for one, other in zip(
        whole, view_of(sizes, operator, seed=tf.constant([5, 18]), length=12), strict=True))
