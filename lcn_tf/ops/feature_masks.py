"""Which features of an item two views hide from each other: SSL's masks.

Yao et al., CIKM 2021, sections 3.2 and 3.3. Shapes: N items, F features.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf


def mutual_information(columns: np.ndarray) -> np.ndarray:
    """Mutual information of every two features over the items, in nats.

    Args:
      columns: integers `[F, N]`, the values of each feature.

    Returns:
      float64 `[F, F]`, symmetric; the diagonal is each feature's entropy.
    """
    places = [np.unique(column, return_inverse=True)[1] for column in columns]
    entropies = [_entropy(column) for column in places]
    found = np.diag(entropies)
    for one in range(len(places)):
        for other in range(one):
            pairs = places[one] * (places[other].max() + 1) + places[other]
            found[one, other] = found[other, one] = entropies[one] + entropies[other] - _entropy(pairs)
    return found


def _entropy(values: np.ndarray) -> float:
    shares = np.unique(values, return_counts=True)[1] / len(values)
    return float(-np.sum(shares * np.log(shares)))


def correlated_masks(information: np.ndarray) -> np.ndarray:
    """For each feature, itself and the half of the features that it says most of.

    Both views keep at least one feature: of two, each is hidden alone.

    Args:
      information: `[F, F]`, see `mutual_information`; F at least 2.

    Returns:
      bool `[F, F]`: row i has what the first view hides where feature i is drawn; the second hides the rest.
    """
    count = len(information)
    masks = np.eye(count, dtype=bool)
    for feature, row in enumerate(information):
        others = [other for other in np.argsort(-row, kind="stable") if other != feature]
        masks[feature, others[:min(count // 2, count - 2)]] = True
    return masks


def random_mask(count: int, seed: tf.Tensor) -> tf.Tensor:
    """Half of the features, rounded down, by lot: bool `[F]`, what the first view hides; the second hides the rest."""
    order = tf.argsort(tf.random.stateless_uniform([count], seed))
    return tf.scatter_nd(order[:count // 2, tf.newaxis], tf.ones([count // 2], tf.bool), [count])
