"""Settings of every test process; they must be made before TensorFlow is loaded."""

import os
import pathlib

# Tests run in two processes on machines with two cores: one thread for arithmetic each. Several logical devices in one
# process wait for each other, which needs more threads between operations than devices.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "8")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

import gc

import hypothesis
import pytest

import lcn_tf  # noqa: F401  (chooses the version of Keras, unless the caller has)

ROOT = pathlib.Path(__file__).resolve().parent.parent
SHARED_DATA = ROOT.parent / "shared" / "data"

hypothesis.settings.register_profile(
    "repeatable", derandomize=True, deadline=None, database=None, max_examples=25, print_blob=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("repeatable")

# Graphs are millions of objects: looking through all of them every few thousand allocations costs a tenth of the time.
gc.set_threshold(100_000, 20, 100)


def pytest_collection_modifyitems(items):
    """Skips tests of real data where there is none."""
    if SHARED_DATA.is_dir():
        return
    for item in items:
        if "shared_data" in item.keywords or "shared_data" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.skip(reason=f"{SHARED_DATA} does not exist"))


@pytest.fixture(scope="session")
def shared_data() -> pathlib.Path:
    """The folder of real data sets; tests that use it are marked `shared_data`."""
    return SHARED_DATA
