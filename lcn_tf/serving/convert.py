"""An export for a second runtime, checked against the requests that the export has recorded.

| in `output_dir/`                                  | what                                                      |
|---------------------------------------------------|-----------------------------------------------------------|
| `model.xml` and `model.bin`, or `model.onnx`      | `serving_default`, every size free                        |
| `README.md`, `schema.json`, `vocabularies/`       | as in the export's `assets.extra`                         |
| `verification.npz`                                | recorded requests and the answers of the model            |

A converted model leaves out checks of shapes: tensors of one part that differ in size end in an error of the runtime,
or in nonsense. Everything else, warnings included, is answered as by TensorFlow.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Iterator, Mapping

import numpy as np

from lcn_tf.models.requests import request_names
from lcn_tf.schema import PADDING_ID, FeatureSchema
from lcn_tf.serving.onnx_model import ONNX
from lcn_tf.serving.openvino_model import OPENVINO
from lcn_tf.serving.second_runtime import Answer, ConversionError, SecondRuntime
from lcn_tf.serving.verify import VERIFICATION_PATH, largest_difference, read_recorded
from lcn_tf.serving.warmup import WARMUP_PATH

RUNTIMES: Mapping[str, SecondRuntime] = {"onnx": ONNX, "openvino": OPENVINO}


@dataclasses.dataclass(frozen=True)
class ConvertReport:
    """What was converted and compared.

    Attributes:
      path: folder of the converted model.
      runtime: its name.
      requests: recorded requests, each answered alone and all together.
      candidates: their candidates, padding excluded.
      max_difference: largest absolute difference of a probability.
      bytes: of the converted model's files.
    """

    path: str
    runtime: str
    requests: int
    candidates: int
    max_difference: float
    bytes: int


def convert_export(export_path: str, runtime: str, output_dir: str, tolerance: float = 1e-5) -> ConvertReport:
    """Converts `serving_default`; `output_dir` is there whole and checked, or not at all.

    Args:
      export_path: a version written by `lcn_tf.serving.export.export_model`.
      runtime: one of `RUNTIMES`.
      output_dir: folder to create.
      tolerance: largest absolute difference allowed between an answer and the model's probability.

    Raises:
      FileExistsError: `output_dir` is there.
      FileNotFoundError: `export_path` is not an exported version.
      ValueError: an unknown runtime.
      ConversionError: the runtime is not installed, or does not know an operation, which the message names.
      VerificationError: answers differ; the message names output, difference and index.
    """
    if runtime not in RUNTIMES:
        raise ValueError(f"runtime must be one of {', '.join(RUNTIMES)}, got {runtime!r}")
    if os.path.exists(output_dir):
        raise FileExistsError(f"{output_dir} exists already")
    requests_path = os.path.join(export_path, VERIFICATION_PATH)
    expected, mask, request = read_recorded(requests_path)
    extra = os.path.dirname(requests_path)
    output_dir = os.path.abspath(output_dir)
    partial = os.path.join(os.path.dirname(output_dir), f".{os.path.basename(output_dir)}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    os.makedirs(partial)
    try:
        RUNTIMES[runtime].convert(export_path, partial)
        size = sum(os.path.getsize(os.path.join(partial, name)) for name in os.listdir(partial))
        answer = RUNTIMES[runtime].load(partial, None)
        difference = _compare(runtime, answer, FeatureSchema.load(extra), request, expected, mask, tolerance)
        shutil.copytree(extra, partial, ignore=shutil.ignore_patterns(os.path.basename(WARMUP_PATH)),
                        dirs_exist_ok=True)
        os.rename(partial, output_dir)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return ConvertReport(output_dir, runtime, len(mask), int(mask.sum()), difference, size)


def alone(schema: FeatureSchema, request: Mapping[str, np.ndarray], row: int) -> dict[str, np.ndarray]:
    """One request of a batch as its user would send it: without the padding that the others need."""
    users, impressions, _ = request_names(schema)
    found = {name: request[name][row:row + 1] for name in users}
    for names in (impressions, *(schema.history_names(history) for history in schema.histories)):
        size = int((request[names[0]][row] != PADDING_ID).sum())
        found.update({name: request[name][row:row + 1, :size] for name in names})
    return found


def _compare(runtime: str, answer: Answer, schema: FeatureSchema, request: Mapping[str, np.ndarray],
             expected: Mapping[str, np.ndarray], mask: np.ndarray, tolerance: float) -> float:
    """Largest difference over every request alone, in sizes of its own, and then all together."""
    def parts() -> Iterator[tuple[str, Mapping[str, np.ndarray], Mapping[str, np.ndarray]]]:
        for row, candidates in enumerate(mask.sum(axis=1)):
            own = {name: values[row:row + 1, :candidates] for name, values in expected.items()}
            yield f"{runtime}, request {row} alone", alone(schema, request, row), own
        yield f"{runtime}, all requests", request, expected

    worst = 0.0
    for part, given, own in parts():
        try:
            found = {f"{part}/{name}": values for name, values in answer(given).items()}
        except Exception as error:  # each runtime has errors of its own
            raise ConversionError(f"{part}: {' '.join(str(error).split())}") from error
        for name, values in own.items():
            worst = max(worst, largest_difference(part, found, name, values, tolerance))
    return worst
