"""Progressive layered extraction against numpy."""

import dataclasses

import numpy as np
import pytest

from lcn_tf.towers import ple
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

CONFIG = ple.Config(units=(11, 6), label_units=(5,), num_levels=2, label_experts=2, shared_experts=3)


@pytest.mark.parametrize("levels", [1, 2, 3])
def test_equals_the_equations(levels):
    tower, inputs = ple.build(dataclasses.replace(CONFIG, num_levels=levels), FACTS), random(B, C, W)
    weights = randomised(tower, inputs.astype(np.float32))
    states = dict.fromkeys((*NAMES, "shared"), inputs)
    for level in range(levels):
        experts = {name: [expert(states[name], weights, f"level_{level}/{name}_experts", number, CONFIG.units)
                          for number in range(3 if name == "shared" else 2)] for name in states}
        read = {name: experts[name] + experts["shared"] for name in NAMES}
        read["shared"] = [one for group in experts.values() for one in group]
        states = {name: mixed(states[name] @ weights[f"level_{level}/{name}_gate/kernel"], read[name])
                  for name in (NAMES if level == levels - 1 else read)}
    assert_same(tower(inputs.astype(np.float32)),
                {name: hidden_layers(states[name], weights, f"{name}_network") for name in NAMES})


def test_options():
    check_what_all_towers_have(ple.build, CONFIG, dataclasses.replace)
    for name in ("num_levels", "label_experts", "shared_experts"):
        with pytest.raises(ValueError, match=f"ple.{name} must be at least 1, got 0"):
            dataclasses.replace(CONFIG, **{name: 0})
