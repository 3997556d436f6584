"""A split's batches as each strategy's `fit` and `predict` take them.

| strategy           | what a replica's step reads                                                               |
|--------------------|-------------------------------------------------------------------------------------------|
| `default`          | the global batch                                                                          |
| `mirrored`         | its share of the global batch, cut by Keras                                               |
| `multi_worker`     | its share of the same global batch: replicas in order have its rows in order              |
| `parameter_server` | a global batch of its own: workers take turns through the epoch, without waiting          |

TensorFlow's automatic sharding is out of use: it deals files out to machines, which changes the global batches. Every
process reads all records and keeps its share of each batch before it pads histories.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow as tf

from lcn_tf.data import pipeline
from lcn_tf.training.cluster import current_task

_UNTIL_THE_END = -1


class Batches(NamedTuple):
    """What `fit` and `predict` read.

    Attributes:
      dataset: a `tf.data.Dataset`, a strategy's distributed one, or a `DatasetCreator`.
      steps: number of steps, or None where Keras is to read on until the end.
    """

    dataset: Any
    steps: int | None


def training_batches(strategy: tf.distribute.Strategy, files: pipeline.RecordFiles, data: pipeline.DataConfig,
                     batch_size: int, seed: tuple[int, ...], skip: int) -> Batches:
    """What is left of an epoch of the training split; arguments as of `pipeline.read`."""
    if not isinstance(strategy, tf.distribute.ParameterServerStrategy):
        return _synchronous(strategy, files, "train", data, batch_size, seed, skip)
    task = current_task()
    if task is None:
        raise RuntimeError("parameter servers without TF_CONFIG")
    workers = len(task.cluster["worker"])

    def of_worker(context: tf.distribute.InputContext) -> tf.data.Dataset:
        index = tf.distribute.coordinator.experimental_get_current_worker_index()
        cut = pipeline.cut(files, "train", data, batch_size, seed, skip)
        return pipeline.parse(in_turn(cut, workers, index), files, data, batch_size)

    steps = pipeline.count(pipeline.cut(files, "train", data, batch_size, seed, skip))
    return Batches(tf.keras.utils.experimental.DatasetCreator(of_worker), steps)


def evaluation_batches(strategy: tf.distribute.Strategy, files: pipeline.RecordFiles, split: str,
                       data: pipeline.DataConfig, batch_size: int) -> Batches:
    """A split in the order of its files; with parameter servers, the coordinator's alone."""
    return _synchronous(strategy, files, split, data, batch_size)


def _synchronous(strategy: tf.distribute.Strategy, files: pipeline.RecordFiles, split: str, data: pipeline.DataConfig,
                 batch_size: int, seed: tuple[int, ...] | None = None, skip: int = 0) -> Batches:
    cut = pipeline.cut(files, split, data, batch_size, seed, skip)
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return Batches(pipeline.parse(cut, files, data, batch_size), None)

    def of_worker(context: tf.distribute.InputContext) -> tf.data.Dataset:
        workers = context.num_input_pipelines
        own = pipeline.parse(cut, files, data, batch_size, (context.input_pipeline_id, workers))
        return shares(own, context.num_replicas_in_sync // workers)

    # Keras cannot ask a distributed dataset for its number of batches.
    steps = max(int(cut.cardinality()), _UNTIL_THE_END)
    return Batches(strategy.distribute_datasets_from_function(of_worker), steps)


def shares(dataset: tf.data.Dataset, count: int) -> tf.data.Dataset:
    """Cuts dicts of tensors `[B, ...]` into `count` elements each, of nearly as many rows; some may have none."""
    def cut(batch: dict[str, tf.Tensor]) -> tf.data.Dataset:
        rows = tf.shape(next(iter(batch.values())), tf.int64)[0]
        return tf.data.Dataset.range(count).map(
            lambda index: {name: value[index * rows // count:(index + 1) * rows // count]
                           for name, value in batch.items()})

    return dataset.flat_map(cut).prefetch(count)


def in_turn(dataset: tf.data.Dataset, workers: int, index: tf.Tensor | int) -> tf.data.Dataset:
    """Without end: every `workers`-th element from `index` on, then those of the next worker, and so forth.

    Workers of one speed read each element once per epoch. A faster one continues with what the others are behind with,
    as does one that is left alone.
    """
    index = tf.cast(index, tf.int64)
    turns = tf.data.Dataset.range(workers).flat_map(lambda turn: dataset.shard(workers, (index + turn) % workers))
    return turns.repeat()
