"""Trains a graph's vectors so that what a user did ranks before what the user did not (BPR), behaviour by behaviour."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
import tensorflow as tf

import lcn_tf  # noqa: F401  (chooses Keras 2)
from data_prep.graph_vectors.config import GraphConfig
from data_prep.graph_vectors.propagation import normalised_adjacency, propagate
from data_prep.graph_vectors.training_graph import Say, TrainingGraph

_INITIAL = 0.1  # standard deviation of the initial vectors' numbers
_DECAY, _DECAY_STEPS = 0.96, 40
_TRIES = 10  # to draw an item that is no edge of the user
_LINES = 10  # about the training


class Pairs(NamedTuple):
    """Places of users, and of an item of each that is an edge and one that is none, int64 `[n]`."""

    users: np.ndarray
    positives: np.ndarray
    negatives: np.ndarray


def trained_vectors(graph: TrainingGraph, config: GraphConfig, say: Say) -> np.ndarray:
    """Vectors of users, then items: `[U + I, behaviours, width]` float32; the same for the same graph and settings.

    A step's loss is the sum over behaviours of the mean of `softplus(score of the negative - score of the positive)`,
    where a score is the inner product of the behaviour's vectors, and the penalty. Initial vectors are normal, and the
    second hop begins as the mean of the behaviours.
    """
    rng = np.random.default_rng(config.seed)
    count, nodes = len(graph.behaviours), len(graph.users) + len(graph.items)
    start = tf.Variable(rng.normal(0, _INITIAL, (nodes, config.width)).astype(np.float32))
    scale = (3 / config.width) ** 0.5
    gates = [(tf.Variable(rng.uniform(-scale, scale, (config.width, count, count)).astype(np.float32)),
              tf.Variable(np.full((count, count), 1 / count, np.float32))) for _ in range(config.hops - 1)]
    weights = [start, *(weight for gate in gates for weight in gate)]
    adjacency = [normalised_adjacency(edges, config.normalisation) for edges in graph.edges]
    rate = tf.keras.optimizers.schedules.ExponentialDecay(config.learning_rate, _DECAY_STEPS, _DECAY, staircase=True)
    optimizer = tf.keras.optimizers.Adam(rate, jit_compile=False)
    optimizer.build(weights)
    samplers = [PairSampler(edges) for edges in graph.edges]
    losses: list[float] = []
    for step in range(1, config.steps + 1):
        pairs = [sampler.draw(config.samples, rng) for sampler in samplers]
        with tf.GradientTape() as tape:
            ranking, penalty = _losses(start, propagate(start, adjacency, gates), pairs, len(graph.users))
            loss = ranking + config.l2 * penalty
        gradients = [tf.convert_to_tensor(gradient) for gradient in tape.gradient(loss, weights)]
        optimizer.apply_gradients(zip(gradients, weights, strict=True))
        losses.append(float(ranking) / count)
        if step * _LINES // config.steps > (step - 1) * _LINES // config.steps:
            say(f"step {step} of {config.steps}: ranking loss {np.mean(losses):.4f} (0.6931: by chance)")
            losses = []
    return propagate(start, adjacency, gates).numpy()


class PairSampler:
    """Draws users that have an edge, each as likely as any other, with one of their items and one of the others.

    The others are items that have an edge of the same behaviour, each as likely: an item of a domain where nobody does
    this says nothing but that. A user who has nearly all of them may get an own one as a negative.

    Args:
      edges: `[users, items]`, indices sorted.
    """

    def __init__(self, edges: sp.csr_array):
        self._edges, self._degrees = edges, np.diff(edges.indptr)
        self._users = np.flatnonzero(self._degrees)
        self._items = np.unique(edges.indices).astype(np.int64)
        self._codes = np.repeat(np.arange(edges.shape[0]), self._degrees) * edges.shape[1] + edges.indices  # increasing

    def draw(self, samples: int, rng: np.random.Generator) -> Pairs:
        """Pairs with replacement."""
        edges, items = self._edges, self._edges.shape[1]
        users = rng.choice(self._users, samples)
        positives = edges.indices[edges.indptr[users] + rng.integers(0, self._degrees[users])].astype(np.int64)
        negatives = rng.choice(self._items, samples)
        for _ in range(_TRIES):
            wanted = users * items + negatives
            places = np.minimum(np.searchsorted(self._codes, wanted), len(self._codes) - 1)
            wrong = np.flatnonzero(self._codes[places] == wanted)
            negatives[wrong] = rng.choice(self._items, len(wrong))
        return Pairs(users, positives, negatives)


def _losses(start: tf.Tensor, vectors: tf.Tensor, pairs: list[Pairs], users: int) -> tuple[tf.Tensor, tf.Tensor]:
    """The ranking loss, and half the mean square norm of the initial vectors of a pair's three nodes, summed."""
    ranking = penalty = tf.constant(0.0)
    for place, drawn in enumerate(pairs):
        nodes = tf.constant(np.concatenate([drawn.users, users + drawn.positives, users + drawn.negatives]))
        user, positive, negative = tf.split(tf.gather(vectors[:, place], nodes), 3)  # [n, d] each
        ranking += tf.reduce_mean(tf.nn.softplus(tf.reduce_sum(user * (negative - positive), axis=-1)))
        penalty += 1.5 * tf.reduce_mean(tf.reduce_sum(tf.square(tf.gather(start, nodes)), axis=-1))
    return ranking, penalty
