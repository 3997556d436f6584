"""Requests that a server has logged: TFRecords of `tensorflow.serving.PredictionLog`, plain or gzipped."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.framework import tensor_pb2

from lcn_tf.data import tfrecords
from lcn_tf.models.requests import request_names
from lcn_tf.schema import PADDING_ID, FeatureSchema
from lcn_tf.serving.signatures import EXAMPLES_INPUT
from lcn_tf.serving.user_state import STATE_SIGNATURES
from lcn_tf.serving.warmup import log_class

Values = dict[str, list[int]]


def read_requests(path: str, schema: FeatureSchema) -> Iterator[Values]:
    """The requests of a file, one user's at a time: name of `request_names` -> its integers, without padding.

    Args:
      path: a file, gzipped or not, of requests with whole histories; those of user states
        (`lcn_tf.serving.user_state`), which have none, and other messages than predictions are passed over.
      schema: of the model that was asked.

    Raises:
      FileNotFoundError: no such file.
      ValueError: a file, record or input that is none; the message names file, record (from 1) and input.
    """
    for where, inputs in _logs(path):
        yield from _requests(schema, inputs, where)


def asked_schema(path: str, schema: FeatureSchema) -> FeatureSchema:
    """The schema of the model that was asked: that of the records, without extra histories that it does not read.

    Args:
      path: as of `read_requests`.
      schema: of the records.

    Raises:
      FileNotFoundError, ValueError: as of `read_requests`.
    """
    where, inputs = next(_logs(path), (path, {}))
    names = set(inputs)
    if EXAMPLES_INPUT in inputs:
        names = {name for features in _examples(inputs, where) for name in features}
    return schema.reading(extra=[history for history in schema.histories
                                 if names.intersection(schema.history_names(history))])


def _logs(path: str) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    """Where each request of a file is, in words, and its inputs."""
    if not os.path.isfile(path):
        raise FileNotFoundError(f"{path}: no such file of logged requests")
    message: Any = log_class()
    number = 0
    try:
        for number, record in enumerate(tfrecords.in_order([path]).as_numpy_iterator(), start=1):
            request = message.FromString(record).predict_log.request
            inputs = {name: tf.make_ndarray(_tensor(tensor)) for name, tensor in request.inputs.items()}
            if inputs and request.model_spec.signature_name not in STATE_SIGNATURES:
                yield f"{path}, record {number}", inputs
    except (tf.errors.DataLossError, DecodeError) as error:
        raise ValueError(f"{path}, record {number + 1}: not a logged request: {error}") from error


def _tensor(tensor: Any) -> tensor_pb2.TensorProto:
    """The message as TensorFlow's own class, not that of the pool that logs are read with."""
    return tensor_pb2.TensorProto.FromString(tensor.SerializeToString())


def _requests(schema: FeatureSchema, inputs: Mapping[str, np.ndarray], where: str) -> Iterator[Values]:
    users, impressions, histories = request_names(schema)
    if EXAMPLES_INPUT in inputs:
        for features in _examples(inputs, where):
            _check(features, (*users, *impressions, *histories), where)
            lists = {name: list(features[name].int64_list.value) for name in (*users, *impressions, *histories)}
            for names in (impressions, *(schema.history_names(history) for history in schema.histories)):
                real = [value != PADDING_ID for value in lists[names[0]]]
                if odd := [name for name in names if len(lists[name]) != len(real)]:
                    raise ValueError(f"{where}: {odd[0]} has {len(lists[odd[0]])} values, {names[0]} has {len(real)}")
                lists |= {name: list(itertools.compress(lists[name], real)) for name in names}
            yield lists
        return
    _check(inputs, (*users, *impressions, *histories), where)
    for names in (users, impressions, *(schema.history_names(history) for history in schema.histories)):
        for name in names:
            expected = (*inputs["timestamp"].shape[:1], *inputs[names[0]].shape[1:])
            if inputs[name].shape != expected or inputs[name].dtype.kind != "i":
                raise ValueError(f"{where}: {name} must be integers of shape {expected}, as {names[0]}, got "
                                 f"{inputs[name].dtype} {inputs[name].shape}")
    for row in range(len(inputs["timestamp"])):
        request = {name: [int(inputs[name][row])] for name in users}
        for names in (impressions, *(schema.history_names(history) for history in schema.histories)):
            real = np.asarray(inputs[names[0]][row]) != PADDING_ID
            request.update({name: np.asarray(inputs[name][row])[real].tolist() for name in names})
        yield request


def _examples(inputs: Mapping[str, np.ndarray], where: str) -> Iterator[Mapping[str, Any]]:
    """The features of each `tf.train.Example` of a request."""
    for place, example in enumerate(inputs[EXAMPLES_INPUT].ravel().tolist()):
        try:
            features = tf.train.Example.FromString(example).features.feature
        except (DecodeError, TypeError) as error:
            raise ValueError(f"{where}: {EXAMPLES_INPUT} {place} is no tf.train.Example: {error}") from error
        yield features


def _check(found: Mapping[str, object], wanted: tuple[str, ...], where: str) -> None:
    lacking = [name for name in wanted if name not in found]
    if lacking:
        raise ValueError(f"{where}: the request has no {', '.join(lacking)}; it has {', '.join(sorted(found))}")
