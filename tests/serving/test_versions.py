"""The newest version that loads serves, and a request keeps the version that it began with."""

import shutil
import time

import numpy as np
import pytest

from lcn_tf.serving.c_session import SessionError
from lcn_tf.serving.verify import VERIFICATION_PATH, read_recorded
from lcn_tf.serving.versions import ServedVersions
from lcn_tf.serving.warmup import prediction_log, write_warmup


def until(condition, seconds=60):
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, "it did not happen"
        time.sleep(0.02)


def test_a_new_version_takes_over_when_it_is_whole_and_the_old_one_ends_with_its_last_request(exported, tmp_path):
    shutil.copytree(exported.path, tmp_path / "3")
    _, _, request = read_recorded(str(exported.path / VERIFICATION_PATH))
    served = ServedVersions(str(tmp_path), poll_seconds=0.05, threads=1)

    def texts():
        return [(version, text) for _, version, text in served.events]

    with served.lease() as (version, old):
        assert version == 3
        (tmp_path / "10").mkdir()
        shutil.copy(exported.path / "saved_model.pb", tmp_path / "10")  # half a version: its weights are missing
        until(lambda: len(served.events) >= 4)
        assert texts()[:3] == [(3, "loading"), (3, "serving"), (10, "loading")] and "not be whole" in texts()[3][1]
        shutil.copytree(exported.path / "assets.extra", tmp_path / "10" / "assets.extra")  # still no weights
        until(lambda: any("Could not find resource" in text for _, text in texts()))
        with served.lease() as (version, _):
            assert version == 3, "half a version answers nothing"
        shutil.copytree(exported.path, tmp_path / "10", dirs_exist_ok=True)
        until(lambda: (10, "serving") in texts())
        with served.lease() as (version, _):
            assert version == 10
        assert (3, "closed") not in texts()
        assert old.run("serving_default", request)["probability"].shape, "it answers what it has begun"
    assert texts()[-1] == (3, "closed")
    served.close()
    assert texts()[-1] == (10, "closed")
    with pytest.raises(SessionError, match="closed"), served.lease():
        pass


def test_a_folder_that_is_away_for_a_while_and_a_version_that_cannot_be_warmed_up(exported, tmp_path):
    base = tmp_path / "versions"
    shutil.copytree(exported.path, base / "1")
    served = ServedVersions(str(base), poll_seconds=0.02, threads=1)

    def texts(version):
        return [text for _, number, text in served.events if number == version]

    base.rename(tmp_path / "away")
    until(lambda: any("No such file or directory" in text for text in texts(1)))
    shutil.copytree(exported.path, tmp_path / "away" / "2")
    log = prediction_log("lcn", "rank_from_history", {"user_id": np.array([1])})
    write_warmup(str(tmp_path / "away" / "2"), [log])
    (tmp_path / "away").rename(base)
    until(lambda: any("no signature 'rank_from_history'" in text for text in texts(2)))
    shutil.copytree(exported.path, base / ".3")
    (base / ".3").rename(base / "3")
    until(lambda: "serving" in texts(3))
    served.close()


def test_a_folder_without_versions(tmp_path):
    (tmp_path / "latest").mkdir()
    with pytest.raises(SessionError, match="no version loads; it has none"):
        ServedVersions(str(tmp_path))
