"""Work in several processes: all of it is done, errors arrive, a killed process is named."""

import functools
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from data_prep import processes
from data_prep.errors import OutputError


def note(folder, item):
    """Leaves a file that names the process."""
    (pathlib.Path(folder) / str(item)).write_text(str(os.getpid()))


def fail(folder, item):
    """Item 0 fails; the others begin no earlier than that and take their time."""
    note(folder, item)
    if item == 0:
        raise OutputError(f"item {item}")
    wait_for(lambda: (pathlib.Path(folder) / "0").exists())
    time.sleep(0.1)


def die(folder, item):
    del folder, item
    os.kill(os.getpid(), signal.SIGKILL)


def wait_for_the_end(folder, item):
    note(folder, item)
    wait_for(lambda: (pathlib.Path(folder) / "end").exists())


@pytest.mark.parametrize("workers", [1, 2])
def test_every_item_once(tmp_path, workers):
    processes.for_each(functools.partial(note, str(tmp_path)), range(5), workers)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1", "2", "3", "4"]
    ids = {int(path.read_text()) for path in tmp_path.iterdir()}
    assert ids == {os.getpid()} if workers == 1 else os.getpid() not in ids


def test_nothing_to_do():
    processes.for_each(die, [], 2)


@pytest.mark.parametrize("workers", [1, 2])
def test_the_error_arrives_and_work_that_has_not_begun_is_left(tmp_path, workers):
    with pytest.raises(OutputError, match="^item 0$"):
        processes.for_each(functools.partial(fail, str(tmp_path)), range(50), workers)
    assert len(list(tmp_path.iterdir())) < 50


def test_a_killed_process_is_named(tmp_path):
    with pytest.raises(OutputError, match="a process that wrote records ended with status -9: it was killed"):
        processes.for_each(functools.partial(die, str(tmp_path)), range(2), 2)


def test_a_killed_parent_leaves_no_process(tmp_path):
    code = ("import functools; from data_prep import processes; from tests.data_prep.test_processes import *\n"
            f"processes.for_each(functools.partial(wait_for_the_end, {str(tmp_path)!r}), range(9), 2)\n")
    environment = {**os.environ, "PYTHONPATH": str(pathlib.Path(__file__).resolve().parents[2])}
    parent = subprocess.Popen([sys.executable, "-c", code], env=environment)
    try:
        children = [wait_for(lambda name=name: int((tmp_path / name).read_text())) for name in ("0", "1")]
    finally:
        parent.kill()
        parent.wait()
        (tmp_path / "end").touch()
    for child in children:
        wait_for(lambda child=child: is_gone(child))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1", "end"], "nothing was begun afterwards"


def wait_for(value, seconds=60):
    """The value, once it can be had and is true."""
    end = time.monotonic() + seconds
    while True:
        try:
            if found := value():
                return found
        except (OSError, ValueError):
            pass
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def is_gone(process):
    try:
        with open(f"/proc/{process}/stat", encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True
