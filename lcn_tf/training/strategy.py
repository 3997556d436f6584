"""TensorFlow's distribution strategies by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Literal

import tensorflow as tf

from lcn_tf.training import cluster

_NAMES = ("default", "mirrored", "multi_worker", "parameter_server")
_MAX_SHARD_BYTES = 1 << 30  # a variable is filled by one message, and those end at 2 GB


@dataclasses.dataclass(frozen=True)
class StrategyConfig:
    """Where a model's replicas run."""

    name: Literal["default", "mirrored", "multi_worker", "parameter_server"] = dataclasses.field(
        default="default", metadata={"help": "default: one device; mirrored: one replica per GPU of a machine, or per "
                                             "logical CPU; multi_worker: the same over the machines of TF_CONFIG; "
                                             "parameter_server: asynchronous workers, tables sharded over servers"})
    logical_cpus: int = dataclasses.field(
        default=1, metadata={"help": "logical devices the CPU is split into, for trying out several replicas"})
    min_shard_bytes: int = dataclasses.field(
        default=1 << 18, metadata={"help": "parameter_server: no shard of a table is smaller"})

    def __post_init__(self):
        if self.name not in _NAMES:
            raise ValueError(f"strategy.name must be one of {', '.join(_NAMES)}, got {self.name!r}")
        if self.logical_cpus < 1:
            raise ValueError(f"strategy.logical_cpus must be at least 1, got {self.logical_cpus}")
        if self.logical_cpus > 1 and self.name != "mirrored":
            raise ValueError(f"strategy.logical_cpus={self.logical_cpus} needs strategy.name=mirrored, "
                             f"got {self.name!r}")
        if self.min_shard_bytes < 1:
            raise ValueError(f"strategy.min_shard_bytes must be at least 1, got {self.min_shard_bytes}")


def task_of(config: StrategyConfig) -> cluster.Task | None:
    """This process's task in the cluster of a strategy; None where the strategy has none.

    Raises:
      ValueError: `TF_CONFIG` is missing or not one for this strategy.
    """
    if config.name in ("default", "mirrored"):
        return None
    task = cluster.current_task()
    if task is None:
        raise ValueError(f"strategy.name={config.name} needs the variable {cluster.VARIABLE}; "
                         "python -m experiments.cluster writes it")
    jobs, needed = dict(task.cluster), ["worker"] if config.name == "multi_worker" else list(cluster.JOBS)
    if missing := [job for job in needed if not jobs.get(job)]:
        raise ValueError(f"strategy.name={config.name} needs a {missing[0]} in {cluster.VARIABLE}, got {jobs}")
    if config.name == "multi_worker" and jobs.get("ps"):
        raise ValueError(f"strategy.name={config.name} has no ps, but {cluster.VARIABLE} lists {jobs['ps']}")
    return task


def create_strategy(config: StrategyConfig) -> tf.distribute.Strategy:
    """The strategy of a configuration, to be asked for before TensorFlow is first used.

    With several machines, this waits for the others.

    Raises:
      RuntimeError: TensorFlow has already been initialised otherwise.
      ValueError: `TF_CONFIG` is missing or not one for this strategy.
    """
    task = task_of(config)
    if config.logical_cpus > 1:
        cpu = tf.config.list_physical_devices("CPU")[0]
        devices = [tf.config.LogicalDeviceConfiguration() for _ in range(config.logical_cpus)]
        tf.config.set_logical_device_configuration(cpu, devices)
    if config.name == "default":
        return tf.distribute.get_strategy()
    if config.name == "multi_worker":
        return tf.distribute.MultiWorkerMirroredStrategy()
    if task is not None:
        return _parameter_server(task, config.min_shard_bytes)
    if tf.config.list_physical_devices("GPU"):
        return tf.distribute.MirroredStrategy()
    return tf.distribute.MirroredStrategy([device.name for device in tf.config.list_logical_devices("CPU")])


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process writes the files of a run; false on all but one process of `multi_worker`."""
    return not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy) or strategy.extended.should_checkpoint


def wait_for_all(strategy: tf.distribute.Strategy, value: int = 0) -> list[int]:
    """Waits until every process of `multi_worker` is here too; returns the `value` of each replica."""
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return [value]
    values = strategy.experimental_distribute_values_from_function(lambda _: tf.constant([value], tf.int64))
    return strategy.gather(values, axis=0).numpy().tolist()


def table_partitioner(servers: int, min_shard_bytes: int) -> Callable[..., Sequence[int]]:
    """Function of a variable's shape and dtype: into how many parts each axis is cut.

    Args:
      servers: a variable has one shard on each ...
      min_shard_bytes: ... or fewer, which are not smaller than this, or more, where one would be too large to be sent.
    """
    partitioners = tf.distribute.experimental.partitioners
    spread = partitioners.MinSizePartitioner(min_shard_bytes, max_shards=servers)
    bound = partitioners.MaxSizePartitioner(_MAX_SHARD_BYTES)

    def partition(shape: tf.TensorShape, dtype: tf.DType, **kwargs) -> Sequence[int]:
        return max(list(spread(shape, dtype, **kwargs)), list(bound(shape, dtype, **kwargs)))

    return partition


def _parameter_server(task: cluster.Task, min_shard_bytes: int) -> tf.distribute.Strategy:
    return tf.distribute.ParameterServerStrategy(
        tf.distribute.cluster_resolver.TFConfigClusterResolver(rpc_layer="grpc"),
        variable_partitioner=table_partitioner(len(task.cluster["ps"]), min_shard_bytes))
