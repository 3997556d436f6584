"""A split's batches as each strategy's `fit` and `predict` take them.

| strategy           | what a replica's step reads                                                               |
|--------------------|-------------------------------------------------------------------------------------------|
| `default`          | the global batch                                                                          |
| `mirrored`         | its share of the global batch, cut by Keras                                               |
| `multi_worker`     | its share of the same global batch: replicas in order have its rows in order              |
| `parameter_server` | a global batch of its own: workers take turns through the epoch, without waiting          |

Shape letters: B rows of a global batch.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from lcn_tf.data import pipeline
from lcn_tf.training.cluster import current_task

UNTIL_THE_END = -1
Batches = Any  # tf.data.Dataset, a strategy's distributed dataset or a DatasetCreator


def training_batches(strategy: tf.distribute.Strategy, files: pipeline.RecordFiles, data: pipeline.DataConfig,
                     batch_size: int, seed: tuple[int, int], skip: int) -> Batches:
    """What is left of an epoch of the training split, for `fit`; arguments as of `pipeline.read`.

    With parameter servers the dataset never ends: `fit` needs the number of steps.
    """
    if isinstance(strategy, tf.distribute.ParameterServerStrategy):
        workers = _num_workers()

        def of_worker(context: tf.distribute.InputContext) -> tf.data.Dataset:
            cut = pipeline.cut(files, "train", data, batch_size, seed, skip)
            return pipeline.parse(in_turn(cut, workers, _worker_index()), files, data, batch_size)

        return tf.keras.utils.experimental.DatasetCreator(of_worker)
    return distributed(strategy, pipeline.read(files, "train", data, batch_size, seed, skip))


def distributed(strategy: tf.distribute.Strategy, dataset: tf.data.Dataset) -> Batches:
    """Global batches for `fit` or `predict`; TensorFlow's automatic sharding would change them between machines."""
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return dataset

    def of_worker(context: tf.distribute.InputContext) -> tf.data.Dataset:
        replicas = context.num_replicas_in_sync
        local = replicas // context.num_input_pipelines
        return shares(dataset, replicas, context.input_pipeline_id * local, local)

    return strategy.distribute_datasets_from_function(of_worker)


def fit_steps(dataset: tf.data.Dataset) -> int:
    """Steps for Keras, which cannot ask a distributed dataset: the number of its batches, or `UNTIL_THE_END`."""
    return max(int(dataset.cardinality()), UNTIL_THE_END)


def shares(dataset: tf.data.Dataset, replicas: int, first: int, count: int) -> tf.data.Dataset:
    """Cuts global batches into shares of nearly equal numbers of rows, and keeps some of them.

    Args:
      dataset: dicts of tensors `[B, ...]`.
      replicas: shares of a global batch; where it has fewer rows, some are empty.
      first: the first share to keep.
      count: how many to keep, each of which becomes an element.
    """
    def cut(batch: dict[str, tf.Tensor]) -> tf.data.Dataset:
        rows = tf.shape(next(iter(batch.values())), tf.int64)[0]

        def share(index: tf.Tensor) -> dict[str, tf.Tensor]:
            begin, end = index * rows // replicas, (index + 1) * rows // replicas
            return {name: value[begin:end] for name, value in batch.items()}

        return tf.data.Dataset.range(first, first + count).map(share)

    return dataset.flat_map(cut).prefetch(count)


def in_turn(dataset: tf.data.Dataset, workers: int, index: tf.Tensor | int) -> tf.data.Dataset:
    """Without end: every `workers`-th element from `index` on, then those of the next worker, and so forth.

    Workers of one speed read each element once per epoch. A faster one continues with what the others are behind with,
    as does one that is left alone.
    """
    index = tf.cast(index, tf.int64)
    turns = tf.data.Dataset.range(workers).flat_map(lambda turn: dataset.shard(workers, (index + turn) % workers))
    return turns.repeat()


def _num_workers() -> int:
    task = current_task()
    if task is None:
        raise RuntimeError("parameter servers without TF_CONFIG")
    return len(task.cluster["worker"])


def _worker_index() -> tf.Tensor:
    return tf.distribute.coordinator.experimental_get_current_worker_index()
