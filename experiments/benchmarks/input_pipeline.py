"""How many impressions the input pipeline feeds, beside how many LCN-200-50 takes, in both layouts.

    python -m experiments.benchmarks.input_pipeline [--data_dir=...] [--output=input_pipeline.json]

Without --data_dir, Taobao-format logs with long histories are generated and prepared in a temporary folder. Passes of
the pipeline over the training split and real training steps (on batches in memory) take turns, so that neither runs
while the other is measured. 2 cores, 5 GB of memory: 2 minutes.
"""

from __future__ import annotations

import dataclasses
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

from absl import app, flags, logging

import lcn_tf  # noqa: F401  (chooses Keras 2 before TensorFlow is loaded)

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf

from command_line.text_table import align
from data_prep.config import PreparationConfig
from data_prep.taobao.config import TaobaoConfig
from data_prep.taobao.generator import GeneratorConfig, generate
from data_prep.taobao.prepare import prepare
from experiments.benchmarks import flags as common
from experiments.benchmarks import measure
from lcn_tf.data.pipeline import DataConfig, read
from lcn_tf.data.record_files import RecordFiles
from lcn_tf.models import CTRModel, ModelConfig, build_model
from lcn_tf.models.ctr_model import Batch
from lcn_tf.training import TrainConfig, compile_model

_DATA_DIR = flags.DEFINE_string("data_dir", None, "prepared data; none: generated")
_NUM_USERS = flags.DEFINE_integer("num_users", 4_000, "users of the generated logs", lower_bound=1)
_LIFELONG_LENGTH = flags.DEFINE_integer("lifelong_length", 500, "events of the lifelong history", lower_bound=1)

LAYOUTS = ("flat", "grouped")
_ROUNDS = 4
_KEPT_BATCHES = 3  # in memory, for training without the pipeline
_MOST_BATCHES = 200  # of a pass; a real training split has thousands


@dataclasses.dataclass(frozen=True)
class Feeding:
    """One pass of the pipeline over the training split.

    Attributes:
      batches: of the pass.
      first_seconds: until the first batch is there.
      per_second: impressions from then on; the mean, since batches come in bursts.
      cpu_microseconds: processor time per impression, the start included.
    """

    batches: int
    first_seconds: float
    per_second: float
    cpu_microseconds: float


def main(argv: list[str]) -> None:
    """Runs the benchmark, prints its table and writes the JSON file; bad input ends in one line."""
    logging.set_verbosity(logging.WARNING)
    if len(argv) > 1:
        sys.exit(f"error: unexpected arguments {argv[1:]}")
    settings = {flag.name: flag.value for flag in (
        _NUM_USERS, common.BATCH_SIZE, common.SHORT_LENGTH, _LIFELONG_LENGTH, common.STEPS)}
    with tempfile.TemporaryDirectory() as folder:
        try:
            figures = measure_layouts(RecordFiles.open(_DATA_DIR.value or generated_records(folder)))
            measure.write_figures(common.OUTPUT.value or "input_pipeline.json", settings, figures)
        except (ValueError, OSError) as error:
            sys.exit(f"error: {error}")
    print(report(figures))


def generated_records(folder: str) -> str:
    """Prepares generated logs whose lifelong histories are near their full length; returns the data set's folder."""
    logs, data_dir = os.path.join(folder, "logs"), os.path.join(folder, "records")
    generate(logs, GeneratorConfig(num_users=_NUM_USERS.value, background_source_events=1.4 * _LIFELONG_LENGTH.value))
    prepare(logs, data_dir, TaobaoConfig(), PreparationConfig(
        short_length=common.SHORT_LENGTH.value, lifelong_length=_LIFELONG_LENGTH.value))
    return data_dir


def measure_layouts(files: RecordFiles) -> list[dict[str, Any]]:
    """The figures of each layout: medians over the rounds, and the largest peak memory of the process.

    Raises:
      ValueError: the training split is too small for two batches, or its histories are shorter than asked for.
    """
    configs = {layout: DataConfig(layout, common.SHORT_LENGTH.value, _LIFELONG_LENGTH.value) for layout in LAYOUTS}
    lengths = configs["flat"].lengths_of(files.schema)
    model = build_model(files.schema, lengths, ModelConfig())  # the defaults are LCN-200-50
    compile_model(model, TrainConfig(batch_size=common.BATCH_SIZE.value))
    return [_measure_layout(files, config, model) for config in configs.values()]


def _measure_layout(files: RecordFiles, config: DataConfig, model: CTRModel) -> dict[str, Any]:
    batches = read(files, "train", config, common.BATCH_SIZE.value, seed=(1, 0))
    kept = list(batches.take(_KEPT_BATCHES))
    train = tf.function(model.train_step, input_signature=[batches.element_spec])  # as `fit` traces it
    float(train(kept[0])["loss"])
    steps = -(-common.STEPS.value // _ROUNDS)
    passes: list[Feeding] = []
    taken: list[float] = []
    peaks = {"feeding": 0, "training": 0}
    for number in range(_ROUNDS):
        with measure.PeakMemory() as memory:
            passes.append(feed(files, config, epoch=number + 1))
        peaks["feeding"] = max(peaks["feeding"], memory.bytes)
        with measure.PeakMemory() as memory:
            taken.append(statistics.median(take(train, kept[step % len(kept)]) for step in range(steps)))
        peaks["training"] = max(peaks["training"], memory.bytes)
    fed = [one.per_second for one in passes]
    return {
        "layout": config.layout, "batches": sum(one.batches for one in passes), "steps": steps * _ROUNDS,
        "fed_per_second": statistics.median(fed), "taken_per_second": statistics.median(taken),
        "fed_over_taken": measure.ratio(fed, taken),
        "feeding_cpu_microseconds": statistics.median(one.cpu_microseconds for one in passes),
        "first_batch_seconds": statistics.median(one.first_seconds for one in passes),
        "feeding_peak_bytes": peaks["feeding"], "training_peak_bytes": peaks["training"]}


def feed(files: RecordFiles, config: DataConfig, epoch: int) -> Feeding:
    """Takes the batches of a training epoch and does nothing with them.

    Raises:
      ValueError: there is only one.
    """
    started, cpu_started = time.perf_counter(), time.process_time()
    times: list[float] = []
    sizes: list[int] = []
    for batch in read(files, "train", config, common.BATCH_SIZE.value, seed=(1, epoch)).take(_MOST_BATCHES):
        times.append(time.perf_counter())
        sizes.append(_impressions(batch))
    cpu = time.process_time() - cpu_started
    if len(times) < 2:
        raise ValueError(f"--batch_size={common.BATCH_SIZE.value} leaves {len(times)} batch of the training split of "
                         f"{files.data_dir}; at least 2 are needed")
    return Feeding(len(sizes), times[0] - started, sum(sizes[1:]) / (times[-1] - times[0]), 1e6 * cpu / sum(sizes))


def take(train: Callable[[Batch], dict[str, tf.Tensor]], batch: Batch) -> float:
    """Impressions per second of one training step."""
    impressions = _impressions(batch)
    started = time.perf_counter()
    float(train(batch)["loss"])
    return impressions / (time.perf_counter() - started)


def _impressions(batch: Batch) -> int:
    return int(np.count_nonzero(batch["candidate_mask"]))


def report(figures: list[dict[str, Any]]) -> str:
    """The figures as text."""
    rows = [("layout", "fed/s", "taken/s", "fed/taken", "us CPU/fed", "first batch s", "MiB feeding", "MiB training")]
    for one in figures:
        memory = (f"{one[name] / 2**20:,.0f}" for name in ("feeding_peak_bytes", "training_peak_bytes"))
        rows.append((one["layout"], f"{one['fed_per_second']:,.0f}", f"{one['taken_per_second']:,.0f}",
                     f"{one['fed_over_taken']:.1f}", f"{one['feeding_cpu_microseconds']:.1f}",
                     f"{one['first_batch_seconds']:.2f}", *memory))
    return "\n".join(align(rows))


if __name__ == "__main__":
    app.run(main)
