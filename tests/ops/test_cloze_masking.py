import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from lcn_tf.layers import cloze_positions

SEED = tf.constant([5, 17], tf.int64)


def ids_of(rows):
    return tf.constant(np.reshape([[1000 + row, 7 * row] for row in rows], [-1, 2]), tf.int64)


def chosen(mask, rows=None, seed=SEED, **options):
    ids = ids_of(range(len(mask)) if rows is None else rows)
    return cloze_positions(tf.constant(mask), ids, seed, **options).numpy()


@given(st.integers(0, 10**6), st.sampled_from([0.1, 0.2, 0.5, 1.0]), st.sampled_from([None, 1, 3]))
def test_as_many_events_as_the_authors_code(number, share, max_count):
    mask = np.random.default_rng(number).random((13, 11)) < 0.7
    mask[0] = False
    hidden = chosen(mask, seed=tf.constant([number, 3]), share=share, last_only=0.0, max_count=max_count)
    assert not (hidden & ~mask).any()
    for row, size in enumerate(mask.sum(axis=1)):  # the authors' Python 2 rounds halves up
        count = min(max_count or 11, max(1, math.floor(size * share + 0.5))) if size else 0
        assert hidden[row].sum() == count


def test_every_event_is_chosen_alike_and_steps_differ():
    mask = np.tile([True, True, False, True, True, True], (6000, 1))
    hidden = chosen(mask, share=0.4, last_only=0.0)
    counts = hidden.sum(axis=0)
    assert counts[2] == 0 and (np.abs(counts[[0, 1, 3, 4, 5]] - 2400) < 5 * np.sqrt(6000 * 0.24)).all()
    pairs = hidden[:, [0, 1, 3, 4, 5]].astype(float)
    assert np.abs(np.corrcoef(pairs.T) + np.where(np.eye(5), -1, 0.25)).max() < 0.07  # without replacement: -1 / 4
    assert (chosen(mask, share=0.4, last_only=0.0, seed=tf.constant([5, 18])) != hidden).any(axis=1).mean() > 0.8


def test_the_share_of_rows_that_hide_their_most_recent_event_alone():
    mask = np.tile([False, True, True, True, True, True], (6000, 1))
    hidden = chosen(mask, share=0.6)
    single = hidden.sum(axis=1) == 1
    assert abs(single.mean() - 1 / 11) < 5 * np.sqrt(10 / 121 / 6000)
    assert hidden[single, 1].all()
    assert (chosen(mask, last_only=1.0) == [False, True, False, False, False, False]).all()


@given(st.integers(0, 10**6))
def test_a_row_s_choice_is_its_own(number):
    """Neither its place, nor the other rows, nor padding, nor the type of the seed matter."""
    rng = np.random.default_rng(number)
    mask = rng.random((11, 7)) < 0.6
    hidden, order = chosen(mask, share=0.4, last_only=0.3), rng.permutation(11)
    np.testing.assert_array_equal(chosen(mask[order], order, share=0.4, last_only=0.3), hidden[order])
    np.testing.assert_array_equal(chosen(mask[4:], range(4, 11), share=0.4, last_only=0.3), hidden[4:])
    wide = chosen(np.pad(mask, [[0, 0], [0, 3]]), share=0.4, last_only=0.3, seed=tf.constant([5, 17]))
    np.testing.assert_array_equal(wide, np.pad(hidden, [[0, 0], [0, 3]]))


def test_no_rows_and_no_events():
    assert chosen(np.zeros((0, 5), bool)).shape == (0, 5) and chosen(np.zeros((3, 0), bool)).shape == (3, 0)


@pytest.mark.parametrize(("option", "value"), [("share", 0.0), ("last_only", 1.5), ("max_count", 0)])
def test_options_are_checked(option, value):
    with pytest.raises(ValueError, match=f"{option} must be .*, got {value}"):
        chosen(np.ones((2, 3), bool), **{option: value})
