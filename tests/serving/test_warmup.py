"""Warm-up requests: the right bytes, and requests that the export can answer."""

import numpy as np
import pytest
import tensorflow as tf

from lcn_tf.data.pipeline import RecordFiles
from lcn_tf.serving.export import RECORDS, REQUESTS
from lcn_tf.serving.recorded_requests import requests_from_records
from lcn_tf.serving.user_state import USER_STATE
from lcn_tf.serving.warmup import MAX_RECORDS, WARMUP_PATH, log_class, prediction_log, warmup_logs, write_warmup
from tests import synthetic
from tests.serving.conftest import DATA
from tests.synthetic import HISTORIES


def wire_fields(message: bytes) -> list[tuple[int, bytes]]:
    """Length-delimited fields of an encoded message, read without any declaration of it."""
    def varint(place):
        value, shift = 0, 0
        while True:
            byte = message[place]
            value, shift, place = value | (byte & 127) << shift, shift + 7, place + 1
            if byte < 128:
                return value, place

    fields, place = [], 0
    while place < len(message):
        key, place = varint(place)
        assert key & 7 == 2, "every field here is length-delimited"
        size, place = varint(place)
        fields.append((key >> 3, message[place:place + size]))
        place += size
    return fields


def test_field_numbers_are_those_of_tensorflow_serving():
    """prediction_log.proto: predict_log 6, request 1; predict.proto: model_spec 1, inputs 2; model.proto: name 1,
    signature_name 3; a map's entries have key 1 and value 2."""
    ids = np.array([[2, 3, 5]])
    message = prediction_log("lcn", "serving_default", {"item_id": ids}).SerializeToString()
    (predict_log,) = wire_fields(message)
    assert predict_log[0] == 6
    (request,) = wire_fields(predict_log[1])
    assert request[0] == 1
    fields = dict(wire_fields(request[1]))
    assert set(fields) == {1, 2}
    assert wire_fields(fields[1]) == [(1, b"lcn"), (3, b"serving_default")]
    entry = dict(wire_fields(fields[2]))
    assert entry[1] == b"item_id"
    assert entry[2] == tf.make_tensor_proto(ids).SerializeToString()


def test_logs_parse_back(tmp_path):
    inputs = {"item_id": np.array([[2, 3], [5, 7]]), "age": np.array([11, 13])}
    texts = np.array([b"\x00first\x00", b""], dtype=object)
    logs = [prediction_log("lcn", "explain", inputs), prediction_log("lcn", "serving_examples", {"examples": texts})]
    write_warmup(str(tmp_path), logs)
    first, second = (log_class().FromString(record) for record in
                     tf.data.TFRecordDataset(str(tmp_path / WARMUP_PATH)).as_numpy_iterator())
    assert first.WhichOneof("log_type") == "predict_log" if first.DESCRIPTOR.oneofs else first.HasField("predict_log")
    assert first.predict_log.request.model_spec.signature_name == "explain"
    found = {name: tf.make_ndarray(value) for name, value in first.predict_log.request.inputs.items()}
    assert set(found) == set(inputs)
    for name, values in inputs.items():
        np.testing.assert_array_equal(found[name], values)
        assert found[name].dtype == np.int64
    (examples,) = second.predict_log.request.inputs.values()
    assert tf.make_ndarray(examples).tolist() == texts.tolist()


def test_the_package_of_tensorflow_serving_reads_them():
    api = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")
    log = api.PredictionLog.FromString(prediction_log("lcn", "explain", {"age": np.array([7])}).SerializeToString())
    assert log.predict_log.request.model_spec.signature_name == "explain"
    assert list(log.predict_log.request.inputs) == ["age"]


def test_an_export_answers_its_warmup_requests(exported):
    records = tf.data.TFRecordDataset(str(exported.path / WARMUP_PATH)).as_numpy_iterator()
    requests = [log_class().FromString(record).predict_log.request for record in records]
    assert {request.model_spec.signature_name for request in requests} == set(exported.loaded.signatures)
    assert len(requests) <= MAX_RECORDS
    sizes = set()
    for request in requests[::5]:
        inputs = {name: tf.make_ndarray(value) for name, value in request.inputs.items()}
        answer = exported.serve(request.model_spec.signature_name, **inputs)
        if request.model_spec.signature_name != USER_STATE:
            assert np.isfinite(answer["probability"]).all()
            sizes.add(len(answer["probability"]))
    assert 1 in sizes


def test_records_that_make_very_many_requests_are_within_the_limit(tmp_path):
    """Every candidate sees another part of the histories: 400 requests, of which each signature had one message."""
    schema = synthetic.make_schema()
    group = synthetic.make_group(schema, np.random.default_rng(0), 1, 400, schema.lengths)
    for index in range(400):
        for history, hidden in zip(HISTORIES, (index % 5, index // 5 % 7, index // 35), strict=True):
            group[f"{history}_offset"][index] = hidden
    synthetic.write_records(tmp_path, groups={"train": 1, "validation": 1, "test": [group]}, shards=1)
    recorded = requests_from_records(RecordFiles.open(str(tmp_path)), "test", DATA, RECORDS, REQUESTS)
    logs = warmup_logs("lcn", ["serving_default", "serving_examples", "explain"], recorded)
    assert len(logs) == 3 * (REQUESTS + 1) <= MAX_RECORDS
    write_warmup(str(tmp_path), logs)
    with pytest.raises(ValueError, match="expected at most 1000 warm-up requests, .* got 1089"):
        write_warmup(str(tmp_path), logs * 11)
