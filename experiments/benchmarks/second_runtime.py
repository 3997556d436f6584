"""How long scoring one user's candidates takes in OpenVINO and in ONNX Runtime, beside TensorFlow.

    python -m experiments.benchmarks.second_runtime [--lengths=500 --lengths=2000] [--output=second_runtime.json]

Of each long-term model: the signature `serving_default`, exported and converted as `python -m lcn_tf.serving convert`
does, on one request of one user with full histories. All runtimes have the same threads and take turns in one process;
TensorFlow is called through its C API, as servers do. Before times are taken, the answers must agree.
"""

from __future__ import annotations

import functools
import os
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

from absl import app, flags, logging

import lcn_tf  # noqa: F401  (chooses Keras 2 before TensorFlow is loaded)

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf

from command_line.text_table import align
from experiments.benchmarks import flags as common
from experiments.benchmarks import measure
from experiments.benchmarks.synthetic_batches import make_batch, make_schema
from lcn_tf.embeddings import EmbeddingConfig
from lcn_tf.models import ModelConfig, build_model
from lcn_tf.models.requests import request_names
from lcn_tf.serving.c_session import CSession
from lcn_tf.serving.convert import RUNTIMES
from lcn_tf.serving.export import weights_read
from lcn_tf.serving.second_runtime import Answer, ConversionError
from lcn_tf.serving.signatures import PROBABILITY, SERVING_DEFAULT, build_signatures

_MODELS = flags.DEFINE_multi_string("converted", ["sim", "lap"], "long-term models, once for each")
_NUM_CANDIDATES = flags.DEFINE_multi_integer("candidates", [100, 1000], "candidates of the request, once for each "
                                             "number", lower_bound=1)

TENSORFLOW = "tensorflow"
TOLERANCE = 1e-5


def main(argv: list[str]) -> None:
    """Runs the benchmark, prints its table and writes the JSON file; bad input ends in one line."""
    logging.set_verbosity(logging.WARNING)
    if len(argv) > 1:
        sys.exit(f"error: unexpected arguments {argv[1:]}")
    settings = {flag.name: flag.value for flag in (
        common.LENGTHS, _NUM_CANDIDATES, _MODELS, common.SHORT_LENGTH, common.NUM_ITEMS, common.EMBEDDING_DIM,
        common.STEPS)}
    try:
        figures = [figure for name in _MODELS.value for length in dict.fromkeys(common.LENGTHS.value)
                   for figure in measure_runtimes(name, length, common.SHORT_LENGTH.value, common.NUM_ITEMS.value,
                                                  common.EMBEDDING_DIM.value, _NUM_CANDIDATES.value,
                                                  common.STEPS.value)]
        measure.write_figures(common.OUTPUT.value or "second_runtime.json", settings, figures)
    except (OSError, ValueError, ConversionError) as error:
        sys.exit(f"error: {error}")
    print(report(figures))


def measure_runtimes(long_term: str, length: int, short_length: int, num_items: int, embedding_dim: int,
                     candidates: Sequence[int], steps: int) -> list[dict[str, Any]]:
    """The figures of one model and length: medians over the turns, and ratios within turns, by candidates.

    Raises:
      ConversionError: a runtime cannot take the model, or answers otherwise than TensorFlow.
    """
    schema = make_schema(num_items, short_length, length)
    model = build_model(schema, schema.lengths, ModelConfig(long_term=long_term, objectives=()),
                        embeddings=EmbeddingConfig(embedding_dim))
    model.build_weights()
    threads = os.cpu_count() or 1
    figures = []
    with tempfile.TemporaryDirectory(prefix="second-runtime-") as folder:
        export = os.path.join(folder, "export")
        signatures = build_signatures(model)
        module = tf.Module(name="click_model")
        module.inference_weights = weights_read(model.variables, signatures.values())
        tf.saved_model.save(module, export, signatures=signatures)
        session = CSession(export, threads)
        answers: dict[str, Answer] = {TENSORFLOW: functools.partial(session.run, SERVING_DEFAULT)}
        for name, runtime in RUNTIMES.items():
            target = os.path.join(folder, name)
            os.mkdir(target)
            runtime.convert(export, target)
            answers[name] = runtime.load(target, threads)
        for count in candidates:
            batch = make_batch(schema, 1, count)
            request = {name: batch[name].numpy() for part in request_names(schema) for name in part}
            expected = answers[TENSORFLOW](request)[PROBABILITY]
            for name, answer in answers.items():
                difference = float(np.abs(answer(request)[PROBABILITY] - expected).max())
                if not difference <= TOLERANCE:
                    raise ConversionError(f"{name} and {TENSORFLOW} differ by {difference:.2g} for {long_term}")
            calls = {name: functools.partial(answer, request) for name, answer in answers.items()}
            seconds = measure.durations(calls, steps)
            figures.append({
                "long_term": long_term, "lifelong_length": length, "candidates": count, "threads": threads,
                "runtimes": {name: {"seconds": statistics.median(own),
                                    "time_over_tensorflow": measure.ratio(own, seconds[TENSORFLOW])}
                             for name, own in seconds.items()}})
        session.close()
    return figures


def report(figures: Sequence[Mapping[str, Any]]) -> str:
    """The figures as text."""
    names = list(figures[0]["runtimes"])
    rows = [("model", "L", "candidates", *(f"{name} ms" for name in names),
             *(f"{name} / {TENSORFLOW}" for name in names if name != TENSORFLOW))]
    rows += [(one["long_term"], f"{one['lifelong_length']:,}", f"{one['candidates']:,}",
              *(f"{1e3 * one['runtimes'][name]['seconds']:,.1f}" for name in names),
              *(f"{one['runtimes'][name]['time_over_tensorflow']:.2f}" for name in names if name != TENSORFLOW))
             for one in figures]
    return "\n".join([*align(rows), "", f"{figures[0]['threads']} threads each; time over TensorFlow's within turns"])


if __name__ == "__main__":
    app.run(main)
