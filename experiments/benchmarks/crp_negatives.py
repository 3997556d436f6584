"""What M negatives cost CRP: time of a forward and backward pass, and peak memory, beside all pairs taken at once.

    python -m experiments.benchmarks.crp_negatives [--output=crp_negatives.json]

Two random short histories of each user, item ids drawn from a Zipf law, one table; the gradient is that of the table.
All passes take turns in one process. Peak memory is measured in a process of its own for each M and version: what the
passes add at most to what is resident before, the table included.
"""

from __future__ import annotations

import dataclasses
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from absl import app, flags

import lcn_tf  # noqa: F401  (chooses Keras 2 before TensorFlow is loaded)

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf

from command_line.text_table import align
from experiments.benchmarks import flags as common
from experiments.benchmarks import measure
from lcn_tf.layers.crp import ItemHistory, crp_loss

_NEGATIVES = flags.DEFINE_multi_integer("negatives", [256, 1024, 4096, 8192, 16384, 32768, 65536],
                                        "M negative pairs of each term, once for each M", lower_bound=1)
_CHUNK_SIZE = flags.DEFINE_integer("chunk_size", 8192, "pairs compared at a time", lower_bound=1)

_MEMORY_SECONDS = 2.0  # passes are repeated so long, for the samples to meet the peak


@dataclasses.dataclass(frozen=True)
class Sizes:
    """Sizes of the inputs, as the flags say."""

    batch_size: int
    short_length: int
    num_items: int
    embedding_dim: int


class Passes:
    """Forward and backward passes of CRP over one batch."""

    def __init__(self, sizes: Sizes):
        rng = np.random.default_rng(1)
        popularity = 1.0 / np.arange(1, sizes.num_items + 1)
        shape = [sizes.batch_size, sizes.short_length]
        ids = rng.choice(sizes.num_items, [2, *shape], p=popularity / popularity.sum())
        self.histories = [ItemHistory({"item": tf.constant(history)}, tf.ones(shape, tf.bool)) for history in ids]
        self.users = tf.range(sizes.batch_size)
        self.table = tf.Variable(tf.random.stateless_normal([sizes.num_items, sizes.embedding_dim], [1, 2]))

    def of(self, num_negatives: int, chunk_size: int) -> Callable[[], float]:
        """A call that makes one pass, with pairs that no pass before it had, and returns when it is done."""
        number = tf.Variable(0, dtype=tf.int64)

        @tf.function
        def run() -> tf.Tensor:
            seed = tf.stack([tf.constant(1, tf.int64), number.assign_add(1)])
            with tf.GradientTape() as tape:
                losses = crp_loss(*self.histories, lambda ids: tf.nn.embedding_lookup(self.table, ids["item"]),
                                  self.users, tf.ones_like(self.users, tf.bool)[:, tf.newaxis], seed,
                                  num_negatives=num_negatives, chunk_size=chunk_size)
                total = tf.add_n(list(losses.values()))
            return total + tf.reduce_sum(tape.gradient(total, self.table).values)

        traced = run.get_concrete_function()
        return lambda: float(traced())


def peak_bytes(sizes: Sizes, num_negatives: int, chunk_size: int) -> int:
    """What passes add at most to the memory of this process; to be the first thing that the process does."""
    passes = Passes(sizes)
    passes.of(2, 2)()  # loads what any pass needs
    before = measure.resident_bytes()
    with measure.PeakMemory() as memory:
        call, ends = passes.of(num_negatives, chunk_size), time.perf_counter() + _MEMORY_SECONDS
        call()
        while time.perf_counter() < ends:
            call()
    return memory.bytes - before


def main(argv: list[str]) -> None:
    """Runs the benchmark, prints its table and writes the JSON file; bad input ends in one line."""
    if len(argv) > 1:
        sys.exit(f"error: unexpected arguments {argv[1:]}")
    settings = {flag.name: flag.value for flag in (
        _NEGATIVES, common.BATCH_SIZE, common.SHORT_LENGTH, common.NUM_ITEMS, common.EMBEDDING_DIM, _CHUNK_SIZE,
        common.STEPS)}
    sizes = Sizes(common.BATCH_SIZE.value, common.SHORT_LENGTH.value, common.NUM_ITEMS.value,
                  common.EMBEDDING_DIM.value)
    try:
        figures = measure_negatives(sizes, sorted(set(_NEGATIVES.value)), _CHUNK_SIZE.value, common.STEPS.value)
        measure.write_figures(common.OUTPUT.value or "crp_negatives.json", settings, figures)
    except (OSError, RuntimeError) as error:
        sys.exit(f"error: {error}")
    print(report(figures))


def measure_negatives(sizes: Sizes, numbers: Sequence[int], chunk_size: int, steps: int) -> list[dict[str, Any]]:
    """The figures of each M: medians over the turns, ratios within turns.

    Up to `chunk_size` negatives are taken at once anyway, and measured once.

    Raises:
      RuntimeError: a process that measured memory was killed.
    """
    versions = {(number, size) for number in numbers for size in (number, min(number, chunk_size))}
    peaks = {version: measure.in_own_process(peak_bytes, sizes, *version) for version in versions}
    passes = Passes(sizes)
    names = {f"{number} by {size}": (number, size) for number, size in sorted(versions)}
    times = measure.durations({name: passes.of(*version) for name, version in names.items()}, steps)
    seconds = {version: times[name] for name, version in names.items()}
    smallest = seconds[numbers[0], min(numbers[0], chunk_size)]
    figures = []
    for number in numbers:
        chunked, at_once = (number, min(number, chunk_size)), (number, number)
        figures.append({
            "negatives": number, "steps": steps, "seconds": statistics.median(seconds[chunked]),
            "over_smallest": measure.ratio(seconds[chunked], smallest),
            "seconds_at_once": statistics.median(seconds[at_once]),
            "over_at_once": measure.ratio(seconds[chunked], seconds[at_once]),
            "peak_bytes": peaks[chunked], "peak_bytes_at_once": peaks[at_once]})
    return figures


def report(figures: Sequence[dict[str, Any]]) -> str:
    """The figures as text."""
    rows = [("negatives", "ms", "over smallest", "ms at once", "over at once", "peak MiB", "peak MiB at once")]
    rows += [(f"{one['negatives']:,}", f"{1e3 * one['seconds']:.1f}", f"{one['over_smallest']:.2f}",
              f"{1e3 * one['seconds_at_once']:.1f}", f"{one['over_at_once']:.2f}",
              f"{one['peak_bytes'] / 2**20:,.0f}", f"{one['peak_bytes_at_once'] / 2**20:,.0f}") for one in figures]
    return "\n".join(align(rows, left=0))


if __name__ == "__main__":
    app.run(main)
