"""A preparation that was killed goes on where it stopped: the same bytes, and no bucket twice."""

import contextlib
import dataclasses
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import sys
import time

import pytest

from data_prep.config import PreparationConfig
from data_prep.errors import OutputError
from data_prep.movielens.config import MovieLensConfig
from data_prep.movielens.prepare import prepare
from lcn_tf.schema import FeatureSchema
from tests import references_data
from tests.data_prep.movielens_files import DATES, random_ratings, write_files

SHARDS = 120
SETTINGS = PreparationConfig(short_length=5, lifelong_length=50, shards=SHARDS, workers=1)


def prepare_here(input_dir, output_dir, preparation=SETTINGS):
    prepare(str(input_dir), str(output_dir), MovieLensConfig(**DATES), preparation)
    return output_dir


def start(input_dir, output_dir, workers):
    """The same preparation in a process of its own, and the folder in which it works."""
    settings = {**DATES, **{name: getattr(SETTINGS, name) for name in ("short_length", "lifelong_length", "shards")}}
    process = subprocess.Popen([sys.executable, "-m", "data_prep.movielens", f"--input_dir={input_dir}",
                                f"--output_dir={output_dir}", f"--workers={workers}",
                                *(f"--{name}={value}" for name, value in settings.items())])
    return process, output_dir.parent / f".{output_dir.name}.partial"


def wait_for(process, condition):
    end = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.002)


def children_of(process):
    return [int(child) for path in pathlib.Path(f"/proc/{process}/task").glob("*/children")
            for child in path.read_text().split()]


def is_running(process):
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return pathlib.Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def contents(folder):
    """`{path: bytes}` of a prepared data set, and its `preparation.json` without the settings that do not matter."""
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    facts = references_data.read_preparation(folder)
    del files["preparation.json"], facts["settings"]["workers"]
    return files, facts


def identities(folder, buckets):
    """Which file, written when, holds each split of the buckets."""
    states = {path.name: path.stat() for bucket in buckets for path in folder.glob(f"*.tfrecord-{bucket:05d}-of-*")}
    return {name: (state.st_ino, state.st_mtime_ns) for name, state in states.items()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The logs, and what an uninterrupted preparation makes of them."""
    folder = tmp_path_factory.mktemp("whole")
    ratings = random_ratings(4, rows=1_500, users=200)
    busy = [(7, movie, 4.0, moment) for _, movie, _, moment in ratings[:400]]  # the user of one large file
    input_dir = write_files(folder / "logs", ratings + busy)
    return input_dir, contents(prepare_here(input_dir, folder / "out"))


def kill(input_dir, folder, workers):
    """Kills a preparation while it writes records, after it has met a second one of the same name."""
    process, partial = start(input_dir, folder / "out", workers)
    try:
        wait_for(process, lambda: list(partial.glob("work/summaries/*.json")))
        process.send_signal(signal.SIGSTOP)
        children = children_of(process.pid)
        with pytest.raises(OutputError, match="out is being made by another process$"):
            prepare_here(input_dir, folder / "out")
    finally:
        process.kill()
        process.wait()
    assert len(children) == (0 if workers == 1 else workers)
    end = time.monotonic() + 60
    while any(is_running(child) for child in children):
        assert time.monotonic() < end, "processes outlive their parent"
        time.sleep(0.01)
    written = {int(path.stem) for path in partial.glob("work/summaries/*.json")}
    assert 0 < len(written) < SHARDS and not (folder / "out").exists()
    return partial, written


@pytest.fixture(scope="module", params=[1, 2], ids=["one process", "two processes"])
def killed(request, whole, tmp_path_factory):
    """The folder of a killed preparation, and the buckets that it had written."""
    return kill(whole[0], tmp_path_factory.mktemp("killed"), request.param)


@pytest.fixture(scope="module")
def one_killed(whole, tmp_path_factory):
    """As `killed`, with one process."""
    return kill(whole[0], tmp_path_factory.mktemp("killed"), 1)


def copied(killed, tmp_path):
    """An output directory that was being made when its process was killed."""
    shutil.copytree(killed[0], tmp_path / ".out.partial")
    return tmp_path / "out"


def test_it_goes_on_to_the_same_bytes_and_writes_no_bucket_twice(whole, killed, tmp_path):
    output_dir, written = copied(killed, tmp_path), killed[1]
    before = identities(tmp_path / ".out.partial" / "records", written)
    prepare_here(whole[0], output_dir, dataclasses.replace(SETTINGS, workers=2))
    assert contents(output_dir) == whole[1]
    assert identities(output_dir, written) == before and len(before) == 3 * len(written)
    assert os.listdir(tmp_path) == ["out"]


def test_other_settings_start_anew(whole, one_killed, tmp_path):
    output_dir = copied(one_killed, tmp_path)
    before = identities(tmp_path / ".out.partial" / "records", one_killed[1])
    prepare_here(whole[0], output_dir, dataclasses.replace(SETTINGS, short_length=4))
    assert not set(before.items()) & set(identities(output_dir, one_killed[1]).items()) and before
    assert FeatureSchema.load(output_dir).lengths["short_source"] == 4


def test_other_input_starts_anew(whole, one_killed, tmp_path):
    log, output_dir = whole[0] / "ratings.csv", copied(one_killed, tmp_path)
    content, state = log.read_bytes(), log.stat()
    try:
        log.write_bytes(content.replace(b",5.0,", b",4.5,"))
        prepare_here(whole[0], output_dir)
        assert contents(output_dir) == contents(prepare_here(whole[0], tmp_path / "fresh")) != whole[1]
    finally:
        log.write_bytes(content)
        os.utime(log, ns=(state.st_atime_ns, state.st_mtime_ns))


def test_a_disk_that_fills_up_while_records_are_written(whole, one_killed, tmp_path):
    output_dir = copied(one_killed, tmp_path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(OutputError, match=r"^shard \d+ cannot be written: .*File too large.*: the same command goes"
                                              r" on from there\)$"):
            prepare_here(whole[0], output_dir)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert os.listdir(tmp_path) == [".out.partial"]
    assert contents(prepare_here(whole[0], output_dir)) == whole[1]


def test_killed_while_it_reads(whole, tmp_path):
    input_dir, expected = whole
    process, partial = start(input_dir, tmp_path / "out", 1)
    try:
        wait_for(process, (partial / "work" / "scratch" / "tables.duckdb").exists)
    finally:
        process.kill()
        process.wait()
    assert not (partial / "work" / "encoded.json").exists()
    assert contents(prepare_here(input_dir, tmp_path / "out")) == expected
