"""Multi-gate mixture of experts against numpy."""

import dataclasses

import numpy as np
import pytest

from lcn_tf.towers import mmoe
from tests.towers.label_towers import (
    FACTS,
    NAMES,
    B,
    C,
    W,
    assert_same,
    check_what_all_towers_have,
    expert,
    hidden_layers,
    mixed,
    random,
    randomised,
)

CONFIG = mmoe.Config(units=(11, 6), label_units=(5,), num_experts=3)


def test_equals_the_equations():
    tower, inputs = mmoe.build(CONFIG, FACTS), random(B, C, W)
    weights = randomised(tower, inputs.astype(np.float32))
    experts = [expert(inputs, weights, "experts", number, CONFIG.units) for number in range(3)]
    assert_same(tower(inputs.astype(np.float32)), {name: hidden_layers(
        mixed(inputs @ weights[f"{name}_gate/kernel"], experts), weights, f"{name}_network") for name in NAMES})


def test_experts_begin_as_dense_layers_do_and_each_differs():
    tower = mmoe.build(mmoe.Config(num_experts=5), FACTS)
    tower(random(B, C, 700).astype(np.float32))
    kernel = tower._experts.kernels[0].numpy()
    assert abs(kernel).max() == pytest.approx(np.sqrt(6 / (700 + 256)), rel=1e-2)
    assert len({float(first) for first in kernel[:, 0, 0]}) == 5


def test_options():
    check_what_all_towers_have(mmoe.build, CONFIG, dataclasses.replace)
    for options, message in (({"units": ()}, "mmoe.units must be"), ({"num_experts": 0}, "mmoe.num_experts must be")):
        with pytest.raises(ValueError, match=message):
            dataclasses.replace(CONFIG, **options)
