import numpy as np
import tensorflow as tf

from lcn_tf.ops.event_hash import uniform_of_ids

BITS = 2**64 - 1


def splitmix(state):
    """The finaliser in unlimited integers."""
    state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 & BITS
    state = (state ^ (state >> 27)) * 0x94D049BB133111EB & BITS
    return state ^ (state >> 31)


def reference(ids, seed):
    state = splitmix((seed + 0x9E3779B97F4A7C15) & BITS)
    for value in ids:
        state = splitmix(((state ^ value & BITS) + 0x9E3779B97F4A7C15) & BITS)
    return (state >> 40) / 2**24


def test_splitmix_is_the_published_one():
    """First outputs of SplitMix64 for seed 1234567, as published with the algorithm."""
    states = [(1234567 + step * 0x9E3779B97F4A7C15) & BITS for step in (1, 2, 3)]
    assert [splitmix(state) for state in states] == [
        6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_numbers_match_unlimited_integers():
    ids = np.random.default_rng(2).integers(-2**62, 2**62, [3, 7, 2])
    for seed in (0, 1, -5, 2**40):
        found = uniform_of_ids(tf.constant(ids), seed).numpy()
        assert found.dtype == np.float32 and found.shape == (3, 7)
        assert found.tolist() == [[reference([int(i) for i in row], seed) for row in rows] for rows in ids]


def test_neighbouring_ids_give_uniform_and_unrelated_numbers():
    ids = np.stack(np.meshgrid(np.arange(101), 1_700_000_000 + np.arange(97), indexing="ij"), -1)
    draws = uniform_of_ids(tf.constant(ids), 3).numpy()
    counts = np.histogram(draws, 10, (0, 1))[0]
    assert np.abs(counts - draws.size / 10).max() < 5 * np.sqrt(draws.size * 0.09)
    for other in (draws[1:], draws[:, 1:], uniform_of_ids(tf.constant(ids), 4).numpy()):
        one = draws[tuple(slice(size) for size in other.shape)]
        assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 5 / np.sqrt(draws.size)
    assert len(np.unique(draws)) > 0.999 * draws.size - 10
