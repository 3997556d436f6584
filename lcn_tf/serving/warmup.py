"""Warm-up requests: what TF Serving replays when it loads a version, so that no user waits for the first run.

The file `assets.extra/tf_serving_warmup_requests` is a TFRecord of `tensorflow.serving.PredictionLog`, at most
`MAX_RECORDS` of them: each recorded request alone and all of them in one batch, for every signature. The messages are
declared here with the field numbers of tensorflow_serving/apis (prediction_log.proto, predict.proto, model.proto), in a
descriptor pool of their own, so that neither that package is needed nor its presence disturbs.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from tensorflow.core.framework import tensor_pb2

from lcn_tf.serving.recorded_requests import RecordedRequests
from lcn_tf.serving.signatures import EXAMPLES_INPUT, SERVING_EXAMPLES

MAX_RECORDS = 1_000  # TF Serving does not load a version with more
WARMUP_PATH = os.path.join("assets.extra", "tf_serving_warmup_requests")
_PACKAGE = "tensorflow.serving"
_STRING = descriptor_pb2.FieldDescriptorProto.TYPE_STRING
_MESSAGE = descriptor_pb2.FieldDescriptorProto.TYPE_MESSAGE


def prediction_log(model_name: str, signature: str, inputs: Mapping[str, np.ndarray]) -> Any:
    """A `PredictionLog` message of one request.

    Args:
      model_name: of the model's specification; TF Serving takes the model being loaded, whatever the name.
      signature: which signature to run.
      inputs: arrays by input name; bytes objects for strings.
    """
    log = log_class()()
    request = log.predict_log.request
    request.model_spec.name = model_name
    request.model_spec.signature_name = signature
    for name, values in inputs.items():
        request.inputs[name].ParseFromString(tf.make_tensor_proto(values).SerializeToString())
    return log


def warmup_logs(model_name: str, signatures: Iterable[str], recorded: RecordedRequests) -> list[Any]:
    """Each request alone, then all together, for every signature."""
    rows = [slice(row, row + 1) for row in range(len(recorded.examples))]
    logs = []
    for signature in signatures:
        for row in (*rows, slice(None)):
            if signature == SERVING_EXAMPLES:
                inputs = {EXAMPLES_INPUT: np.array(recorded.examples[row], dtype=object)}
            else:
                inputs = {name: values[row] for name, values in recorded.tensors.items()}
            logs.append(prediction_log(model_name, signature, inputs))
    return logs


def write_warmup(export_path: str, logs: Sequence[Any]) -> None:
    """Writes the warm-up file of an export.

    Raises:
      ValueError: more than `MAX_RECORDS` messages.
    """
    if len(logs) > MAX_RECORDS:
        raise ValueError(f"expected at most {MAX_RECORDS} warm-up requests, which is what TF Serving accepts, got "
                         f"{len(logs)}")
    path = os.path.join(export_path, WARMUP_PATH)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with tf.io.TFRecordWriter(f"{path}.partial") as writer:
        for log in logs:
            writer.write(log.SerializeToString(deterministic=True))
    os.replace(f"{path}.partial", path)


def log_class() -> type:
    """The message class `tensorflow.serving.PredictionLog`, as far as warm-up requests need it."""
    pool = descriptor_pool.DescriptorPool()
    _add_with_dependencies(pool, tensor_pb2.DESCRIPTOR)
    file = descriptor_pb2.FileDescriptorProto(
        name="lcn_tf/serving/prediction_log.proto", package=_PACKAGE, syntax="proto3",
        dependency=[tensor_pb2.DESCRIPTOR.name])
    _add_message(file.message_type, "ModelSpec", [("name", 1, _STRING, ""), ("signature_name", 3, _STRING, "")])
    request = _add_message(file.message_type, "PredictRequest", [("model_spec", 1, _MESSAGE, f".{_PACKAGE}.ModelSpec")])
    entry = _add_message(request.nested_type, "InputsEntry", [
        ("key", 1, _STRING, ""), ("value", 2, _MESSAGE, ".tensorflow.TensorProto")])
    entry.options.map_entry = True
    _add_field(request, "inputs", 2, _MESSAGE, f".{_PACKAGE}.PredictRequest.InputsEntry", repeated=True)
    _add_message(file.message_type, "PredictLog", [("request", 1, _MESSAGE, f".{_PACKAGE}.PredictRequest")])
    _add_message(file.message_type, "PredictionLog", [("predict_log", 6, _MESSAGE, f".{_PACKAGE}.PredictLog")])
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.PredictionLog"))


def _add_with_dependencies(pool: descriptor_pool.DescriptorPool, file: Any) -> None:
    """Copies a file's declarations and those it imports into a pool; adding the same file twice changes nothing."""
    for dependency in file.dependencies:
        _add_with_dependencies(pool, dependency)
    declarations = descriptor_pb2.FileDescriptorProto()
    file.CopyToProto(declarations)
    pool.Add(declarations)


def _add_message(messages: Any, name: str, fields: list[tuple[str, int, int, str]]) -> Any:
    message = messages.add(name=name)
    for field in fields:
        _add_field(message, *field)
    return message


def _add_field(message: Any, name: str, number: int, kind: int, type_name: str, repeated: bool = False) -> None:
    labels = descriptor_pb2.FieldDescriptorProto
    message.field.add(name=name, number=number, type=kind, type_name=type_name or None,
                      label=labels.LABEL_REPEATED if repeated else labels.LABEL_OPTIONAL)
