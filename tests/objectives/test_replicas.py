"""The number of replicas changes neither the value of an objective nor its gradient nor its state."""

import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from tests.objectives import replicas

SCRIPT = pathlib.Path(replicas.__file__)


@pytest.mark.slow
def test_replicas_change_no_term_no_gradient_and_no_state(tmp_path):
    found = {}
    for count in replicas.SHARES:
        output = str(tmp_path / f"{count}.npz")
        done = subprocess.run([sys.executable, str(SCRIPT), output, str(count)], text=True, stderr=subprocess.PIPE,
                              env={**os.environ, "PYTHONPATH": str(SCRIPT.parents[2])}, timeout=600)
        assert done.returncode == 0, done.stderr[-3000:]
        found[count] = dict(np.load(output))
    for objective in replicas.components("objectives"):
        tables = [values for name, values in found[1].items() if name.startswith(f"{objective} 1 table")]
        assert any(np.abs(values).max() > 1e-3 for values in tables), objective
    assert any("state" in name for name in found[1])
    for count in (2, 4):
        assert set(found[count]) == set(found[1])
        for name, values in found[1].items():
            np.testing.assert_allclose(found[count][name], values, rtol=1e-5, atol=2e-6, err_msg=f"{count} {name}")
