"""Exports as ONNX: `model.onnx`, converted by tf2onnx, answered by ONNX Runtime."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from lcn_tf.checkpoint_folder import readable
from lcn_tf.serving.second_runtime import Answer, Arrays, ConversionError, SecondRuntime

MODEL = "model.onnx"
OPSET = 18
MOST_BYTES = 2**31 - 1  # of a file of protocol buffers, which ONNX's are
# Of tf2onnx. Left out is `BackToBackOptimizer`: version 1.17 joins two reshapes in a row also where the second says
# "keep this size of the first".
_OPTIMIZERS = ("TransposeOptimizer", "ConstFoldOptimizer", "LoopOptimizer", "MergeDuplicatedNodesOptimizer",
               "ReshapeOptimizer", "IdentityOptimizer")


def convert(export_path: str, folder: str) -> None:
    """Writes `serving_default` of an export as `model.onnx`."""
    tf2onnx, onnx, _ = _packages()
    import tensorflow as tf
    from tf2onnx import optimizer, tf_loader, tfonnx

    from lcn_tf.serving.signatures import SERVING_DEFAULT

    weights = os.path.join(export_path, "variables")
    size = sum(os.path.getsize(os.path.join(weights, name)) for name in os.listdir(weights))
    if size > MOST_BYTES:
        raise ConversionError(f"{export_path}: weights of {size:,} bytes, and an ONNX file holds {MOST_BYTES:,}")
    with readable(export_path) as path:
        graph, inputs, outputs, tables, names = tf_loader.from_saved_model(
            path, None, None, "serve", [SERVING_DEFAULT], return_initialized_tables=True,
            return_tensors_to_rename=True)
    try:
        with tf.Graph().as_default() as frozen:
            tf.import_graph_def(graph, name="")
            made = tfonnx.process_tf_graph(frozen, opset=OPSET, input_names=inputs, output_names=outputs,
                                           tensors_to_rename=names, initialized_tables=tables)
    except (ValueError, RuntimeError) as error:
        raise ConversionError(f"{export_path}: tf2onnx: {' '.join(str(error).split())}") from error
    optimizers = {name: vars(optimizer)[name] for name in _OPTIMIZERS}
    model = optimizer.optimize_graph(made, optimizers=optimizers).make_model(
        f"{SERVING_DEFAULT}, by tf2onnx {tf2onnx.__version__}")
    unknown = sorted({node.op_type for node in _nodes(model.graph) if not onnx.defs.has(node.op_type, node.domain)})
    if unknown:
        raise ConversionError(f"{export_path}: ONNX has no operation {', '.join(unknown)}")
    onnx.save(model, os.path.join(folder, MODEL))


def load(folder: str, threads: int | None = None) -> Answer:
    """Reads a folder that `convert` has written, for the CPU."""
    _, _, onnxruntime = _packages()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors alone
    if threads is not None:
        options.intra_op_num_threads = threads
    path = os.path.join(folder, MODEL)
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors have no base of their own
        raise ConversionError(f"{path}: ONNX Runtime: {' '.join(str(error).split())}") from error
    inputs = {port.name for port in session.get_inputs()}
    outputs = [port.name for port in session.get_outputs()]

    def answer(request: Arrays) -> dict[str, np.ndarray]:
        given = {name: values for name, values in request.items() if name in inputs}
        return dict(zip(outputs, session.run(outputs, given), strict=True))

    return answer


def _nodes(graph: Any) -> Iterator[Any]:
    """Every node of a graph and of the graphs within its nodes."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
                yield from _nodes(inner)


def _packages() -> tuple[Any, Any, Any]:
    try:
        import onnx
        import onnxruntime
        import tf2onnx
    except ImportError as error:
        raise ConversionError("tf2onnx or ONNX Runtime is not installed: pip install 'lcn-tf[onnx]'") from error
    return tf2onnx, onnx, onnxruntime


ONNX = SecondRuntime(convert, load)
