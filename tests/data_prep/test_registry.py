"""The registry finds every data set, and importing it costs no engine."""

import subprocess
import sys

import pytest

from data_prep.config import PreparationConfig
from data_prep.errors import InputError
from data_prep.registry import DATASETS


@pytest.mark.parametrize("name", DATASETS)
def test_every_entry_prepares_with_its_defaults(name, tmp_path):
    entry = DATASETS[name]
    with pytest.raises(InputError, match=str(tmp_path / "absent")):
        entry.prepare(str(tmp_path / "absent"), str(tmp_path / "out"), entry.config_class(), PreparationConfig())


def test_names():
    assert set(DATASETS) == {"taobao", "movielens", "userbehavior", "industrial"}


def test_importing_the_registry_loads_neither_engine_nor_tensorflow():
    code = "import sys, data_prep.registry; print([m for m in ('duckdb', 'ibis', 'tensorflow') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
