"""Packed numbers come back, undefined ones too."""

import numpy as np

from experiments.tables.replicates import pack, unpack


def test_numbers_come_back():
    values = np.random.default_rng(1).random(1000)
    values[[0, 1, 2]] = 0, 1, np.nan
    text = pack(values)
    np.testing.assert_allclose(unpack(text), values, atol=1e-5)
    assert np.isnan(unpack(text)).sum() == 1 and len(text) < 2700
