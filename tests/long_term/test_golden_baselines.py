"""The oracles of the baselines and the golden numbers from outside agree."""

import json
import pathlib

import numpy as np

from tests import references_baselines

CONTENT = json.loads((pathlib.Path(__file__).parents[1] / "golden" / "baselines.json").read_text(encoding="utf-8"))


def test_oracles_give_the_golden_numbers():
    found = references_baselines.golden_numbers(CONTENT)
    assert set(found) == set(CONTENT["vectors"])
    for vector, numbers in found.items():
        for key, value in numbers.items():
            np.testing.assert_allclose(value, CONTENT["vectors"][vector][key], rtol=0, atol=6e-7, err_msg=key)
