"""Peak memory of training LCN: what the formula of `lcn_tf.training.memory` says, and what is measured.

    python -m experiments.benchmarks.memory [--batch_size=512] [--lengths=2000] [--output=memory.json]

LCN-200-50 with CRP on random full batches. Each line changes something of the first, and is a few steps in a process of
its own: the most that they add to what is resident once TensorFlow is loaded. With --fit, the constants of the formula
that fit the lines best follow.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from absl import app, flags, logging

import lcn_tf  # noqa: F401  (chooses Keras 2 before TensorFlow is loaded)

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import scipy.optimize
import tensorflow as tf

from command_line.text_table import align
from experiments.benchmarks import flags as common
from experiments.benchmarks import measure
from experiments.benchmarks.synthetic_batches import make_batch, make_schema, signature
from lcn_tf.embeddings import EmbeddingConfig
from lcn_tf.models import ModelConfig, build_model
from lcn_tf.models.registry import component
from lcn_tf.training import TrainConfig, compile_model
from lcn_tf.training.memory import Constants, Sizes, training_bytes


def _grouped(first: Sizes, candidates: int) -> dict[str, Any]:
    return {"requests": -(-first.requests // candidates), "candidates": candidates}


CHANGES: dict[str, Callable[[Sizes], dict[str, Any]]] = {
    "flat": lambda first: {},
    "flat, 4 microbatches": lambda first: {"microbatches": 4},
    "flat, 16 microbatches": lambda first: {"microbatches": 16},
    "flat, half the batch": lambda first: {"requests": first.requests // 2},
    "flat, half the width": lambda first: {"embedding_dim": first.embedding_dim // 2},
    "flat, 500 and 100 kept": lambda first: {"msa_top_k": 500, "fsa_top_k": 100},
    "flat, adam": lambda first: {"optimizer": "adam"},
    "flat, 5 times the rows, 4 microbatches": lambda first: {"table_rows": 5 * first.table_rows, "microbatches": 4},
    "flat, 5 times the rows, 4 microbatches, adam": lambda first: {
        "table_rows": 5 * first.table_rows, "microbatches": 4, "optimizer": "adam"},
    "4 candidates": lambda first: _grouped(first, 4),
    "4 candidates, 4 microbatches": lambda first: {**_grouped(first, 4), "microbatches": 4},
    "16 candidates": lambda first: _grouped(first, 16),
}

_LINES = flags.DEFINE_multi_enum("line", list(CHANGES), list(CHANGES), "lines of the table; all by default")
_FIT = flags.DEFINE_boolean("fit", False, "print the formula's constants that fit the lines best")

_STEPS = 3  # from the second one on, the optimiser's temporary tensors are in memory already


def main(argv: list[str]) -> None:
    """Runs the benchmark, prints its table and writes the JSON file; bad input ends in one line."""
    logging.set_verbosity(logging.WARNING)
    if len(argv) > 1:
        sys.exit(f"error: unexpected arguments {argv[1:]}")
    settings = {flag.name: flag.value for flag in (
        _LINES, common.BATCH_SIZE, common.LENGTHS, common.SHORT_LENGTH, common.NUM_ITEMS, common.EMBEDDING_DIM)}
    try:
        figures = [measure_line(name, dataclasses.replace(first, **CHANGES[name](first)))
                   for first in map(first_line, dict.fromkeys(common.LENGTHS.value)) for name in _LINES.value]
        measure.write_figures(common.OUTPUT.value or "memory.json", settings, figures)
    except (OSError, RuntimeError) as error:
        sys.exit(f"error: {error}")
    print(report(figures))
    if _FIT.value:
        print("\n".join(f"{name}: {value:.1f}" for name, value in dataclasses.asdict(fitted(figures)).items()))


def first_line(lifelong_length: int) -> Sizes:
    """The sizes that the flags and the schema of `synthetic_batches` say, U still unknown."""
    return Sizes(
        requests=common.BATCH_SIZE.value, candidates=1, lifelong_length=lifelong_length,
        short_length=common.SHORT_LENGTH.value, embedding_dim=common.EMBEDDING_DIM.value, item_fields=1,
        context_fields=2, msa_top_k=200, fsa_top_k=50, table_rows=common.NUM_ITEMS.value, unique_ids=0,
        optimizer="row_sparse_adam")


def measure_line(name: str, sizes: Sizes) -> dict[str, Any]:
    """The figures of one line.

    Raises:
      RuntimeError: the process that measured was killed.
    """
    unique_ids, measured = measure.in_own_process(measured_bytes, sizes)
    sizes = dataclasses.replace(sizes, unique_ids=unique_ids)
    predicted = training_bytes(sizes)
    return {"line": name, "predicted_bytes": predicted, "measured_bytes": measured,
            "predicted_over_measured": predicted / measured, "sizes": dataclasses.asdict(sizes)}


def measured_bytes(sizes: Sizes) -> tuple[int, int]:
    """U of a random batch, and what training on it adds at most to the memory of this process; to be called first."""
    schema = make_schema(sizes.table_rows, sizes.short_length, sizes.lifelong_length)
    configs = {
        ("long_term", "lap"): dataclasses.replace(
            component("long_term", "lap").Config(), msa_top_k=sizes.msa_top_k, fsa_top_k=sizes.fsa_top_k)}
    before = measure.resident_bytes()
    with measure.PeakMemory() as memory:
        batch = make_batch(schema, sizes.requests, sizes.candidates)
        model = build_model(schema, schema.lengths, ModelConfig(long_term="lap", objectives=("crp",)), configs,
                            EmbeddingConfig(embedding_dim=sizes.embedding_dim))
        compile_model(model, TrainConfig(optimizer=sizes.optimizer, microbatches=sizes.microbatches))
        layout = "flat" if sizes.candidates == 1 else "grouped"
        step = tf.function(model.train_step, input_signature=[signature(schema, batch, layout)])
        for _ in range(_STEPS):
            float(step(batch)["loss"])
    ids = [values.numpy().ravel() for name, values in batch.items() if name.endswith(schema.item[0].name)]
    return len(np.unique(np.concatenate(ids))), memory.bytes - before


def fitted(figures: Sequence[dict[str, Any]]) -> Constants:
    """The constants with the smallest squared relative error."""
    names = [field.name for field in dataclasses.fields(Constants)]
    sizes = [Sizes(**one["sizes"]) for one in figures]
    measured = np.array([one["measured_bytes"] for one in figures], np.float64)

    def errors(values: np.ndarray) -> np.ndarray:
        constants = Constants(**dict(zip(names, values, strict=True)))
        return np.array([training_bytes(one, constants) for one in sizes]) / measured - 1

    start = np.array(dataclasses.astuple(Constants()))
    found = scipy.optimize.least_squares(errors, start, bounds=(0, np.inf), x_scale=np.maximum(start, 1)).x
    return Constants(**{name: float(value) for name, value in zip(names, found, strict=True)})


def report(figures: Sequence[dict[str, Any]]) -> str:
    """The figures as text."""
    rows = [("line", "L", "predicted MiB", "measured MiB", "predicted/measured")]
    rows += [(one["line"], f"{one['sizes']['lifelong_length']:,}", measure.mebibytes(one["predicted_bytes"]),
              measure.mebibytes(one["measured_bytes"]), f"{one['predicted_over_measured']:.2f}") for one in figures]
    return "\n".join(align(rows))


if __name__ == "__main__":
    app.run(main)
