"""Training ranks what users did before what they did not, and draws pairs that say so."""

import numpy as np
import scipy.sparse as sp

from data_prep.graph_vectors.config import GraphConfig
from data_prep.graph_vectors.training import PairSampler, trained_vectors
from data_prep.graph_vectors.training_graph import TrainingGraph
from lcn_tf.schema import FIRST_ID


def edges_of(matrix):
    return sp.csr_array(matrix.astype(np.float32))


def test_training_ranks_what_users_did_first():
    """Two kinds of users and of items: vectors tell them apart."""
    rng = np.random.default_rng(0)
    users, items = 60, 40
    likes = (np.arange(users)[:, None] % 2 == np.arange(items) % 2)
    edges = tuple(edges_of(likes & (rng.random(likes.shape) < share)) for share in (0.3, 0.1))
    ids = np.arange(items) + FIRST_ID
    graph = TrainingGraph(np.arange(users), np.arange(users), ids, ("looked at", "clicks"), edges)
    vectors = trained_vectors(graph, GraphConfig(width=7, steps=60, samples=500), lambda line: None)
    for place in range(2):
        scores = vectors[:users, place] @ vectors[users:, place].T
        order = np.argsort(np.argsort(scores.ravel())).reshape(scores.shape)
        positives, negatives = likes.sum(), (~likes).sum()
        auc = (order[likes].sum() - positives * (positives - 1) / 2) / (positives * negatives)
        assert auc > 0.95, (place, auc)


def test_pairs_have_an_edge_and_none():
    matrix = np.random.default_rng(1).random((31, 17)) < 0.15
    matrix[:, 3] = matrix[5] = False  # an item and a user without an edge
    pairs = PairSampler(edges_of(matrix)).draw(4_000, np.random.default_rng(2))
    assert matrix[pairs.users, pairs.positives].all() and not matrix[pairs.users, pairs.negatives].any()
    assert set(pairs.users.tolist()) == set(np.flatnonzero(matrix.any(1))) and 3 not in pairs.negatives
    assert len({*zip(pairs.users.tolist(), pairs.positives.tolist(), strict=True)}) == matrix.sum()
