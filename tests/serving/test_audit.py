"""The audit finds a planted skew between serving and preparation, and none where there is none."""

import copy
import dataclasses
import gzip
import pathlib
import shutil

import numpy as np
import pytest
import tensorflow as tf

from lcn_tf.data.record_files import RecordFiles
from lcn_tf.schema import Feature
from lcn_tf.serving.__main__ import main
from lcn_tf.serving.audit import EXTRA, MISSING, audit
from lcn_tf.serving.logged_requests import read_requests
from lcn_tf.serving.recorded_requests import encode_request, named_tensors, requests_of
from lcn_tf.serving.signatures import EXAMPLES_INPUT, SERVING_DEFAULT, SERVING_EXAMPLES
from lcn_tf.serving.user_state import STATE_SIGNATURES
from lcn_tf.serving.warmup import log_class, prediction_log
from tests import synthetic

HISTORY = "lifelong_source"


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("audit") / "data"
    schema = synthetic.make_schema()
    groups = {split: synthetic.make_groups(schema, count, seed=seed, offsets=True)
              for seed, (split, count) in enumerate((("train", 20), ("validation", 9), ("test", 11)))}
    synthetic.write_records(folder, schema, seed=3, groups=groups)
    return str(folder)


def served(data_dir, split="test"):
    """The requests that a server without skew would have logged."""
    files = RecordFiles.open(data_dir)
    found = [request for record in tf.data.TFRecordDataset(list(files.splits[split])).as_numpy_iterator()
             for _, request in requests_of(files.schema, record)]
    return files.schema, copy.deepcopy(found)


def logged(path, schema, requests, together=4):
    """Writes requests, some at a time, as both signatures take them."""
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(log_class()().SerializeToString())  # a message of another kind
        for start in range(0, len(requests), together):
            part = requests[start:start + together]
            if start // together % 2:
                inputs = {EXAMPLES_INPUT: np.array([encode_request(schema, request) for request in part], object)}
                log = prediction_log("lcn", SERVING_EXAMPLES, inputs)
            else:
                log = prediction_log("lcn", SERVING_DEFAULT, named_tensors(schema, part))
            writer.write(log.SerializeToString())
    return str(path)


def test_what_was_logged_is_read_back(data_dir, tmp_path):
    schema, requests = served(data_dir)
    assert list(read_requests(logged(tmp_path / "log", schema, requests), schema)) == requests


def test_no_skew(data_dir, tmp_path, capsys):
    schema, requests = served(data_dir)
    path = logged(tmp_path / "log", schema, requests)
    found = audit(path, data_dir)
    assert found.requests == found.matched == len(requests) and not found.differing
    assert all(difference.compared for difference in found.differences.values())
    assert main(["audit", f"--requests={path}", f"--data_dir={data_dir}"]) == 0
    assert "no difference" in capsys.readouterr().out


def test_gzipped_records_and_requests_are_read_as_if_they_were_not(data_dir, tmp_path, capsys):
    schema, requests = served(data_dir)
    path, folder = logged(tmp_path / "log", schema, requests), shutil.copytree(data_dir, tmp_path / "data")
    for file in (pathlib.Path(path), *folder.glob("*.tfrecord-*")):
        file.write_bytes(gzip.compress(file.read_bytes()))
    found = audit(path, str(folder))
    assert found.requests == found.matched == len(requests) and not found.differing
    record = next(folder.glob("*-test.tfrecord-00000-*"))
    content = bytearray(gzip.decompress(record.read_bytes()))
    content[-9] ^= 255
    record.write_bytes(gzip.compress(content))
    assert main(["audit", f"--requests={path}", f"--data_dir={folder}"]) == 1
    assert f"{record.name}: damaged after record " in capsys.readouterr().err


def skewed(data_dir, tmp_path, change):
    schema, requests = served(data_dir)
    for request in requests:
        change(schema, request)
    path = logged(tmp_path / "log", schema, requests)
    found = audit(path, data_dir)
    assert found.matched == len(requests)
    assert main(["audit", f"--requests={path}", f"--data_dir={data_dir}"]) == 1
    return {difference.name: difference for difference in found.differing}


def test_a_wrong_time_zone(data_dir, tmp_path):
    def change(schema, request):
        request["timestamp"] = [moment + 8 * 3_600 for moment in request["timestamp"]]

    found = skewed(data_dir, tmp_path, change)
    assert set(found) == {"timestamp"} and found["timestamp"].differing == found["timestamp"].compared
    assert found["timestamp"].examples[0].startswith("request 1, candidate 1: prepared ")


def test_a_missing_context_field(data_dir, tmp_path):
    name = f"{HISTORY}_behaviour"

    def change(schema, request):
        request[name] = [1] * len(request[name])

    found = skewed(data_dir, tmp_path, change)
    assert set(found) == {name} and found[name].differing > found[name].compared / 2


def test_a_history_one_event_short(data_dir, tmp_path):
    def change(schema, request):
        for name in schema.history_names(HISTORY):
            request[name] = request[name][1:]

    found = skewed(data_dir, tmp_path, change)
    assert set(found) == {f"{HISTORY}: {MISSING}"}
    _, requests = served(data_dir)
    long_enough = sum(bool(request[f"{HISTORY}_timestamp"]) for request in requests)
    assert found[f"{HISTORY}: {MISSING}"].differing == long_enough


def test_an_event_that_preparation_does_not_see(data_dir, tmp_path):
    def change(schema, request):
        for name in schema.history_names("short_target"):
            request[name] = [request["timestamp"][0] if name.endswith("timestamp") else 3, *request[name]]

    assert f"short_target: {EXTRA}" in skewed(data_dir, tmp_path, change)


def test_a_user_feature(data_dir, tmp_path):
    def change(schema, request):
        feature = min(schema.user, key=lambda feature: schema.tables[feature.table])
        request[feature.name] = [request[feature.name][0] % 2 + 1]

    assert len(skewed(data_dir, tmp_path, change)) == 1


def test_users_and_candidates_are_not_told_apart_by_one_of_several_values(tmp_path):
    """Tags and genres have the largest tables, but users and items share them or have none."""
    plain, users, genres = synthetic.make_schema(), ("tags_1", "tags_2"), ("genres_1", "genres_2")
    schema = dataclasses.replace(
        plain, tables={**plain.tables, "tag": 997, "genre": 991},
        user=(*(Feature(name, "tag") for name in users), *plain.user),
        candidate=(*(Feature(name, "genre") for name in genres), *plain.candidate),
        means={"tags": users, "genres": genres})
    groups = synthetic.make_groups(schema, 20, seed=1)
    for place, group in enumerate(groups):
        user = 1 if place == 7 else 0 if place == 8 else place + 2  # two without an id of their own
        group |= {"user_id": [user], "tags_1": [2 * (place % 2)], "tags_2": [0]}
        group |= {name: [0] * len(group["label"]) for name in genres}
    synthetic.write_records(tmp_path / "data", schema, {"train": groups, "validation": groups[:3], "test": groups[:3]})
    _, requests = served(str(tmp_path / "data"), "train")
    for request in requests[:2]:  # of two users, with candidates that no other user was shown
        request["item_id"] = [59] * len(request["item_id"])
    found = audit(logged(tmp_path / "log", schema, requests), str(tmp_path / "data"))
    assert (found.requests, found.matched, found.differing) == (20, 18, [])


def test_requests_of_other_data_have_no_record(data_dir, tmp_path, capsys):
    schema, requests = served(data_dir)
    for request in requests:
        for feature in (*schema.item, *schema.candidate):
            request[feature.name] = [schema.tables[feature.table] + 5] * len(request["timestamp"])
    path = logged(tmp_path / "log", schema, requests)
    assert audit(path, data_dir).matched == 0
    assert main(["audit", f"--requests={path}", f"--data_dir={data_dir}"]) == 1
    assert "nothing to compare" in capsys.readouterr().out


def test_files_that_are_no_logs(data_dir, tmp_path, capsys):
    schema, _ = served(data_dir)
    assert main(["audit", f"--requests={tmp_path / 'absent'}", f"--data_dir={data_dir}"]) == 1
    assert "absent: no such file of logged requests" in capsys.readouterr().err
    (tmp_path / "text").write_text("no log at all, and long enough to be read")
    with pytest.raises(ValueError, match="text, record 1: not a logged request"):
        list(read_requests(str(tmp_path / "text"), schema))
    with tf.io.TFRecordWriter(str(tmp_path / "other")) as writer:
        writer.write(prediction_log("lcn", SERVING_DEFAULT, {"x": np.zeros(1)}).SerializeToString())
    with pytest.raises(ValueError, match="other, record 1: the request has no .*timestamp.*; it has x"):
        list(read_requests(str(tmp_path / "other"), schema))


@pytest.mark.parametrize("change", ["short", "text", "float"])
def test_inputs_that_do_not_fit_are_named(data_dir, tmp_path, capsys, change):
    schema, requests = served(data_dir)
    if change == "text":
        signature, inputs = SERVING_EXAMPLES, {EXAMPLES_INPUT: np.array([b"no example at all"], object)}
        message = "log, record 1: examples 0 is no tf.train.Example"
    else:
        signature, inputs, name = SERVING_DEFAULT, named_tensors(schema, requests[:3]), f"{HISTORY}_behaviour"
        inputs[name] = inputs[name][:, :1] if change == "short" else inputs[name].astype(np.float32)
        message = f"log, record 1: {name} must be integers of shape "
    with tf.io.TFRecordWriter(str(tmp_path / "log")) as writer:
        writer.write(prediction_log("lcn", signature, inputs).SerializeToString())
    assert main(["audit", f"--requests={tmp_path / 'log'}", f"--data_dir={data_dir}"]) == 1
    assert message in capsys.readouterr().err


def test_requests_of_user_states_are_passed_over(data_dir, tmp_path):
    schema, requests = served(data_dir)
    path = logged(tmp_path / "log", schema, requests)
    own = list(tf.data.TFRecordDataset(path).as_numpy_iterator())
    events = {name: values for name, values in named_tensors(schema, requests).items() if name.startswith(HISTORY)}
    with tf.io.TFRecordWriter(path) as writer:
        for signature in STATE_SIGNATURES:
            writer.write(prediction_log("lcn", signature, events).SerializeToString())
        for record in own:
            writer.write(record)
    assert list(read_requests(path, schema)) == requests
    found = audit(path, data_dir)
    assert found.requests == found.matched == len(requests) and not found.differing
