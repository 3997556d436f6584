"""What benchmarks measure with: turns, memory of a process tree, and the file of figures."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

import lcn_tf
from experiments.benchmarks import measure

MEBIBYTE = 2**20
# Says so when it has touched 100 MiB, and keeps them until its input ends.
HOLD_MEMORY = "import sys; held = b'x' * (100 * 2**20); print('ready', flush=True); sys.stdin.read()"


def test_calls_take_turns():
    order = []
    seconds = measure.durations({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, count=5, warmup=2)
    assert order == ["a", "b"] * 7
    assert set(seconds) == {"a", "b"}
    for values in seconds.values():
        assert values.shape == (5,) and (values > 0).all()


def test_at_least_one_turn():
    with pytest.raises(ValueError, match="count must be at least 1, got 0"):
        measure.durations({"a": int}, count=0)


def test_ratio_compares_turns():
    assert measure.ratio([2.0, 9.0, 40.0], [1.0, 3.0, 10.0]) == 3.0


def test_peak_outlives_what_was_allocated():
    before = measure.resident_bytes()
    with measure.PeakMemory() as memory:
        held = np.ones(200 * MEBIBYTE // 8)
        while memory.bytes < before + 150 * MEBIBYTE:  # until a sample has seen it
            assert held[-1] == 1.0
        del held
    assert before + 150 * MEBIBYTE < memory.bytes < before + 400 * MEBIBYTE


def test_children_count_and_what_has_ended_does_not():
    with subprocess.Popen([sys.executable, "-c", HOLD_MEMORY], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout.readline() == b"ready\n"
        own, together = measure.resident_bytes(child.pid), measure.resident_bytes()
        with measure.PeakMemory(child.pid) as memory:
            child.stdin.close()
            child.wait()
    assert 100 * MEBIBYTE < own <= memory.bytes < 400 * MEBIBYTE
    assert together > own + 20 * MEBIBYTE  # this process has more than that itself
    assert measure.resident_bytes(child.pid) == 0


def test_figures_stand_beside_what_they_were_measured_on(tmp_path):
    path = tmp_path / "figures.json"
    measure.write_figures(str(path), {"steps": 3}, [{"rate": 1.5}])
    written = json.loads(path.read_text())
    assert written["settings"] == {"steps": 3} and written["figures"] == [{"rate": 1.5}]
    assert written["hardware"]["cpus"] == os.cpu_count()
    assert written["versions"]["lcn_tf"] == lcn_tf.__version__ and "commit" in written


def test_a_function_runs_in_a_process_of_its_own():
    assert measure.in_own_process(os.getpid) != os.getpid()
    with pytest.raises(RuntimeError, match="terminated abruptly"):
        measure.in_own_process(os._exit, 1)
