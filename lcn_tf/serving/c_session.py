"""An export in TensorFlow's C API, as servers run it: no Python between the request's arrays and the answer's.

Calls release Python's lock, so that several threads are answered at once. The functions are those of
`tensorflow/c/c_api.h` and `tensorflow/c/tf_tensor.h`, from the library in TensorFlow's wheel.
"""

from __future__ import annotations

import ctypes
import functools
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import config_pb2, meta_graph_pb2

from lcn_tf.checkpoint_folder import readable

_STRING_BYTES = 24  # sizeof(TF_TString)
_POINTER, _SIZE, _INT, _TEXT = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_char_p


class SessionError(RuntimeError):
    """An export cannot be loaded, or a request cannot be answered; the message is TensorFlow's where it says so."""


class _Buffer(ctypes.Structure):
    _fields_ = [("data", _POINTER), ("length", _SIZE), ("deallocator", _POINTER)]


class _Output(ctypes.Structure):
    _fields_ = [("operation", _POINTER), ("index", _INT)]


class CSession:
    """The signatures of an export.

    Args:
      export_path: a version's folder.
      threads: of one operation and of operations side by side; None: as many as the machine has cores.
      optimize: whether TensorFlow rewrites the graph when it runs for the first time (Grappler).

    Raises:
      SessionError: the export does not load.
    """

    def __init__(self, export_path: str, threads: int | None = None, optimize: bool = True):
        self.path = export_path
        api = _api()
        config = config_pb2.ConfigProto()
        config.intra_op_parallelism_threads = config.inter_op_parallelism_threads = threads or 0
        config.use_per_session_threads = threads is not None
        config.graph_options.rewrite_options.disable_meta_optimizer = not optimize
        content = config.SerializeToString()
        options = api.TF_NewSessionOptions()
        buffer = api.TF_NewBuffer()
        self._graph = api.TF_NewGraph()
        self._session = None
        try:
            with _status() as status, readable(export_path) as path:
                api.TF_SetConfig(options, content, len(content), status)
                self._session = api.TF_LoadSessionFromSavedModel(
                    options, None, path.encode(), (_TEXT * 1)(b"serve"), 1, self._graph, buffer, status)
            meta = _Buffer.from_address(buffer)
            definition = meta_graph_pb2.MetaGraphDef.FromString(ctypes.string_at(meta.data, meta.length))
        except SessionError:
            api.TF_DeleteGraph(self._graph)
            raise
        finally:
            api.TF_DeleteBuffer(buffer)
            api.TF_DeleteSessionOptions(options)
        self._signatures = {name: ({key: self._place(info.name) for key, info in signature.inputs.items()},
                                   {key: self._place(info.name) for key, info in signature.outputs.items()})
                            for name, signature in definition.signature_def.items() if signature.method_name}

    @property
    def signatures(self) -> tuple[str, ...]:
        """Names of the signatures that `run` takes."""
        return tuple(self._signatures)

    def run(self, signature: str, request: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Answers a request.

        Args:
          signature: its name.
          request: arrays by input name; objects of bytes for strings.

        Raises:
          SessionError: an unknown signature, an input too few, or TensorFlow refuses the request.
        """
        api = _api()
        if signature not in self._signatures:
            raise SessionError(f"{self.path}: no signature {signature!r}; it has {', '.join(sorted(self._signatures))}")
        inputs, outputs = self._signatures[signature]
        if lacking := sorted(set(inputs).difference(request)):
            raise SessionError(f"{self.path}: the request for {signature} has no {', '.join(lacking)}")
        tensors: list[Any] = []
        results = (_POINTER * len(outputs))()
        try:
            tensors.extend(_tensor_of(np.asarray(request[name])) for name in inputs)
            with _status() as status:
                api.TF_SessionRun(
                    self._session, None, (_Output * len(inputs))(*inputs.values()),
                    (_POINTER * len(inputs))(*tensors), len(inputs), (_Output * len(outputs))(*outputs.values()),
                    results, len(outputs), None, 0, None, status)
            return {name: _array_of(tensor) for name, tensor in zip(outputs, results, strict=True)}
        finally:
            for tensor in (*tensors, *(result for result in results if result)):
                api.TF_DeleteTensor(tensor)

    def close(self) -> None:
        """Frees the weights; no call may be running or follow."""
        api = _api()
        if self._session:
            with _status() as status:
                api.TF_CloseSession(self._session, status)
            with _status() as status:
                api.TF_DeleteSession(self._session, status)
            api.TF_DeleteGraph(self._graph)
            self._session = None

    def _place(self, name: str) -> _Output:
        operation, _, index = name.partition(":")
        return _Output(_api().TF_GraphOperationByName(self._graph, operation.encode()), int(index or 0))


def _tensor_of(values: np.ndarray) -> Any:
    """A tensor with a copy of an array."""
    api = _api()
    dtype = tf.string if values.dtype == object else tf.as_dtype(values.dtype)
    size = values.size * _STRING_BYTES if dtype == tf.string else values.nbytes
    sizes = (ctypes.c_int64 * values.ndim)(*values.shape)
    tensor = api.TF_AllocateTensor(dtype.as_datatype_enum, sizes, values.ndim, size)
    data = api.TF_TensorData(tensor)
    if dtype == tf.string:
        for place, text in enumerate(values.ravel()):
            api.TF_StringInit(data + place * _STRING_BYTES)
            api.TF_StringCopy(data + place * _STRING_BYTES, text, len(text))
    elif size:
        ctypes.memmove(data, np.ascontiguousarray(values).ctypes.data, size)
    return tensor


def _array_of(tensor: Any) -> np.ndarray:
    """A copy of a tensor of numbers."""
    api = _api()
    shape = [api.TF_Dim(tensor, axis) for axis in range(api.TF_NumDims(tensor))]
    dtype = tf.as_dtype(api.TF_TensorType(tensor)).as_numpy_dtype
    content = ctypes.string_at(api.TF_TensorData(tensor), api.TF_TensorByteSize(tensor)) if 0 not in shape else b""
    return np.frombuffer(content, dtype).reshape(shape)


@contextmanager
def _status() -> Iterator[Any]:
    """A status to hand to a function.

    Raises:
      SessionError: the function has set another one than "fine".
    """
    api = _api()
    status = api.TF_NewStatus()
    try:
        yield status
        if api.TF_GetCode(status):
            raise SessionError(api.TF_Message(status).decode(errors="replace"))
    finally:
        api.TF_DeleteStatus(status)


@functools.cache
def _api() -> Any:
    """TensorFlow's library with the types of the functions that are used here."""
    name = "libtensorflow_cc.2.dylib" if sys.platform == "darwin" else "libtensorflow_cc.so.2"
    library = ctypes.CDLL(os.path.join(tf.sysconfig.get_lib(), name))
    functions: dict[str, tuple[Any, Sequence[Any]]] = {
        "TF_NewStatus": (_POINTER, ()), "TF_DeleteStatus": (None, (_POINTER,)), "TF_GetCode": (_INT, (_POINTER,)),
        "TF_Message": (_TEXT, (_POINTER,)), "TF_NewBuffer": (_POINTER, ()), "TF_DeleteBuffer": (None, (_POINTER,)),
        "TF_NewGraph": (_POINTER, ()), "TF_DeleteGraph": (None, (_POINTER,)),
        "TF_NewSessionOptions": (_POINTER, ()), "TF_DeleteSessionOptions": (None, (_POINTER,)),
        "TF_SetConfig": (None, (_POINTER, _TEXT, _SIZE, _POINTER)),
        "TF_LoadSessionFromSavedModel": (_POINTER, (_POINTER, _POINTER, _TEXT, _POINTER, _INT, _POINTER, _POINTER,
                                                    _POINTER)),
        "TF_CloseSession": (None, (_POINTER, _POINTER)), "TF_DeleteSession": (None, (_POINTER, _POINTER)),
        "TF_GraphOperationByName": (_POINTER, (_POINTER, _TEXT)),
        "TF_SessionRun": (None, (_POINTER, _POINTER, _POINTER, _POINTER, _INT, _POINTER, _POINTER, _INT, _POINTER, _INT,
                                 _POINTER, _POINTER)),
        "TF_AllocateTensor": (_POINTER, (_INT, _POINTER, _INT, _SIZE)), "TF_DeleteTensor": (None, (_POINTER,)),
        "TF_TensorData": (_POINTER, (_POINTER,)), "TF_TensorByteSize": (_SIZE, (_POINTER,)),
        "TF_TensorType": (_INT, (_POINTER,)), "TF_NumDims": (_INT, (_POINTER,)),
        "TF_Dim": (ctypes.c_int64, (_POINTER, _INT)), "TF_StringInit": (None, (_POINTER,)),
        "TF_StringCopy": (None, (_POINTER, _TEXT, _SIZE)),
    }
    for name, (result, arguments) in functions.items():
        function = getattr(library, name)  # which ctypes keeps as an attribute, with its types
        function.restype, function.argtypes = result, list(arguments)
    return library
