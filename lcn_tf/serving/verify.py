"""Reloads an export in a clean process without this package and compares its answers with the live model's.

As a command: `python -m lcn_tf.serving verify EXPORT_PATH`.
"""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping

import numpy as np

from lcn_tf.checkpoint_folder import readable

VERIFICATION_PATH = os.path.join("assets.extra", "verification.npz")
SIGNATURES = ("serving_default", "serving_examples")  # every export has these; others are compared where present
_PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "clean_process.py")


class VerificationError(RuntimeError):
    """An export that cannot be loaded, or that answers differently from the model it was made of."""


@dataclasses.dataclass(frozen=True)
class VerifyReport:
    """What was compared.

    Attributes:
      requests: recorded requests.
      candidates: their candidates, padding excluded.
      signatures: names of the signatures that were run.
      max_difference: largest absolute difference of a probability.
    """

    requests: int
    candidates: int
    signatures: tuple[str, ...]
    max_difference: float


def verify_export(export_path: str, tolerance: float = 1e-5) -> VerifyReport:
    """Runs every signature of an export on its recorded requests, on the CPU of a clean process.

    Args:
      export_path: a version written by `lcn_tf.serving.export.export_model`.
      tolerance: largest absolute difference allowed between an answer and the live model's probability.

    Raises:
      FileNotFoundError: no recorded requests under `export_path`.
      VerificationError: the export is damaged, does not load or run, or differs; the message names file, or signature,
        difference and index.
    """
    requests_path = os.path.join(export_path, VERIFICATION_PATH)
    expected, expected_mask, _ = read_recorded(requests_path)
    answers = _answers(export_path, requests_path)
    signatures = tuple(sorted({name.partition("/")[0] for name in answers} | set(SIGNATURES)))
    differences = [largest_difference(signature, answers, name, values, tolerance)
                   for signature in signatures for name, values in expected.items()]
    mask = answers["serving_examples/candidate_mask"]
    if not np.array_equal(mask, expected_mask):
        raise VerificationError(f"serving_examples: candidate_mask is {mask.tolist()}, expected "
                                f"{expected_mask.tolist()}")
    return VerifyReport(len(mask), int(mask.sum()), signatures, max(differences))


def read_recorded(requests_path: str) -> tuple[dict[str, np.ndarray], np.ndarray, dict[str, np.ndarray]]:
    """Reads the recorded requests of an export.

    Args:
      requests_path: its file `VERIFICATION_PATH`.

    Returns:
      expected: probabilities `[G, C]` float32 by output name.
      mask: bool `[G, C]`, False at padded candidates.
      request: what `serving_default` takes, int64 arrays by name.

    Raises:
      FileNotFoundError: no such file.
      VerificationError: another kind of file.
    """
    if not os.path.exists(requests_path):
        folder = os.path.dirname(os.path.dirname(requests_path))
        raise FileNotFoundError(f"{requests_path} does not exist: {folder} is not an exported version")
    try:
        with open(requests_path, "rb") as file, np.load(file) as arrays:
            of_labels = (name for name in arrays if name.endswith("_probability") and "/" not in name)
            expected = {name: arrays[name] for name in ("probability", *of_labels)}
            request = {name.partition("/")[2]: arrays[name] for name in arrays if name.startswith("request/")}
            return expected, arrays["candidate_mask"], request
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise VerificationError(f"{requests_path}: not the recorded requests of an export: {error}") from error


def read_examples(requests_path: str) -> list[bytes]:
    """What `serving_examples` takes, of the file that `read_recorded` reads."""
    with open(requests_path, "rb") as file, np.load(file) as arrays:
        content, ends = arrays["examples_bytes"].tobytes(), np.cumsum(arrays["examples_lengths"])
    return [content[start:end] for start, end in zip((0, *ends[:-1]), ends, strict=True)]


def _answers(export_path: str, requests_path: str) -> dict[str, np.ndarray]:
    """What the clean process answers, by `<signature>/<output>`."""
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "2"}
    with tempfile.TemporaryDirectory() as folder:
        answers_path = os.path.join(folder, "answers.npz")
        with readable(export_path) as path:
            command = [sys.executable, "-I", _PROGRAM, os.path.abspath(path), os.path.abspath(requests_path),
                       answers_path]
            done = subprocess.run(command, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, check=False)
        if done.returncode:
            raise VerificationError(f"{export_path}: the clean process ended with status {done.returncode}:\n"
                                    f"{done.stdout[-4000:]}")
        with np.load(answers_path) as arrays:
            return dict(arrays)


def largest_difference(signature: str, answers: Mapping[str, np.ndarray], name: str, expected: np.ndarray,
                       tolerance: float) -> float:
    """Largest absolute difference of an output of a signature, probabilities; a NaN counts as infinite.

    Raises:
      VerificationError: it exceeds the tolerance, or the signature's answer is missing or of another shape.
    """
    found = answers.get(f"{signature}/{name}")
    if found is None or found.shape != expected.shape:
        raise VerificationError(f"{signature}: {name} has the shape {None if found is None else found.shape}, "
                                f"expected {expected.shape}")
    difference = np.nan_to_num(np.abs(found.astype(np.float64) - expected), nan=np.inf)
    index = tuple(int(axis) for axis in np.unravel_index(np.argmax(difference), difference.shape))
    if difference[index] > tolerance:
        raise VerificationError(
            f"{signature}: {name}[{index[0]}, {index[1]}] (request, candidate) is {found[index]:.8g}, the live "
            f"model said {expected[index]:.8g}; the largest difference {difference[index]:.3g} exceeds {tolerance:g}")
    return float(difference[index])
