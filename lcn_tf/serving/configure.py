"""Measures an export and writes what TensorFlow Serving should run it with, beside it in `assets.extra`.

| file                           | what                                                                              |
|--------------------------------|-----------------------------------------------------------------------------------|
| `batching_parameters.txt`      | for `--enable_batching --batching_parameters_file`, see `lcn_tf.serving.batching` |
| `saved_model_config.pb`        | whether the server's TensorFlow optimises the graph: what was faster              |
| `tf_serving_warmup_requests`   | as before, and a batch of each allowed size for the signatures that take requests |

`saved_model_config.pb` is a `tensorflow.serving.SavedModelConfig` (saved_model_config.proto of TensorFlow Serving:
`session_overrides`, field 1; in it `disable_meta_optimizer`, field 3). The package `tensorflow-serving-api` does not
bring that message, so it is declared here, in a descriptor pool of its own.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import statistics
import threading
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import tensorflow as tf
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from lcn_tf.serving.batching import BatchingParameters, batching_parameters
from lcn_tf.serving.c_session import CSession
from lcn_tf.serving.signatures import EXAMPLES_INPUT, SERVING_DEFAULT, SERVING_EXAMPLES
from lcn_tf.serving.verify import VERIFICATION_PATH, read_examples, read_recorded
from lcn_tf.serving.warmup import WARMUP_PATH, log_class, prediction_log, write_warmup
from lcn_tf.whole_files import replacing, write_text

BATCHING_PATH = os.path.join("assets.extra", "batching_parameters.txt")
CONFIG_PATH = os.path.join("assets.extra", "saved_model_config.pb")
BATCH_SIZES = (1, 2, 4, 8, 16, 32)
_MORE_THAN_NOISE = 0.95  # of the optimised graph's time, that the graph as it is must stay below
_WARMUP = 2
_CALLERS = (2, 4, 8, 16, 32)


@dataclasses.dataclass(frozen=True)
class Measured:
    """Times of an export on this machine.

    Attributes:
      seconds: batch size -> median seconds of a run of `serving_default`.
      requests_per_second: callers at once -> requests that all of them answer in a second, one at a time each.
      unoptimized: time of a run without TensorFlow's optimisation of the graph over that with it, median over turns.
    """

    seconds: dict[int, float]
    requests_per_second: dict[int, float]
    unoptimized: float

    @property
    def optimize(self) -> bool:
        """Whether the graph should be optimised: unless it is faster as it is, by more than 5 %."""
        return self.unoptimized >= _MORE_THAN_NOISE


def measure(export_path: str, repeats: int = 20, sizes: Sequence[int] = BATCH_SIZES) -> Measured:
    """Times runs of an export's recorded requests; sizes take turns, and so do optimised and other runs.

    Args:
      export_path: a version.
      repeats: runs of each kind.
      sizes: requests in one run, 1 among them.
    """
    _, _, request = read_recorded(os.path.join(export_path, VERIFICATION_PATH))
    batches = {size: _rows(request, size) for size in sizes}
    session, plain = CSession(export_path), CSession(export_path, optimize=False)
    calls: dict[int | str, Callable[[], object]] = {
        size: functools.partial(session.run, SERVING_DEFAULT, batch) for size, batch in batches.items()}
    calls["plain"] = functools.partial(plain.run, SERVING_DEFAULT, batches[1])
    taken: dict[int | str, list[float]] = {name: [] for name in calls}
    for turn in range(-_WARMUP, repeats):
        for name, call in calls.items():
            started = time.perf_counter()
            call()
            if turn >= 0:
                taken[name].append(time.perf_counter() - started)
    cores = os.cpu_count() or 1
    callers = {1, cores, *(count for count in _CALLERS if count < cores)}
    throughput = {count: _throughput(calls[1], count, repeats) for count in sorted(callers)}
    for each in (session, plain):
        each.close()
    return Measured({size: statistics.median(taken[size]) for size in sizes}, throughput,
                    statistics.median(map(_divide, taken["plain"], taken[1])))


def configure_export(export_path: str, budget: float, repeats: int = 20) -> tuple[Measured, BatchingParameters]:
    """Measures an export and writes its files; see the module.

    Args:
      export_path: a version written by `lcn_tf.serving.export.export_model`.
      budget: seconds that a request may take at the server.
      repeats: runs of each kind.

    Raises:
      FileNotFoundError: `export_path` is no exported version.
      ValueError: fewer than one repeat, a budget that a run of one request exceeds or that is none, a warm-up file that
        is damaged or becomes longer than a server takes.
      SessionError: the export does not load.
    """
    if repeats < 1:
        raise ValueError(f"repeats must be at least 1, got {repeats}")
    measured = measure(export_path, repeats)
    parameters = batching_parameters(measured.seconds, measured.requests_per_second, budget)
    write_warmup(export_path, _warmup_of_sizes(export_path, parameters.allowed_batch_sizes))
    write_text(os.path.join(export_path, BATCHING_PATH), parameters.to_text())
    with replacing(os.path.join(export_path, CONFIG_PATH), "wb") as file:
        file.write(saved_model_config(measured.optimize))
    return measured, parameters


def saved_model_config(optimize: bool) -> bytes:
    """A serialized `tensorflow.serving.SavedModelConfig`."""
    message = config_class()()
    message.session_overrides.disable_meta_optimizer = not optimize
    return message.SerializeToString(deterministic=True)


def config_class() -> type:
    """The message class `tensorflow.serving.SavedModelConfig`, as far as it is written here."""
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="lcn_tf/serving/saved_model_config.proto", package="tensorflow.serving", syntax="proto2")
    file.message_type.add(name="SessionOverrides").field.add(
        name="disable_meta_optimizer", number=3, type=field.TYPE_BOOL, label=field.LABEL_OPTIONAL)
    file.message_type.add(name="SavedModelConfig").field.add(
        name="session_overrides", number=1, type=field.TYPE_MESSAGE, label=field.LABEL_OPTIONAL,
        type_name=".tensorflow.serving.SessionOverrides")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("tensorflow.serving.SavedModelConfig"))


def _warmup_of_sizes(export_path: str, sizes: Sequence[int]) -> list[object]:
    """The warm-up requests that an export has, and those of the sizes that it lacks."""
    path = os.path.join(export_path, WARMUP_PATH)
    message = log_class()
    records = tf.data.TFRecordDataset(path).as_numpy_iterator() if os.path.isfile(path) else ()
    try:
        logs = [message.FromString(record) for record in records]  # type: ignore[attr-defined]
    except (tf.errors.DataLossError, DecodeError) as error:
        raise ValueError(f"{path}: no file of warm-up requests: {error}") from error
    requests_path = os.path.join(export_path, VERIFICATION_PATH)
    _, _, request = read_recorded(requests_path)
    examples = read_examples(requests_path)
    if not logs:
        raise ValueError(f"{path}: no warm-up requests, which every export has; they name the model")
    name = logs[0].predict_log.request.model_spec.name
    known = {log.SerializeToString(deterministic=True) for log in logs}
    for size in sizes:
        rows = np.arange(size) % len(examples)
        texts = np.array([examples[row] for row in rows], dtype=object)
        for signature, inputs in ((SERVING_DEFAULT, _rows(request, size)), (SERVING_EXAMPLES, {EXAMPLES_INPUT: texts})):
            log = prediction_log(name, signature, inputs)
            if log.SerializeToString(deterministic=True) not in known:
                logs.append(log)
    return logs


def _rows(request: Mapping[str, np.ndarray], size: int) -> dict[str, np.ndarray]:
    """So many of the requests, from the first one on and from the first one again."""
    rows = np.arange(size) % len(next(iter(request.values())))
    return {name: values[rows] for name, values in request.items()}


def _throughput(call: Callable[[], object], callers: int, each: int) -> float:
    """Calls a second of several threads, each of which makes so many."""
    threads = [threading.Thread(target=lambda: [call() for _ in range(each)]) for _ in range(callers)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return callers * each / (time.perf_counter() - started)


def _divide(value: float, other: float) -> float:
    return value / other
