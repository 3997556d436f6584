"""Inputs with a scenario, for the tests of towers that know it."""

import numpy as np
import tensorflow as tf

from lcn_tf.contracts import TowerInputs

B, C, W = 5, 3, 26
SCENARIO = np.array([[2, 2, 3], [1, 3, 4], [2, 2, 0], [3, 0, 0], [2, 4, 4]])
MASK = SCENARIO > 0


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def make_inputs(scenario=SCENARIO, seed=1):
    """Features and interests of width 26 together, one of which is empty, as of a lifelong model without interest."""
    rows = np.shape(scenario)
    parts = iter(np.split(random(*rows, W, seed=seed), np.cumsum([5, 7, 3, 7]), -1))
    return TowerInputs({"age": tf.constant(next(parts))}, tf.constant(next(parts)), {"price": tf.constant(next(parts))},
                       {"none": tf.zeros([*rows, 0]), "short": tf.constant(next(parts)),
                        "lifelong": tf.constant(next(parts))}, tf.constant(scenario, tf.int64))


def randomised(tower, seed):
    """The tower, built, with random trainable weights."""
    tower(make_inputs())
    for place, weight in enumerate(tower.trainable_weights):
        weight.assign(0.5 * random(*weight.shape, seed=seed + place))
    return tower


def weights_of(tower):
    """Its weights in float64, by their names in the tower."""
    return {weight.name.removesuffix(":0").removeprefix("tower/"): weight.numpy().astype(np.float64)
            for weight in tower.weights}
