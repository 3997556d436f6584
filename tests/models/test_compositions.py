"""Towers with heads, kinds of tables, layouts and replicas, in pairs: trained, exported and read again."""

import dataclasses
import itertools
import subprocess
import sys

import numpy as np
import pytest

from lcn_tf.schema import CLICK, Label
from tests import synthetic
from tests.models.compositions import FACTORS, everything, pairwise


def test_every_pair_of_values_meets():
    chosen = pairwise(FACTORS)
    for (first, values), (second, others) in itertools.combinations(FACTORS.items(), 2):
        assert {(one[first], one[second]) for one in chosen} == set(itertools.product(values, others))
    assert len(chosen) <= 1.3 * len(FACTORS["tower"]) * len(FACTORS["head"]) < 0.1 * len(everything(FACTORS))


@pytest.mark.parametrize("replicas", [1, 2])
def test_compositions_train_and_serve_what_they_score(replicas, tmp_path):
    schema = dataclasses.replace(synthetic.make_schema(), labels=(CLICK, Label("long_stay", given="click")),
                                 scenario="slot", vectors={"item": "item.npy"})
    synthetic.write_records(tmp_path, schema)
    np.save(tmp_path / "item.npy", np.random.default_rng(3).normal(size=(schema.tables["item"], 9)).astype(np.float32))
    done = subprocess.run([sys.executable, "-m", "tests.models.compositions", str(replicas), str(tmp_path)],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    expected = sum(one["replicas"] == replicas for one in pairwise(FACTORS))
    assert done.stdout.count(": the same") == expected
