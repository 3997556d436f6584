"""How many impressions a training step takes per second, beside the plain reference and the memory traffic it must do.

    python -m experiments.benchmarks.train_step [--lengths=500 --lengths=2000] [--output=train_step.json]

Batches in memory (`synthetic_batches`: one item field, Zipf law, full histories), steps as `fit` traces them. Whatever
is measured takes turns in one process: the models, the plain LCN-200-50 (`plain_lcn`, flat, Keras' Adam) at the same
length, table and number of impressions, and the memory-traffic floor (`MemoryFloor`) of the model's own batch. Peak
memory is measured in processes of their own: what model, optimiser, batch and steps add at most to TensorFlow itself.
Where the time goes is what TensorFlow's profiler says of each model's operations, which run beside each other, so that
they sum up to more than the step.

The plain reference needs the most memory, and --noreference leaves it out. Where tables are large, mind that each model
holds its table and two moments. Of tables of several sizes, all batches read as many ids as the smallest has, spread
over each.

    --lengths=500 --lengths=1000 --lengths=2000 --lengths=4000 --lengths=8000 --batch_size=256   # linear in L?
    --table_rows=100000 --table_rows=10000000 --lengths=500 --layout=flat --noreference          # any table size?
    --long_term=lap --long_term=sim --long_term=eta --long_term=sdim --long_term=twin --long_term=none
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, get_args

from absl import app, flags, logging

import lcn_tf  # noqa: F401  (chooses Keras 2 before TensorFlow is loaded)

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf

from command_line.text_table import align
from experiments.benchmarks import flags as common
from experiments.benchmarks import measure
from experiments.benchmarks.memory_floor import MemoryFloor
from experiments.benchmarks.op_times import by_part, op_seconds, table
from experiments.benchmarks.plain_lcn import PlainLCN, compile_plain
from experiments.benchmarks.synthetic_batches import LAYOUTS, make_batch, make_schema, signature
from lcn_tf.embeddings import EmbeddingConfig
from lcn_tf.models import ModelConfig, build_model
from lcn_tf.models.registry import components
from lcn_tf.ops import joint_attention, row_gradients
from lcn_tf.schema import FIRST_ID
from lcn_tf.training import TrainConfig, compile_model

Optimizer = Literal["adam", "row_sparse_adam", "adagrad"]

_LONG_TERM = flags.DEFINE_multi_enum(
    "long_term", ["lap"], components("long_term"), "model of the lifelong history, once for each; lap with CRP "
    "(LCN-200-50), the others without")
_TABLE_ROWS = flags.DEFINE_multi_integer("table_rows", [200_000], "rows of the item table, once for each number",
                                         lower_bound=3)
_LAYOUT = flags.DEFINE_multi_enum("layout", list(LAYOUTS), LAYOUTS, "layout of the batches, once for each")
_CANDIDATES = flags.DEFINE_integer("candidates_per_request", 4, "candidates of a request in grouped batches",
                                   lower_bound=1)
_OPTIMIZER = flags.DEFINE_enum("optimizer", "row_sparse_adam", get_args(Optimizer),
                               "optimiser of the models; the plain reference has Keras' Adam")
_CONTEXT = flags.DEFINE_boolean("context", True, "events have a type and a time gap, as the Taobao data")
_REFERENCE = flags.DEFINE_boolean("reference", True, "measure the plain reference")

PLAIN = "plain"

PARTS = {  # name scopes of what the profiler finds, forward and backward
    "optimiser": ("RowSparseAdam", "Adam", "Adagrad"), "sums of gradients by row": (row_gradients.SCOPE,),
    "DIN of the short histories": ("din",), "best events of CSA": ("best_of_csa",),
    "CSA and MSA": (joint_attention.SCOPE, "csa", "msa"), "best events of MSA": ("best_of_msa",), "FSA": ("fsa",),
    "LAP's norms, the rest of it": ("lap",), "CRP": ("crp",), "tower": ("tower",)}

_MEMORY_STEPS = 3


@dataclasses.dataclass(frozen=True)
class Sizes:
    """What all cases have in common."""

    batch_size: int
    candidates: int
    short_length: int
    embedding_dim: int
    optimizer: Optimizer
    context: bool
    law_ids: int | None = None


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
    """Training steps of one case over one batch."""

    def __init__(self, sizes: Sizes, case: Case):
        schema = make_schema(case.table_rows, sizes.short_length, case.length, sizes.context)
        candidates = 1 if case.layout == "flat" else sizes.candidates
        self.batch = make_batch(schema, sizes.batch_size // candidates, candidates, law_ids=sizes.law_ids)
        if case.long_term == PLAIN:
            self.model = PlainLCN(schema, sizes.embedding_dim)
            compile_plain(self.model, {name: values[:1] for name, values in self.batch.items()})
        else:
            objectives = ("crp",) if case.long_term == "lap" else ()
            self.model = build_model(schema, schema.lengths, ModelConfig(case.long_term, objectives=objectives),
                                     embeddings=EmbeddingConfig(sizes.embedding_dim))
            compile_model(self.model, TrainConfig(optimizer=sizes.optimizer))
        specs = signature(schema, self.batch, case.layout)
        self._step = tf.function(self.model.train_step, input_signature=[specs])

    def __call__(self) -> float:
        """One step; returns the running loss when the step is done."""
        metrics = self._step(self.batch)
        return float(metrics["loss"]) + float(metrics["auc"])


def main(argv: list[str]) -> None:
    """Runs the benchmark, prints its table and writes the JSON file; bad input ends in one line."""
    logging.set_verbosity(logging.WARNING)
    if len(argv) > 1:
        sys.exit(f"error: unexpected arguments {argv[1:]}")
    settings = {flag.name: flag.value for flag in (
        _LONG_TERM, common.LENGTHS, _TABLE_ROWS, _LAYOUT, _CANDIDATES, _OPTIMIZER, _CONTEXT, _REFERENCE,
        common.MEMORY, common.BATCH_SIZE, common.SHORT_LENGTH, common.EMBEDDING_DIM, common.STEPS)}
    sizes = Sizes(common.BATCH_SIZE.value, _CANDIDATES.value, common.SHORT_LENGTH.value, common.EMBEDDING_DIM.value,
                  _OPTIMIZER.value, _CONTEXT.value, law_ids=min(_TABLE_ROWS.value) - FIRST_ID)
    products = itertools.product(common.LENGTHS.value, _TABLE_ROWS.value, _LAYOUT.value, _LONG_TERM.value)
    cases = [Case(*values) for values in dict.fromkeys(products)]
    try:
        figures = measure_steps(sizes, cases, common.STEPS.value, _REFERENCE.value, common.MEMORY.value)
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
        raise ValueError(f"--batch_size must be a multiple of --candidates_per_request, got {sizes.batch_size} and "
                         f"{sizes.candidates}")
    if reference:
        cases = sorted(cases, key=_reference_of)
        cases = list(dict.fromkeys(part for case in cases for part in (case.reference, case)))
    peaks = {case: measure.in_own_process(peak_bytes, sizes, case) if memory else None for case in cases}
    tables = {rows: tf.Variable(tf.ones([rows, sizes.embedding_dim])) for rows in {case.table_rows for case in cases}}
    calls: dict[Any, Callable[[], float]] = {}
    for case in cases:
        calls[case] = training = Steps(sizes, case)
        if _floor_of(case) not in calls:
            calls[_floor_of(case)] = MemoryFloor(training.batch, tables[case.table_rows])
    seconds = measure.durations(calls, steps)
    parts = {case: by_part(op_seconds(calls[case], steps), PARTS) for case in cases if case.long_term != PLAIN}
    return [{**figures_of(case, sizes, seconds), "peak_bytes": peaks[case], "parts": parts.get(case)} for case in cases]


def figures_of(case: Case, sizes: Sizes, seconds: Mapping[Any, np.ndarray]) -> dict[str, Any]:
    """The figures of a case, given the seconds of all cases and floors; None where there is nothing to compare with."""
    own, floor = seconds[case], seconds[_floor_of(case)]
    alike = [other for other in seconds if isinstance(other, Case) and other.long_term == case.long_term]
    lengths = [other for other in alike if dataclasses.replace(other, length=case.length) == case]
    smallest = min(other for other in alike if dataclasses.replace(other, table_rows=case.table_rows) == case)
    flat = dataclasses.replace(case, layout="flat")
    return {
        "long_term": case.long_term, "layout": case.layout, "lifelong_length": case.length,
        "table_rows": case.table_rows, "steps": len(own), "seconds": statistics.median(own),
        "impressions_per_second": sizes.batch_size / statistics.median(own),
        "speed_over_plain": measure.ratio(seconds[case.reference], own) if case.reference in seconds else None,
        "speed_over_flat": measure.ratio(seconds[flat], own) if flat in seconds and flat != case else None,
        "over_floor": measure.ratio(own, floor), "floor_seconds": statistics.median(floor),
        "over_line": over_line(case, {other: seconds[other] for other in lengths}) if len(lengths) > 2 else None,
        "over_smallest_table": measure.ratio(own, seconds[smallest]) if smallest != case else None}


def over_line(case: Case, seconds: Mapping[Case, np.ndarray]) -> float:
    """Step time of one of at least three lengths over the line `a + b L` nearest, in proportion, to all of theirs."""
    lengths = [other.length for other in seconds]
    medians = np.array([statistics.median(values) for values in seconds.values()])
    line = np.polynomial.Polynomial.fit(lengths, medians, 1, w=1 / medians)
    return float(statistics.median(seconds[case]) / line(case.length))


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
    """The figures as text, without columns of which none is known."""
    columns: dict[str, Callable[[Mapping[str, Any]], str]] = {
        "model": lambda one: _NAMES.get(one["long_term"], one["long_term"]),
        "layout": lambda one: one["layout"],
        "L": lambda one: f"{one['lifelong_length']:,}",
        "table rows": lambda one: f"{one['table_rows']:,}",
        "ms": lambda one: f"{1e3 * one['seconds']:,.0f}",
        "impressions/s": lambda one: f"{one['impressions_per_second']:,.0f}",
        "speed over plain": lambda one: _rounded(one["speed_over_plain"]),
        "speed over flat": lambda one: _rounded(one["speed_over_flat"]),
        "ms floor": lambda one: f"{1e3 * one['floor_seconds']:,.0f}",
        "over floor": lambda one: _rounded(one["over_floor"]),
        "over line in L": lambda one: _rounded(one["over_line"]),
        "over smallest table": lambda one: _rounded(one["over_smallest_table"]),
        "peak MiB": lambda one: measure.mebibytes(one["peak_bytes"])}
    cells = [[name, *map(cell, figures)] for name, cell in columns.items()]
    parts = {" ".join(cell(one) for name, cell in columns.items() if name in ("model", "layout", "L", "table rows")):
             one["parts"] for one in figures if one["parts"]}
    return "\n".join([*align(list(zip(*(column for column in cells if any(column[1:])), strict=True)), left=2),
                      "", "Where the time goes:", *table(parts)])


_NAMES = {"lap": "lap + crp", PLAIN: "plain lap + crp"}


def _rounded(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.2f}"


def _reference_of(case: Case) -> Case:
    return case.reference


def _floor_of(case: Case) -> tuple[Any, ...]:
    """What distinguishes floors: every model of a batch has the same one."""
    return "floor", case.length, case.table_rows, case.layout


if __name__ == "__main__":
    app.run(main)
