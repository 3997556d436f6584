"""The requests of `docs/serving.md` are those that the exported signature takes, in all three forms."""

import collections
import json
import pathlib
import re
import runpy
import sys
import types

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2

from data_prep.config import PreparationConfig
from data_prep.taobao.config import TaobaoConfig, describe
from lcn_tf.models.requests import request_names
from lcn_tf.serving.signatures import build_signatures
from lcn_tf.serving.warmup import log_class, prediction_log
from tests.serving.conftest import small_model

PAGE = (pathlib.Path(__file__).resolve().parents[2] / "docs" / "serving.md").read_text(encoding="utf-8")
PYTHON, GRPC = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
(CURL,) = re.findall(r"```sh\n(curl .*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def schema():
    description = describe(TaobaoConfig())
    return description.schema(dict.fromkeys(description.vocabulary_names, 23), PreparationConfig())


@pytest.fixture(scope="module")
def folder(schema, tmp_path_factory):
    """Where the export of the page lies."""
    folder = tmp_path_factory.mktemp("clone")
    model = small_model(schema, objectives=())
    module = tf.Module()
    module.weights = model.variables
    tf.saved_model.save(module, str(folder / "runs" / "demo" / "saved_model" / "1"),
                        signatures=build_signatures(model))
    return folder


@pytest.fixture
def names(folder, monkeypatch):
    """What the page's first program leaves behind."""
    monkeypatch.chdir(folder)
    return run(PYTHON, folder)


def run(program, folder, **names):
    """What a program of the page leaves behind."""
    (folder / "program.py").write_text(program, encoding="utf-8")
    return runpy.run_path(str(folder / "program.py"), names)


def test_the_program_asks_for_what_the_schema_has(names, schema):
    assert set(names["request"]) == {name for part in request_names(schema) for name in part}
    probability = names["answer"]["probability"].numpy()
    assert probability.shape == (1, 3) and len(np.unique(probability)) == 3
    counts = {name: int(values[0]) for name, values in names["answer"].items() if name.startswith("warning")}
    assert len(counts) == 5 and not any(counts.values()), "the page shows a request without oddities"


def test_the_body_of_curl_gives_the_same_answer(names):
    """As TensorFlow Serving reads a columnar request: each list is a tensor of the type that the signature says."""
    match = re.fullmatch(r"curl http://localhost:8501/v1/models/lcn:predict -d '(.*)'\n", CURL, re.DOTALL)
    body = json.loads(match.group(1))
    assert set(body) == {"signature_name", "inputs"}
    signature = names["model"].signatures[body["signature_name"]]
    specs = signature.structured_input_signature[1]
    assert set(body["inputs"]) == set(specs)
    tensors = {name: tf.constant(values, specs[name].dtype) for name, values in body["inputs"].items()}
    assert all(specs[name].shape.is_compatible_with(tensor.shape) for name, tensor in tensors.items())
    np.testing.assert_array_equal(signature(**tensors)["probability"], names["answer"]["probability"])


def test_the_message_of_grpc_gives_the_same_answer(names, folder, monkeypatch):
    """Without the network and its package: what the program fills in goes into the message that servers read."""
    class PredictRequest:
        def __init__(self):
            self.model_spec, self.inputs = types.SimpleNamespace(), collections.defaultdict(tensor_pb2.TensorProto)

    class Stub:
        def __init__(self, channel):
            assert channel == "localhost:8500"

        def Predict(self, message, timeout):
            assert timeout > 0 and message.model_spec.name == "lcn"
            arrays = {name: tf.make_ndarray(value) for name, value in message.inputs.items()}
            log = prediction_log(message.model_spec.name, message.model_spec.signature_name, arrays)
            sent = log_class().FromString(log.SerializeToString()).predict_log.request
            inputs = {name: tf.constant(tf.make_ndarray(value)) for name, value in sent.inputs.items()}
            outputs = names["model"].signatures[sent.model_spec.signature_name](**inputs)
            return types.SimpleNamespace(outputs={name: tf.make_tensor_proto(value.numpy())
                                                  for name, value in outputs.items()})

    apis = types.ModuleType("tensorflow_serving.apis")
    apis.predict_pb2 = types.SimpleNamespace(PredictRequest=PredictRequest)
    apis.prediction_service_pb2_grpc = types.SimpleNamespace(PredictionServiceStub=Stub)
    monkeypatch.setitem(sys.modules, "tensorflow_serving", types.ModuleType("tensorflow_serving"))
    monkeypatch.setitem(sys.modules, "tensorflow_serving.apis", apis)
    monkeypatch.setitem(sys.modules, "grpc", types.SimpleNamespace(insecure_channel=lambda address: address))
    found = run(GRPC, folder, request=names["request"])
    np.testing.assert_array_equal(tf.make_ndarray(found["reply"].outputs["probability"]),
                                  names["answer"]["probability"])


def test_commands_and_links_of_the_page_exist():
    root = pathlib.Path(__file__).resolve().parents[2]
    for module in re.findall(r"python -m (experiments[\w.]+)", PAGE):
        assert root.joinpath(*module.split(".")).with_suffix(".py").exists(), module
    for token in re.findall(r"`((?:lcn_tf|experiments)/[\w./]+)`", PAGE):
        assert (root / token).exists(), token
    assert "docs/serving.md" in (root / "README.md").read_text(encoding="utf-8")
