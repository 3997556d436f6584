"""The oracles and the golden numbers from outside agree: two sources for what the layers are compared with."""

import copy
import json

import numpy as np
import pytest

from tests import make_golden


@pytest.mark.parametrize("path", make_golden.FILES, ids=lambda path: path.stem)
def test_oracles_give_the_golden_numbers(path):
    assert make_golden.differences(path.stem, json.loads(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("path", make_golden.FILES, ids=lambda path: path.stem)
def test_the_origin_is_stated(path):
    assert json.loads(path.read_text(encoding="utf-8"))["origin"]


def test_a_changed_number_is_found():
    content = json.loads((make_golden.FOLDER / "lap.json").read_text(encoding="utf-8"))
    changed = copy.deepcopy(content)
    changed["vectors"]["msa"]["ir_msa_softmax_012"][1] += 2e-6
    ((vector, key, value),) = make_golden.differences("lap", changed)
    assert (vector, key) == ("msa", "ir_msa_softmax_012")
    np.testing.assert_allclose(value, content["vectors"]["msa"]["ir_msa_softmax_012"], atol=1e-6)
