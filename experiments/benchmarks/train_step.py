"""How many impressions a training step takes per second, beside the plain reference and the memory traffic it must do.

    python -m experiments.benchmarks.train_step [--lengths=500 --lengths=2000] [--output=train_step.json]

Batches in memory (`synthetic_batches`: one item field, Zipf law, full histories), steps as `fit` traces them. Whatever
is measured takes turns in one process: the models, the plain LCN-200-50 (`plain_lcn`, flat, Keras' Adam) at the same
length, table and number of impressions, and the memory-traffic floor (`MemoryFloor`) of the model's own batch. Peak
memory is measured in processes of their own: what model, optimiser, batch and steps add at most to TensorFlow itself.

The plain reference needs most: --noreference leaves it out, as where tables are large (six times the table with both).

    --lengths=500 --lengths=1000 --lengths=2000 --lengths=4000 --lengths=8000 --batch_size=256   # linear in L?
    --table_rows=100000 --table_rows=10000000 --lengths=500 --layout=flat --noreference          # any table size?
    --long_term=lap --long_term=sim --long_term=eta --long_term=sdim --long_term=twin --long_term=none
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import itertools
import multiprocessing
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from absl import app, flags, logging

import lcn_tf  # noqa: F401  (chooses Keras 2 before TensorFlow is loaded)

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf

from data_prep.text_table import align
from experiments.benchmarks import flags as common
from experiments.benchmarks import measure
from experiments.benchmarks.plain_lcn import PlainLCN, compile_plain
from experiments.benchmarks.synthetic_batches import ITEM, LAYOUTS, Batch, make_batch, make_schema, signature
from lcn_tf.embeddings import EmbeddingConfig
from lcn_tf.models import ModelConfig, build_model
from lcn_tf.models.registry import components
from lcn_tf.schema import HISTORIES
from lcn_tf.training import TrainConfig, compile_model

_LONG_TERM = flags.DEFINE_multi_enum(
    "long_term", ["lap"], components("long_term"), "model of the lifelong history, once for each; lap with CRP "
    "(LCN-200-50), the others without")
_LENGTHS = flags.DEFINE_multi_integer(
    "lengths", [500, 2000], "events of the lifelong history, once for each length", lower_bound=1)
_TABLE_ROWS = flags.DEFINE_multi_integer("table_rows", [200_000], "rows of the item table, once for each number",
                                         lower_bound=3)
_LAYOUT = flags.DEFINE_multi_enum("layout", list(LAYOUTS), LAYOUTS, "layout of the batches, once for each")
_CANDIDATES = flags.DEFINE_integer("candidates", 4, "candidates of a request in grouped batches", lower_bound=1)
_OPTIMIZER = flags.DEFINE_enum("optimizer", "row_sparse_adam", ["adam", "row_sparse_adam", "adagrad"],
                               "optimiser of the models; the plain reference has Keras' Adam")
_CONTEXT = flags.DEFINE_boolean("context", True, "events have a type and a time gap, as the Taobao data")
_REFERENCE = flags.DEFINE_boolean("reference", True, "measure the plain reference")
_MEMORY = flags.DEFINE_boolean("memory", True, "measure peak memory")

PLAIN = "plain"

_MEMORY_STEPS = 3


@dataclasses.dataclass(frozen=True)
class Sizes:
    """What all cases have in common."""

    batch_size: int
    candidates: int
    short_length: int
    embedding_dim: int
    optimizer: str
    context: bool


@dataclasses.dataclass(frozen=True, order=True)
class Case:
    """What is trained: a `long_term` model or `PLAIN`, and on what."""

    length: int
    table_rows: int
    layout: str
    long_term: str

    @property
    def reference(self) -> Case:
        """The plain reference of this case."""
        return dataclasses.replace(self, layout="flat", long_term=PLAIN)


class Steps:
    """Training steps of one case over one batch, and their floor."""

    def __init__(self, sizes: Sizes, case: Case):
        schema = make_schema(case.table_rows, sizes.short_length, case.length, sizes.context)
        candidates = 1 if case.layout == "flat" else sizes.candidates
        self.batch = make_batch(schema, sizes.batch_size // candidates, candidates)
        if case.long_term == PLAIN:
            self.model = PlainLCN(schema, sizes.embedding_dim)
            compile_plain(self.model, {name: values[:1] for name, values in self.batch.items()})
        else:
            objectives = ("crp",) if case.long_term == "lap" else ()
            self.model = build_model(schema, {name: schema.lengths[name] for name in HISTORIES},
                                     ModelConfig(long_term=case.long_term, objectives=objectives),
                                     embeddings=EmbeddingConfig(embedding_dim=sizes.embedding_dim))
            compile_model(self.model, TrainConfig(optimizer=sizes.optimizer))
        specs = signature(schema, self.batch, case.layout)
        self._step = tf.function(self.model.train_step, input_signature=[specs])

    def __call__(self) -> float:
        """One step; returns the running loss when the step is done."""
        metrics = self._step(self.batch)
        return float(metrics["loss"]) + float(metrics["auc"])


class MemoryFloor:
    """The memory traffic that no training step on these ids can do without, as plainly as TensorFlow allows.

    Rows are D float32 wide; of the lifelong history's B L ids, U are different.

    - Forward: one gather of all B L rows from the table (B L rows read at random, as many written one after the
      other), and one read of them: their inner products with a vector for each request, from which a scalar is kept.
    - Backward: one more read of the B L rows, as the contributions of all positions to the gradient, and their
      scatter-add into U rows (B L rows read and written at random).

    In all five times B L D numbers, B L ids beside them. Not in it, because known beforehand: which ids are different.
    """

    def __init__(self, batch: Batch, table_rows: int, embedding_dim: int):
        self._ids = batch[f"lifelong_source_{ITEM}"]  # [B, L]
        unique, places = tf.unique(tf.reshape(self._ids, [-1]), tf.int64)
        self._places = places  # [B L]
        width = [embedding_dim]
        self._table = tf.Variable(tf.random.stateless_normal([table_rows, *width], [1, 2]), trainable=False)
        self._gradient = tf.Variable(tf.zeros([tf.size(unique), *width]), trainable=False)  # [U, D]
        self._queries = tf.random.stateless_normal([tf.shape(self._ids)[0], *width, 1], [1, 3])

    @tf.function
    def _run(self) -> tf.Tensor:
        history = tf.gather(self._table, self._ids)  # [B, L, D]
        products = tf.matmul(history, self._queries)  # [B, L, 1]
        contributions = tf.reshape(history, [-1, history.shape[-1]])
        self._gradient.scatter_add(tf.IndexedSlices(contributions, self._places))
        return tf.reduce_sum(products)

    def __call__(self) -> float:
        """All of it once; returns when it is done."""
        return float(self._run())


def main(argv: list[str]) -> None:
    """Runs the benchmark, prints its table and writes the JSON file; bad input ends in one line."""
    logging.set_verbosity(logging.WARNING)
    if len(argv) > 1:
        sys.exit(f"error: unexpected arguments {argv[1:]}")
    settings = {flag.name: flag.value for flag in (
        _LONG_TERM, _LENGTHS, _TABLE_ROWS, _LAYOUT, _CANDIDATES, _OPTIMIZER, _CONTEXT, _REFERENCE, _MEMORY,
        common.BATCH_SIZE, common.SHORT_LENGTH, common.EMBEDDING_DIM, common.STEPS)}
    sizes = Sizes(common.BATCH_SIZE.value, _CANDIDATES.value, common.SHORT_LENGTH.value, common.EMBEDDING_DIM.value,
                  _OPTIMIZER.value, _CONTEXT.value)
    products = itertools.product(_LENGTHS.value, _TABLE_ROWS.value, _LAYOUT.value, _LONG_TERM.value)
    cases = [Case(*values) for values in dict.fromkeys(products)]
    try:
        figures = measure_steps(sizes, cases, common.STEPS.value, _REFERENCE.value, _MEMORY.value)
        measure.write_figures(common.OUTPUT.value or "train_step.json", settings, figures)
    except (OSError, RuntimeError, ValueError) as error:
        sys.exit(f"error: {error}")
    print(report(figures))


def measure_steps(sizes: Sizes, cases: Sequence[Case], steps: int, reference: bool = True, memory: bool = True
                  ) -> list[dict[str, Any]]:
    """The figures of the cases and, before those it is the measure of, of each plain reference.

    Medians over the turns, ratios within turns.

    Raises:
      RuntimeError: a process that measured memory was killed.
      ValueError: the batch size is no multiple of the candidates where batches are grouped.
    """
    if any(case.layout == "grouped" for case in cases) and sizes.batch_size % sizes.candidates:
        raise ValueError(f"--batch_size must be a multiple of --candidates, got {sizes.batch_size} and "
                         f"{sizes.candidates}")
    if reference:
        cases = sorted(cases, key=_reference_of)
        cases = list(dict.fromkeys(part for case in cases for part in (case.reference, case)))
    peaks = {case: _in_own_process(peak_bytes, sizes, case) if memory else None for case in cases}
    calls: dict[Any, Callable[[], float]] = {}
    for case in cases:
        calls[case] = Steps(sizes, case)
        calls.setdefault(_floor_of(case), MemoryFloor(calls[case].batch, case.table_rows, sizes.embedding_dim))
    seconds = measure.durations(calls, steps)
    return [figures_of(case, sizes, seconds, peaks[case]) for case in cases]


def figures_of(case: Case, sizes: Sizes, seconds: Mapping[Any, np.ndarray], peak: int | None) -> dict[str, Any]:
    """The figures of a case, of the seconds of all cases and floors."""
    own, floor, plain = seconds[case], seconds[_floor_of(case)], seconds.get(case.reference)
    return {
        "long_term": case.long_term, "layout": case.layout, "lifelong_length": case.length,
        "table_rows": case.table_rows, "steps": len(own), "seconds": statistics.median(own),
        "impressions_per_second": sizes.batch_size / statistics.median(own),
        "speed_over_plain": None if plain is None else measure.ratio(plain, own),
        "floor_seconds": statistics.median(floor), "over_floor": measure.ratio(own, floor), "peak_bytes": peak}


def peak_bytes(sizes: Sizes, case: Case) -> int:
    """What training adds at most to the memory of this process; to be the first thing that the process does."""
    tf.function(lambda: tf.matmul(tf.ones([2, 2]), tf.ones([2, 2])))()  # loads what anything needs
    before = measure.resident_bytes()
    with measure.PeakMemory() as memory:
        steps, number = Steps(sizes, case), 0
        ends = time.perf_counter() + 1.0  # for the samples to meet the peak of quick steps
        while number < _MEMORY_STEPS or time.perf_counter() < ends:
            steps()
            number += 1
    return memory.bytes - before


def report(figures: Sequence[Mapping[str, Any]]) -> str:
    """The figures as text."""
    rows = [("model", "layout", "L", "table rows", "ms", "impressions/s", "over plain", "over floor", "peak MiB")]
    rows += [(_NAMES.get(one["long_term"], one["long_term"]), one["layout"], f"{one['lifelong_length']:,}",
              f"{one['table_rows']:,}", f"{1e3 * one['seconds']:.1f}", f"{one['impressions_per_second']:,.0f}",
              "" if one["speed_over_plain"] is None else f"{one['speed_over_plain']:.2f}", f"{one['over_floor']:.2f}",
              "" if one["peak_bytes"] is None else f"{one['peak_bytes'] / 2**20:,.0f}") for one in figures]
    return "\n".join(align(rows, left=2))


_NAMES = {"lap": "lap + crp", PLAIN: "plain lap + crp"}


def _reference_of(case: Case) -> Case:
    return case.reference


def _floor_of(case: Case) -> tuple[Any, ...]:
    """What distinguishes floors: every model of a batch has the same one."""
    return "floor", case.length, case.table_rows, case.layout


def _in_own_process(function: Callable[..., int], *arguments: Any) -> int:
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=spawn) as process:
        return process.submit(function, *arguments).result()


if __name__ == "__main__":
    app.run(main)
