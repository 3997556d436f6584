"""The commands: one prepares and prints the accounting, one refuses without a traceback."""

import os
import subprocess
import sys

from tests.data_prep.taobao_logs import random_logs, write_logs


def run(*arguments):
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    return subprocess.run(
        [sys.executable, "-m", *arguments], capture_output=True, text=True, env=environment, check=False)


def test_taobao_prints_what_became_of_every_row(tmp_path):
    input_dir = write_logs(tmp_path / "logs", random_logs(1))
    result = run("data_prep.taobao", f"--input_dir={input_dir}", f"--output_dir={tmp_path / 'out'}", "--shards=1",
                 "--snapshot=day", "--short_length=5")
    assert result.returncode == 0, result.stderr
    assert "behavior_log.csv" in result.stdout and "outside the selected days" in result.stdout
    assert "test        2017-05-12 to 2017-05-12" in result.stdout and "entropy" in result.stdout
    assert len(list((tmp_path / "out").glob("*.tfrecord-00000-of-00001"))) == 3


def test_refusals_are_one_line(tmp_path):
    result = run("data_prep.movielens", f"--input_dir={tmp_path / 'absent'}", f"--output_dir={tmp_path / 'out'}")
    assert result.returncode == 1
    assert result.stderr == f"error: input_dir {tmp_path / 'absent'} is not a directory\n"
    result = run("data_prep.movielens", f"--input_dir={tmp_path}", f"--output_dir={tmp_path}", "--snapshot=week")
    assert result.returncode == 1 and "one of request, day, got 'week'" in result.stderr
