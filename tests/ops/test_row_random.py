import numpy as np
import pytest
import tensorflow as tf

from lcn_tf.ops import row_random
from tests.ops.test_event_hash import BITS, splitmix

SEED = tf.constant([5, 17], tf.int64)
IDS = np.random.default_rng(2).integers(-2**62, 2**62, [7, 2])


def state_of(*ids):
    """The state of one row in unlimited integers."""
    state = 0
    for value in (5, 17, *ids):
        state = splitmix(((state ^ value & BITS) + 0x9E3779B97F4A7C15) & BITS)
    return state


def test_states_and_children_match_unlimited_integers():
    """A state's children are the outputs of SplitMix64 that is seeded with it."""
    states = row_random.row_states(tf.constant(IDS), SEED)
    expected = [state_of(*map(int, ids)) for ids in IDS]
    assert [int(state) & BITS for state in states.numpy()] == expected
    children = [[splitmix((state + number * 0x9E3779B97F4A7C15) & BITS) for number in (1, 2, 3)] for state in expected]
    assert [[int(child) & BITS for child in row] for row in row_random.child_states(states, 3).numpy()] == children


def test_dropout_compares_sixteen_bits_of_the_children():
    states = row_random.row_states(tf.constant(IDS), SEED)
    dropped = row_random.drop_out(tf.ones([7, 6]), states, 0.25).numpy()
    words = row_random.child_states(states, 2).numpy().astype("<i8").view("<i2")[:, :6]  # 6 of 8
    np.testing.assert_allclose(dropped, np.where(words >= 2**14 - 2**15, 4 / 3, 0.0), rtol=1e-6)


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5])
def test_share_and_scale(rate):
    states = row_random.child_states(row_random.row_states(tf.range(300, dtype=tf.int64)[:, tf.newaxis], SEED), 11)
    dropped = row_random.drop_out(tf.ones([300, 11, 13]), states, rate).numpy() == 0
    assert abs(dropped.mean() - rate) <= 5 * np.sqrt(rate * (1 - rate) / dropped.size)
    assert abs(row_random.drop_out(tf.ones([300, 11, 13]), states, rate).numpy().max() - 1 / (1 - rate)) < 1e-4
    if rate:  # neighbours along every axis are unrelated
        for one, other in ((dropped[1:], dropped[:-1]), (dropped[:, 1:], dropped[:, :-1]),
                           (dropped[..., 1:], dropped[..., :-1])):
            assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 5 / np.sqrt(one.size)


@pytest.mark.parametrize("rate", [1.0, -0.1, float("nan")])
def test_rates_are_checked(rate):
    with pytest.raises(ValueError, match=r"dropout must be in \[0, 1\), got"):
        row_random.check_rate("dropout", rate)
