"""Packed numbers come back, undefined ones too, from a file as well."""

import numpy as np
import pytest

from experiments.tables import resamples


def test_numbers_come_back(tmp_path):
    values = np.random.default_rng(1).random([2, 1000])
    values[0, :3] = 0, 1, np.nan
    path = str(tmp_path / "resamples.npz")
    assert resamples.read(path) == {}
    resamples.write(path, {"one": resamples.pack(values), "other": resamples.pack(values[::-1])})
    found = resamples.read(path)
    assert list(found) == ["one", "other"]
    np.testing.assert_allclose(resamples.unpack(found["one"]), values, atol=1e-5)
    np.testing.assert_array_equal(found["one"], found["other"][::-1])


def test_another_file_is_named(tmp_path):
    path = tmp_path / "resamples.npz"
    np.savez(path, values=np.zeros(3))
    with pytest.raises(ValueError, match="resamples.npz: not resamples of runs"):
        resamples.read(str(path))
