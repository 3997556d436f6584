"""Two processes never run in one work folder; a killed one is in nobody's way."""

import os
import socket
import subprocess
import sys

import pytest

from experiments import workdir_lock
from tests.experiments.clusters import ROOT

HOLD = ("import sys, time; from experiments import workdir_lock\n"
        "with workdir_lock.held(sys.argv[1]): print('held', flush=True); time.sleep(600)")


def test_a_live_process_is_named_and_a_killed_one_forgotten(tmp_path):
    folder = str(tmp_path / "run")
    process = subprocess.Popen([sys.executable, "-c", HOLD, folder], stdout=subprocess.PIPE, text=True,
                               env={**os.environ, "PYTHONPATH": str(ROOT)})
    try:
        assert process.stdout.readline() == "held\n"
        expected = f"--workdir=.*run is in use by process {process.pid} on {socket.gethostname()}; wait for it"
        with pytest.raises(BlockingIOError, match=expected), workdir_lock.held(folder):
            pass
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    for _ in range(2):
        with workdir_lock.held(folder):
            assert str(os.getpid()) in (tmp_path / "run" / workdir_lock.LOCK).read_text()
    assert (tmp_path / "run" / workdir_lock.LOCK).read_text() == ""


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(PermissionError, match="--workdir=.*below cannot be written: Not a directory"), \
            workdir_lock.held(str(tmp_path / "file" / "below")):
        pass
