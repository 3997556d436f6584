"""The commands: they print what became of every row, and end in one line when they refuse or fail."""

import os
import resource
import subprocess
import sys
import threading
import time

import pytest

from lcn_tf.data.record_files import RecordFiles
from tests.data_prep.taobao_logs import random_logs, write_logs


def run(module, *flags, limit=None):
    """Runs a module; `limit` is the largest file it may write, in bytes."""
    limits = (limit, limit) if limit else resource.getrlimit(resource.RLIMIT_FSIZE)
    return subprocess.run(
        [sys.executable, "-m", module, *flags], capture_output=True, text=True, check=False,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limits))


def assert_one_line(result, *texts):
    assert result.returncode == 1 and not result.stdout
    line, = result.stderr.splitlines()
    assert line.startswith("error: ")
    for text in texts:
        assert text in line


@pytest.fixture
def logs(tmp_path):
    return write_logs(tmp_path / "logs", random_logs(1))


def test_taobao_prints_what_became_of_every_row(tmp_path, logs):
    with open(logs / "behavior_log.csv", "a", encoding="utf-8") as file:
        file.write("1,soon\n")
    result = run("data_prep.taobao", f"--input_dir={logs}", f"--output_dir={tmp_path / 'out'}", "--shards=1",
                 "--snapshot=day", "--short_length=5", "--max_reject_share=0.1")
    assert result.returncode == 0, result.stderr
    assert "outside the selected days" in result.stdout and "unreadable, see rejects.csv" in result.stdout
    assert "test        2017-05-12 to 2017-05-12" in result.stdout and "entropy" in result.stdout
    assert len(list((tmp_path / "out").glob("*.tfrecord-00000-of-00001"))) == 3
    assert "expected 5 cells, got 2" in (tmp_path / "out" / "rejects.csv").read_text()


def test_what_is_missing_or_wrong(tmp_path, logs):
    missing = run("data_prep.movielens", f"--input_dir={tmp_path / 'absent'}", f"--output_dir={tmp_path / 'out'}")
    assert_one_line(missing, f"error: input_dir {tmp_path / 'absent'} is not a directory")
    setting = run("data_prep.movielens", f"--input_dir={tmp_path}", f"--output_dir={tmp_path}", "--snapshot=week")
    assert setting.returncode == 1 and "one of request, day, user, got 'week'" in setting.stderr


def test_too_many_rejects(tmp_path, logs):
    (logs / "behavior_log.csv").write_text("user,time_stamp,btag,cate,brand\n1,2,pv,3,4\n1,soon,pv,3,4\n")
    result = run("data_prep.taobao", f"--input_dir={logs}", f"--output_dir={tmp_path / 'out'}")
    assert_one_line(result, "behavior_log.csv, line 3, column time_stamp: expected an integer, got 'soon': 1 of 2 ",
                    f"lines cannot be read, more than max_reject_share=0.0001 allows; see {tmp_path}/out.rejects.csv")
    assert sorted(os.listdir(tmp_path)) == ["logs", "out.rejects.csv"]


def test_odd_names_and_the_directory_that_one_is_in(tmp_path, monkeypatch):
    name = "a\\b?c*[0.1]'d\""
    write_logs(tmp_path / name, random_logs(1))
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    for output_dir in (os.path.join("..", f"out {name}"), "."):
        result = run("data_prep.taobao", f"--input_dir={os.path.join('..', name)}", f"--output_dir={output_dir}",
                     "--shards=1")
        assert result.returncode == 0, result.stderr
        assert "test        2017-05-12 to 2017-05-12" in result.stdout
    assert {path.name for path in tmp_path.iterdir()} == {name, f"out {name}", "empty"}
    assert sorted(os.listdir(".")) == sorted(os.listdir(tmp_path / f"out {name}"))
    RecordFiles.open(".")
    RecordFiles.open(str(tmp_path / f"out {name}"))


@pytest.mark.parametrize("parent", ["a file", "/sys"])
def test_a_directory_without_rights(tmp_path, logs, parent):
    output_dir = "/sys/prepared" if parent == "/sys" else str(logs / "raw_sample.csv" / "prepared")
    result = run("data_prep.taobao", f"--input_dir={logs}", f"--output_dir={output_dir}")
    assert_one_line(result, f"output_dir {output_dir} cannot be written: ")


@pytest.mark.parametrize("limit", [5_000, 20_000])
def test_a_disk_that_fills_up(tmp_path, logs, limit):
    result = run("data_prep.taobao", f"--input_dir={logs}", f"--output_dir={tmp_path / 'out'}", limit=limit)
    assert_one_line(result, "the query engine stopped", "File too large", "the same command goes on from there")
    assert sorted(os.listdir(tmp_path)) == [".out.partial", "logs"]


def test_a_file_that_grows_while_it_is_read(tmp_path, logs):
    def append():
        while not (tmp_path / ".out.partial").exists():
            time.sleep(0.001)
        with open(logs / "behavior_log.csv", "a", encoding="utf-8") as file:
            file.write("1,1494000000,pv,3,4\n")

    thread = threading.Thread(target=append, daemon=True)
    thread.start()
    size = (logs / "behavior_log.csv").stat().st_size
    result = run("data_prep.taobao", f"--input_dir={logs}", f"--output_dir={tmp_path / 'out'}")
    thread.join(10)
    assert_one_line(result, f"behavior_log.csv: the file changed while it was read ({size:,} bytes before, ")
    assert os.listdir(tmp_path) == ["logs"]
