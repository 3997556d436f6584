"""Vectors that pass along the edges of several behaviours: CIGCN, the compressed interaction of graphs of CIGF.

Guo et al., Compressed Interaction Graph based Framework for Multi-behavior Recommendation, WWW 2023, as its authors'
code has it. Shape letters: N nodes (users, then items), B behaviours, d width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import scipy.sparse as sp
import tensorflow as tf

_SLOPE = 0.1  # of the leaky ReLU below 0
Gates = Sequence[tuple[tf.Tensor, tf.Tensor]]


def normalised_adjacency(edges: sp.csr_array, normalisation: str = "left") -> sp.csr_array:
    """A graph of users and items as a matrix `[N, N]` float32 by which vectors are multiplied.

    Args:
      edges: `[users, items]`, ones.
      normalisation: "left", the mean over a node's neighbours, `D^-1 A`; or "symmetric", `D^-1/2 A D^-1/2`.

    Returns:
      The matrix; rows of nodes without an edge are zeros.
    """
    adjacency = sp.block_array([[None, edges], [edges.T, None]], format="csr")
    degrees = np.diff(adjacency.indptr).astype(np.float32)
    power = 1.0 if normalisation == "left" else 0.5
    inverse = sp.diags_array(np.where(degrees > 0, np.maximum(degrees, 1) ** -power, 0).astype(np.float32))
    return sp.csr_array(inverse @ adjacency if normalisation == "left" else inverse @ adjacency @ inverse)


def propagate(start: tf.Tensor, adjacency: Sequence[sp.csr_array], gates: Gates) -> tf.Tensor:
    """The vectors of every behaviour, sums of what comes from 0, 1, 2 ... hops away.

    With `s_1 = A_b E`, `e_1 = s_1 + E`, and from the second hop on `w = leaky_relu(E W_b + c_b)` of every node,
    `s_l = sum over b' of w[b'] (A_b' s_(l-1))` and `e_l = s_l + e_(l-1)`, those of behaviour b are
    `E + e_1 + ... + e_L`. So chains of behaviours are weighed node by node instead of being listed. Runs eagerly:
    products are SciPy's, which give the same bytes each time.

    Args:
      start: E, `[N, d]` float32.
      adjacency: for each behaviour `[N, N]`, as `normalised_adjacency` returns.
      gates: for each hop after the first `W` `[d, B, B]` and `c` `[B, B]`; the last axis is b'.

    Returns:
      `[N, B, d]` float32.
    """
    nodes, width = start.shape
    count = len(adjacency)
    products = [_product(matrix) for matrix in adjacency]
    passed = tf.stack([product(start) for product in products], axis=1)  # s_1 [N, B, d]
    layer = passed + start[:, tf.newaxis]
    total = start[:, tf.newaxis] + layer
    for kernel, bias in gates:
        weights = tf.nn.leaky_relu(tf.einsum("nd,dbc->nbc", start, kernel) + bias, _SLOPE)  # [N, B, B]
        flat = tf.reshape(passed, [nodes, count * width])
        passed = tf.add_n([weights[:, :, place, tf.newaxis] * tf.reshape(product(flat), [nodes, count, width])
                           for place, product in enumerate(products)])
        layer = passed + layer
        total = total + layer
    return total


def _product(matrix: sp.csr_array) -> Callable[[tf.Tensor], tf.Tensor]:
    """Multiplication of a matrix by dense vectors, with its gradient."""
    @tf.custom_gradient
    def multiply(vectors: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        return tf.constant(matrix @ vectors.numpy()), lambda upstream: tf.constant(matrix.T @ upstream.numpy())

    return multiply
