"""The shared bottom against numpy."""

import dataclasses

import numpy as np
import pytest

from lcn_tf.towers import shared_bottom
from tests.towers.label_towers import (
    FACTS,
    NAMES,
    B,
    C,
    W,
    assert_same,
    check_what_all_towers_have,
    hidden_layers,
    random,
    randomised,
)

CONFIG = shared_bottom.Config(units=(11, 6), label_units=(5,))


@pytest.mark.parametrize("units", [(11, 6), ()])
def test_equals_numpy(units):
    tower, inputs = shared_bottom.build(dataclasses.replace(CONFIG, units=units), FACTS), random(B, C, W)
    weights = randomised(tower, inputs.astype(np.float32))
    bottom = hidden_layers(inputs, weights, "bottom", len(units))
    assert_same(tower(inputs.astype(np.float32)),
                {name: hidden_layers(bottom, weights, f"{name}_network") for name in NAMES})
    assert len(tower.last_shared) == bool(units)


def test_options():
    check_what_all_towers_have(shared_bottom.build, CONFIG, dataclasses.replace)
    for options, message in (({"units": (0,)}, "shared_bottom.units must be"), ({"dropout": 1.0}, "shared_bottom.drop"),
                             ({"units": (), "label_units": ()}, "shared_bottom.label_units must be")):
        with pytest.raises(ValueError, match=message):
            dataclasses.replace(CONFIG, **options)
