"""Run by `test_strategies.py` in processes of its own: a few steps under a strategy, the weights into a file."""

import sys

import numpy as np
import tensorflow as tf

import lcn_tf  # noqa: F401  (chooses Keras 2)
from lcn_tf.optimizers import RowSparseAdam

ROWS, WIDTH = 23, 3
# Steps of two replicas' ids: distinct within a replica, some in both, and in both halves of the table.
STEPS = np.array([[[3, 5, 21, 0], [5, 9, 3, 22]], [[1, 2, 3, 4], [4, 3, 2, 1]], [[7, 19, 0, 5], [8, 6, 20, 10]],
                  [[3, 12, 13, 0], [11, 0, 3, 12]], [[16, 5, 9, 8], [15, 14, 9, 5]]])
RESTORED_AT = 3


def mirrored() -> tf.distribute.Strategy:
    """Two replicas on one CPU."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


def parameter_server(ports: list[str]) -> tf.distribute.Strategy:
    """One worker, and two servers that hold half of each variable."""
    jobs = {"worker": ports[:1], "ps": ports[1:]}
    cluster = tf.train.ClusterSpec({job: [f"localhost:{port}" for port in found] for job, found in jobs.items()})
    for job, found in jobs.items():
        for index in range(len(found)):
            tf.distribute.Server(cluster, job_name=job, task_index=index, protocol="grpc", start=True)
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(cluster, rpc_layer="grpc")
    return tf.distribute.ParameterServerStrategy(
        resolver, variable_partitioner=tf.distribute.experimental.partitioners.FixedShardsPartitioner(2))


class Training:
    """A table and a kernel on random values, and their optimiser."""

    def __init__(self, strategy: tf.distribute.Strategy, seed: int):
        self.strategy = strategy
        self.replicas = strategy.num_replicas_in_sync
        rng = np.random.default_rng(seed)
        with strategy.scope():
            self.table = tf.Variable(rng.normal(size=(ROWS, WIDTH)).astype(np.float32), name="table")
            self.kernel = tf.Variable(rng.normal(size=(WIDTH, 2)).astype(np.float32), name="kernel")
            self.weights = [shard for weight in (self.table, self.kernel)
                            for shard in getattr(weight, "variables", [weight])]
            self.optimizer = RowSparseAdam(0.05, beta_2=0.97, unique_ids=self.replicas == 2)
            self.optimizer.build(self.weights)
        self.checkpoint = tf.train.Checkpoint(table=self.table, kernel=self.kernel, optimizer=self.optimizer)
        self.run = tf.function(lambda ids: strategy.run(self.step, args=(ids,)))

    def step(self, ids: tf.Tensor) -> None:
        """A replica's step."""
        with tf.GradientTape() as tape:
            rows = tf.nn.embedding_lookup(self.table, ids)
            loss = tf.reduce_sum(tf.tanh(rows @ tf.convert_to_tensor(self.kernel)) ** 2)
        self.optimizer.apply_gradients(zip(tape.gradient(loss, self.weights), self.weights, strict=True))

    def run_steps(self, steps: np.ndarray) -> None:
        """Trains on ids `[steps, 2, ids]`; one replica gets the ids of both."""
        coordinator = None
        if isinstance(self.strategy, tf.distribute.ParameterServerStrategy):
            coordinator = tf.distribute.coordinator.ClusterCoordinator(self.strategy)
        for ids in steps.reshape([len(steps), self.replicas, -1]):
            if coordinator:
                coordinator.schedule(self.run, args=(tf.constant(ids[0]),))
                coordinator.join()
            else:
                self.run(self.strategy.experimental_distribute_values_from_function(
                    lambda context, ids=ids: tf.constant(ids[context.replica_id_in_sync_group])))


def main(name: str, output: str, *ports: str) -> None:
    """Trains, continues from a checkpoint and saves the weights as `.npz`."""
    strategies = {"default": tf.distribute.get_strategy, "mirrored": mirrored,
                  "multi_worker": tf.distribute.MultiWorkerMirroredStrategy,
                  "parameter_server": lambda: parameter_server(list(ports))}
    strategy = strategies[name]()
    first = Training(strategy, seed=1)
    first.run_steps(STEPS[:RESTORED_AT])
    path = first.checkpoint.write(f"{output}.checkpoint")
    second = Training(strategy, seed=2)
    second.checkpoint.read(path).assert_consumed()
    second.run_steps(STEPS[RESTORED_AT:])
    np.savez(output, replicas=second.replicas, table=tf.convert_to_tensor(second.table),
             kernel=tf.convert_to_tensor(second.kernel))


if __name__ == "__main__":
    main(*sys.argv[1:])
