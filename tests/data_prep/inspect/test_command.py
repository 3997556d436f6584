"""`python -m data_prep.inspect` on a prepared folder, on foreign records, and on what is neither."""

import os
import shutil
import subprocess
import sys

import pytest

from tests import synthetic


def inspect(*arguments):
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    return subprocess.run([sys.executable, "-m", "data_prep.inspect", *map(str, arguments)], capture_output=True,
                          text=True, env=environment, check=False)


@pytest.fixture
def data_dir(tmp_path):
    synthetic.write_records(tmp_path / "data", offsets=True)
    return tmp_path / "data"


def test_prints_and_plots(data_dir):
    result = inspect(data_dir)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(f"synthetic in {data_dir}, schema ")
    for title in ("splits", "click rate (UTC)", "history lengths", "vocabulary coverage of the test split",
                  "one request group of the test split, times in UTC"):
        assert f"\n{title}" in result.stdout
    assert "preparation.json" not in result.stdout
    plots = sorted((data_dir / "inspection").iterdir())
    assert [path.name for path in plots] == ["click_rate_per_day.png", "history_lengths.png", "splits.png",
                                             "vocabulary_coverage.png"]
    assert all(str(path) in result.stdout for path in plots)


def test_foreign_records_and_another_time_zone(data_dir, tmp_path):
    (data_dir / "preparation.json").unlink()
    shutil.rmtree(data_dir / "vocabularies")
    result = inspect(data_dir, f"--plot_dir={tmp_path / 'plots'}", "--utc_offset_hours=5.5")
    assert result.returncode == 0, result.stderr
    assert "click rate (UTC+5.5)" in result.stdout and "2023-11-15 03:43:20" in result.stdout
    assert "#" in result.stdout and len(list((tmp_path / "plots").iterdir())) == 4
    assert not (data_dir / "inspection").exists()


def test_refusals_are_one_line(tmp_path):
    absent = tmp_path / "absent"
    result = inspect(absent)
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == (
        f"error: {absent / 'schema.json'} does not exist: {absent} is not a prepared data set")
    result = inspect()
    assert result.returncode == 1 and "expected one DATA_DIR, got []" in result.stdout + result.stderr
