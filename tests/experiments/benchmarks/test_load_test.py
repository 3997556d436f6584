"""The load test loses no request over a reload, and finds answers that are lost, late or of no version."""

import json
import shutil
import time

import numpy as np
import pytest

from experiments.benchmarks import load_test
from experiments.benchmarks.load_test import Answer, arrivals, check, recorded_requests, send
from lcn_tf.data.pipeline import RecordFiles
from lcn_tf.serving.c_session import SessionError
from lcn_tf.serving.export import export_model
from tests import synthetic
from tests.experiments.benchmarks.commands import run
from tests.serving.conftest import DATA, small_model


@pytest.fixture(scope="module")
def versions(tmp_path_factory):
    folder = tmp_path_factory.mktemp("load")
    synthetic.write_records(folder / "data", offsets=True)
    files = RecordFiles.open(str(folder / "data"))
    model = small_model(files.schema, long_term="mean_pool", short_term="mean", objectives=())
    export_model(model, str(folder / "saved_model"), files, DATA)
    return folder / "saved_model"


@pytest.mark.slow
def test_no_request_is_lost_over_a_reload(versions, tmp_path):
    output = tmp_path / "load.json"
    printed = run(load_test, "--rates=40", "--rates=60", "--requests=120", "--callers=3", "--candidates_each=7",
                  f"--output={output}", str(versions))
    assert [line.split()[0] for line in printed.splitlines()[:3]] == ["requests/s", "40.0", "60.0"]
    figures = json.loads(output.read_text())["figures"]
    assert figures["distinct_requests"] > 5 and figures["capacity"] > 60
    for found in figures["runs"]:
        assert (found["lost"], found["failed"], found["of_no_version"], found["errors"]) == (0, 0, 0, [])
        old, new = found["answered"]["1"], found["answered"]["2"]
        assert old >= 30 and new >= 90 and old + new == found["sent"] >= 60
        assert 0 < found["p50_seconds"] <= found["p99_seconds"] <= found["largest_seconds"]
        assert found["reload_seconds"] > 0
    assert [path.name for path in versions.iterdir()] == ["1"], "the folder itself is left alone"


def test_requests_have_as_many_candidates_as_asked_for(versions):
    requests = recorded_requests(str(versions / "1"), 11)
    for request in requests:
        assert request["item_id"].shape == request["timestamp"].shape == (1, 11)
        pairs = np.stack([request["item_id"][0], request["price"][0]], 1)
        period = next(size for size in range(1, 12) if (pairs == pairs[np.arange(11) % size]).all())
        assert period <= 5, "the records have at most five candidates, which repeat"
        assert (request["item_id"] > 0).all()


class Standing:
    """Versions of one session that stands still at its third request, and refuses the fifth."""

    def __init__(self):
        self.calls = 0

    def lease(self):
        return self

    def __enter__(self):
        return 7, self

    def __exit__(self, *error):
        return None

    def run(self, signature, request):
        self.calls += 1
        if self.calls == 3:
            time.sleep(0.3)
        if self.calls == 5:
            raise SessionError("refused")
        return {"probability": request["probability"]}


def test_a_server_that_stands_still_is_charged_for_all_that_arrive_meanwhile():
    request = {"probability": np.array([0.5, 0.25], np.float32)}
    _, answers = send(Standing(), [request], np.arange(20) * 0.01, callers=1)
    latencies = [answer.ended - answer.due for answer in answers]
    assert latencies[1] < 0.1 and latencies[2] > 0.3
    assert min(latencies[3:15]) > 0.1, "each waited, although none was sent before the server was free"
    found = check(answers, {7: [request["probability"].tobytes()], 8: [b"other"]})
    assert found == {"sent": 20, "lost": 0, "failed": 1, "errors": ["refused"], "of_no_version": 0,
                     "answered": {"7": 19, "8": 0}}


def test_answers_of_another_version_and_lost_ones_are_found():
    expected = {1: [b"a", b"b"], 2: [b"c", b"d"]}
    answers = [Answer(0, 1, 1, b"a"), Answer(0, 1, 2, b"b"), None, Answer(0, 1, 2, b"d"), Answer(0, 1, 1, b"b")]
    found = check(answers, expected)
    assert (found["sent"], found["lost"], found["of_no_version"]) == (5, 1, 2)
    assert found["answered"] == {"1": 1, "2": 1}


def test_arrivals_have_the_rate_and_the_seed():
    moments = arrivals(50.0, 20_000, seed=3)
    assert np.all(np.diff(moments) > 0) and moments[-1] == pytest.approx(400, rel=0.03)
    np.testing.assert_array_equal(moments[:5], arrivals(50.0, 5, seed=3))
    assert moments[0] != arrivals(50.0, 5, seed=4)[0]


def test_bad_input_ends_in_one_line(tmp_path, versions):
    with pytest.raises(SystemExit, match="^error: expected one argument, a folder of versions, got \\[\\]$"):
        run(load_test)
    with pytest.raises(SystemExit, match="^error: .*: no versions, such as saved_model/1$"):
        run(load_test, str(tmp_path))
    shutil.copytree(versions / "1" / "assets.extra", tmp_path / "1" / "assets.extra")
    with pytest.raises(SystemExit, match="^error: "):
        run(load_test, str(tmp_path))
