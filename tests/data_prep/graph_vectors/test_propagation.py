"""Propagation: numbers worked out by hand, a plain second implementation in loops, and its gradient."""

import numpy as np
import pytest
import scipy.sparse as sp
import tensorflow as tf

from data_prep.graph_vectors.propagation import normalised_adjacency, propagate

# Two users, two items: looked at (user 0: both, user 1: the second), bought (user 0: the first).
LOOKED, BOUGHT = [[1, 1], [0, 1]], [[1, 0], [0, 0]]


def edges_of(matrix):
    return sp.csr_array(np.array(matrix, np.float32))


def plain(start, adjacency, gates):
    """The definition, behaviour by behaviour and node by node, in float64."""
    nodes, count = len(start), len(adjacency)
    found = np.zeros((nodes, count, start.shape[1]))
    for behaviour in range(count):
        passed = adjacency[behaviour] @ start
        layers = [start, passed + start]
        for kernel, bias in gates:
            incoming = passed
            passed = np.zeros_like(start)
            for node in range(nodes):
                for other in range(count):
                    gate = start[node] @ kernel[:, behaviour, other] + bias[behaviour, other]
                    passed[node] += (gate if gate > 0 else 0.1 * gate) * (adjacency[other][node] @ incoming)
            layers.append(passed + layers[-1])
        found[:, behaviour] = sum(layers)
    return found


def random_case(seed=0, users=7, items=5, count=3, width=2, hops=3):
    rng = np.random.default_rng(seed)
    edges = [edges_of(rng.random((users, items)) < 0.4) for _ in range(count)]
    gates = [(rng.normal(size=(width, count, count)), rng.normal(size=(count, count))) for _ in range(hops - 1)]
    return edges, rng.normal(size=(users + items, width)), gates


def test_numbers_by_hand():
    adjacency = [normalised_adjacency(edges_of(matrix)) for matrix in (LOOKED, BOUGHT)]
    np.testing.assert_array_equal(adjacency[0].toarray(), [[0, 0, .5, .5], [0, 0, 0, 1], [1, 0, 0, 0], [.5, .5, 0, 0]])
    np.testing.assert_array_equal(adjacency[1].toarray(), [[0, 0, 1, 0], [0, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]])
    start, halves = tf.constant([[1.0], [2], [3], [4]]), (tf.zeros([1, 2, 2]), tf.fill([2, 2], 0.5))
    one, two = (propagate(start, adjacency, gates).numpy()[:, 1, 0] for gates in ([], [halves]))
    np.testing.assert_allclose(one - start[:, 0], [4, 2, 4, 4])  # e_1 of what was bought
    np.testing.assert_allclose(two - one, [4.75, 2, 7, 4.75])  # e_2
    np.testing.assert_allclose(two, [9.75, 6, 14, 12.75])


@pytest.mark.parametrize("normalisation", ["left", "symmetric"])
def test_equals_the_plain_implementation(normalisation):
    edges, start, gates = random_case()
    adjacency = [normalised_adjacency(matrix, normalisation) for matrix in edges]
    for matrix, found in zip(edges, adjacency, strict=True):
        users, items = matrix.shape
        full = np.zeros((users + items, users + items))
        full[:users, users:], full[users:, :users] = matrix.toarray(), matrix.toarray().T
        degrees = np.maximum(full.sum(1), 1)
        left, right = (1, 0) if normalisation == "left" else (0.5, 0.5)
        np.testing.assert_allclose(found.toarray(), degrees[:, None]**-left * full * degrees**-right, rtol=1e-6)
    found = propagate(tf.constant(start, tf.float32), adjacency,
                      [tuple(tf.constant(part, tf.float32) for part in gate) for gate in gates])
    np.testing.assert_allclose(found, plain(start, [matrix.toarray() for matrix in adjacency], gates), rtol=2e-5,
                               atol=2e-5)


def test_gradient_is_that_of_differences():
    edges, start, gates = random_case(seed=1, hops=2)
    adjacency = [normalised_adjacency(matrix) for matrix in edges]
    tensor, gate = tf.constant(start, tf.float32), [tf.constant(part, tf.float32) for part in gates[0]]
    direction = np.random.default_rng(2).normal(size=(len(start), len(edges), start.shape[1]))
    with tf.GradientTape() as tape:
        tape.watch([tensor, *gate])
        total = tf.reduce_sum(propagate(tensor, adjacency, [tuple(gate)]) * direction.astype(np.float32))
    found = tape.gradient(total, [tensor, *gate])

    def value(changed):
        dense = [matrix.toarray().astype(float) for matrix in adjacency]
        return np.sum(plain(changed[0], dense, [(changed[1], changed[2])]) * direction)

    arrays = [start, *gates[0]]
    for place, array in enumerate(arrays):
        for index in list(np.ndindex(array.shape))[::3]:
            sides = []
            for sign in (1, -1):
                moved = [one.copy() for one in arrays]
                moved[place][index] += sign * 1e-6
                sides.append(value(moved))
            assert found[place].numpy()[index] == pytest.approx((sides[0] - sides[1]) / 2e-6, rel=1e-3, abs=1e-3)
