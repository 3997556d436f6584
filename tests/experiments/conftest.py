"""The flags of an experiment, which a process defines once."""

import pytest
from absl import flags as absl_flags

from experiments import flags


@pytest.fixture(scope="session", autouse=True)
def defined_flags():
    if "lap.msa_top_k" not in absl_flags.FLAGS:
        flags.define()
