"""Exports in OpenVINO's format: `model.xml` and `model.bin`.

All arithmetic is kept in float32: OpenVINO saves weights in 16 bits, and computes with 16 bits on processors that can,
unless it is told otherwise.
"""

from __future__ import annotations

import os
import re
from typing import Any

import numpy as np

from lcn_tf.checkpoint_folder import readable
from lcn_tf.serving.second_runtime import Answer, Arrays, ConversionError, SecondRuntime

MODEL = "model.xml"
_MOST_EVENTS = 2.0**22  # of a history: float32 tells such places apart
_UNKNOWN = re.compile(r"No conversion rule found for operations: (.*)")


def convert(export_path: str, folder: str) -> None:
    """Writes `serving_default` of an export as `model.xml` and `model.bin`."""
    openvino = _package()
    try:
        with readable(export_path) as path:
            core = openvino.Core()
            core.add_extension(_scatter_min_rule())
            model = core.read_model(path)
    except RuntimeError as error:
        unknown = _UNKNOWN.search(str(error))
        reason = f"OpenVINO has no operation {unknown[1]}" if unknown else f"OpenVINO: {' '.join(str(error).split())}"
        raise ConversionError(f"{export_path}: {reason}") from error
    _copy_at_branches(model)
    _break_ties_as_tensorflow(model)
    _read_codes_as_numbers(model)
    openvino.save_model(model, os.path.join(folder, MODEL), compress_to_fp16=False)


def load(folder: str, threads: int | None = None) -> Answer:
    """Reads a folder that `convert` has written, for the CPU."""
    openvino = _package()
    options = {"INFERENCE_PRECISION_HINT": "f32", **({} if threads is None else {"INFERENCE_NUM_THREADS": threads})}
    compiled = openvino.Core().compile_model(os.path.join(folder, MODEL), "CPU", options)
    inputs = {name for port in compiled.inputs for name in port.get_names()}
    outputs = {name: place for place, port in enumerate(compiled.outputs) for name in port.get_names()}

    def answer(request: Arrays) -> dict[str, np.ndarray]:
        found = compiled({name: values for name, values in request.items() if name in inputs})
        return {name: found[place] for name, place in outputs.items()}

    return answer


def _scatter_min_rule() -> Any:
    """How to convert `TensorScatterMin`, with which TWIN merges its heads' lists: OpenVINO has it, its frontend not."""
    from openvino import opset15
    from openvino.frontend.tensorflow import ConversionExtension

    def convert_node(node: Any) -> list[Any]:
        data, indices, updates = (node.get_input(place) for place in range(3))
        return [opset15.scatter_nd_update(data, indices, updates, "min").output(0)]

    return ConversionExtension("TensorScatterMin", convert_node)


def _copy_at_branches(model: Any) -> None:
    """Copies what the branches of every `If` result in, and what it results in.

    OpenVINO 2026.4 reads memory that is not filled yet where a result of an `If` is larger than in all requests before,
    and what it is made of or what follows shares its memory, as slices and sums do.
    """
    for operation in model.get_ordered_ops():
        if operation.get_type_name() != "If":
            continue
        for branch in (operation.get_function(0), operation.get_function(1)):
            _copy_at_branches(branch)
            for result in branch.get_results():
                result.input(0).replace_source_output(_copied(result.input_value(0)))
            branch.validate_nodes_and_infer_types()
        for output in operation.outputs():
            readers = list(output.get_target_inputs())
            copied = _copied(output)
            for reader in readers:
                reader.replace_source_output(copied)
    model.validate_nodes_and_infer_types()


def _break_ties_as_tensorflow(model: Any) -> None:
    """Makes every `TopK` take the first of equal numbers.

    Events of one item are equal in a search, and their contexts are not. OpenVINO keeps the order of equals only where
    it sorts values, which takes ten times as long. So that is for those that are asked to sort; the others look for the
    smallest value that is kept, and then for what is above it and for the first ones that equal it.
    """
    from openvino import opset13

    for operation in model.get_ordered_ops():
        if operation.get_type_name() != "TopK":
            continue
        asked, readers = operation.get_attributes(), [list(port.get_target_inputs()) for port in operation.outputs()]
        values, count = operation.input_value(0), operation.input_value(1)
        if asked["sort"] == "value" or readers[0] or asked["mode"] != "max":
            best = opset13.topk(values, count, asked["axis"], asked["mode"], "value",
                                index_element_type=asked["index_element_type"], stable=True)
        else:
            best = _first_of_equals(values, count, asked["axis"], asked["index_element_type"])
        for ports, new in zip(readers, best.outputs(), strict=True):
            for port in ports:
                port.replace_source_output(new)
    model.validate_nodes_and_infer_types()


def _first_of_equals(values: Any, count: Any, axis: int, index_type: str) -> Any:
    """A `TopK` along the last axis, of which only the indices count: the largest values, of equal ones the first.

    They come in any order.
    """
    from openvino import opset13

    def constant(number: float, dtype: Any = np.float32) -> Any:
        return opset13.constant(np.array(number, dtype))

    kept = opset13.topk(values, count, axis, "max", "none", index_element_type=index_type)
    least = opset13.reduce_min(kept.output(0), constant(axis, np.int64), keep_dims=True)
    length = opset13.gather(opset13.shape_of(values), constant(axis, np.int64), constant(0, np.int64))
    place = opset13.convert(opset13.range(constant(0, np.int64), length, constant(1, np.int64), "i64"), "f32")
    equal = opset13.select(opset13.equal(values, least), constant(0), constant(-_MOST_EVENTS))
    above = opset13.select(opset13.greater(values, least), constant(_MOST_EVENTS), equal)
    return opset13.topk(opset13.subtract(above, place), count, axis, "max", "none", index_element_type=index_type)


def _read_codes_as_numbers(model: Any) -> None:
    """Puts an operation that changes nothing behind every conversion of small integers, the codes of quantised tables.

    Otherwise OpenVINO takes a product of codes and step sizes for the weights of a quantised layer, and multiplies a
    single row with them in fewer bits.
    """
    from openvino import Type, opset13

    for operation in model.get_ordered_ops():
        if operation.get_type_name() != "Convert" or operation.input_value(0).get_element_type() not in (
                Type.i8, Type.i16) or operation.get_output_element_type(0) != Type.f32:
            continue
        readers = list(operation.output(0).get_target_inputs())
        numbers = opset13.maximum(operation.output(0), opset13.constant(np.array(-np.inf, np.float32)))
        for reader in readers:
            reader.replace_source_output(numbers.output(0))
    model.validate_nodes_and_infer_types()


def _copied(output: Any) -> Any:
    """The same values in memory of their own: all rows, gathered."""
    from openvino import opset13

    if output.get_partial_shape().rank == 0:
        return output
    zero, one = (opset13.constant(np.array(number, np.int64)) for number in (0, 1))
    rows = opset13.gather(opset13.shape_of(output), zero, zero)
    return opset13.gather(output, opset13.range(zero, rows, one, "i64"), zero).output(0)


def _package() -> Any:
    try:
        import openvino
    except ImportError as error:
        raise ConversionError("OpenVINO is not installed: pip install 'lcn-tf[openvino]'") from error
    return openvino


OPENVINO = SecondRuntime(convert, load)
