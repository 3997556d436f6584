"""Neither the number of replicas nor that of microbatches changes losses or weights, CRP's negatives included."""

import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from lcn_tf.training import StrategyConfig
from tests import synthetic

SCRIPT = pathlib.Path(__file__).with_name("replicas.py")
ROOT = SCRIPT.parent.parent.parent


def trained(data_dir, layout, table_optimizer, replicas, microbatches, output):
    arguments = map(str, (data_dir, layout, table_optimizer, replicas, microbatches, output))
    done = subprocess.run([sys.executable, str(SCRIPT), *arguments],
                          capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(np.load(output))


@pytest.mark.parametrize("layout, table_optimizer, numbers", [
    ("grouped", "same", ((1, 1), (2, 3), (4, 1))), ("flat", "row_sparse_adam", ((2, 2),))])
def test_replicas_agree(tmp_path, layout, table_optimizer, numbers):
    synthetic.write_records(tmp_path, seed=3, groups={"train": 83, "validation": 5, "test": 17})
    expected = trained(tmp_path, layout, table_optimizer, 0, 1, tmp_path / "0.npz")
    assert {"log_loss", "log_ctr_loss", "log_crp_pt", "log_crp_ps", "log_crp_pc", "log_auc"} <= set(expected)
    for replicas, microbatches in numbers:
        found = trained(tmp_path, layout, table_optimizer, replicas, microbatches, tmp_path / f"{replicas}.npz")
        assert set(found) == set(expected)
        for name, value in found.items():
            np.testing.assert_allclose(value, expected[name], rtol=1e-5, atol=1e-5, err_msg=f"{name}, {replicas}")


def test_unknown_strategy_is_refused():
    with pytest.raises(ValueError, match="strategy.name must be default or mirrored, got 'mirror'"):
        StrategyConfig(name="mirror")
