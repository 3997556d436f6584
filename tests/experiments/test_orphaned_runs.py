"""Runs whose command is gone."""

import subprocess
import sys

from experiments.orphaned_runs import wait_for_orphan


def test_a_run_that_outlived_its_command_is_waited_for_but_not_that_of_another_checkout(tmp_path, monkeypatch):
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path)
    sleep = [sys.executable, "-c", "import time; time.sleep(float('{}'))", "--workdir=runs/a"]
    own, others = (subprocess.Popen([part.format(seconds) for part in sleep], cwd=cwd)
                   for seconds, cwd in ((2, "."), (300, "other")))
    try:
        wait_for_orphan("runs/a")
        assert own.poll() is not None and others.poll() is None
    finally:
        others.kill()
        others.wait()
        own.wait()
