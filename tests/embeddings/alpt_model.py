"""A small model whose tables are all of codes; `test_alpt.py` runs it on replicas, and a table on parameter servers."""

import os
import sys

import numpy as np
import tensorflow as tf

import lcn_tf  # noqa: F401  (chooses Keras 2)
from lcn_tf.contracts import TableSpec, TableStep
from lcn_tf.data.pipeline import DataConfig, RecordFiles, read
from lcn_tf.embeddings import EmbeddingConfig
from lcn_tf.embeddings.tables import alpt
from lcn_tf.models import ModelConfig, build_model
from lcn_tf.models.registry import component
from lcn_tf.training import TrainConfig, compile_model
from lcn_tf.training.distributed_input import training_batches
from tests.optimizers import replicas

DATA = DataConfig(layout="grouped", short_length=3, lifelong_length=11, shuffle_buffer=50)
EMBEDDINGS = EmbeddingConfig(embedding_dim=4, l2=1e-3, dims=("category:3",), per_domain=("category",))
BATCH_SIZE = 29


def new_model(files, embeddings=EMBEDDINGS, tables=("*:alpt",), tower="cross", microbatches=1, **options):
    """Compiled; its tower has dropout, which microbatches refuse."""
    tf.keras.utils.set_random_seed(7)
    configs = {("tables", "alpt"): component("tables", "alpt").Config(**options),
               ("objectives", "crp"): component("objectives", "crp").Config(num_negatives=64)}
    if tower == "cross":
        configs["towers", "cross"] = component("towers", "cross").Config(units=(7,), dropout=0.2, input_norm="batch")
    model = ModelConfig(long_term="mean_pool", short_term="mean", tower=tower, tables=tables)
    built = build_model(files.schema, DATA.lengths_of(files.schema), model, configs, embeddings, seed=3)
    compile_model(built, TrainConfig(learning_rate=0.01, warmup_steps=3, microbatches=microbatches))
    return built


def batches_of(files):
    return read(files, "train", DATA, BATCH_SIZE, (1, 1))


def on_replicas(files, count):
    strategy = tf.distribute.get_strategy() if count == 1 else tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    with strategy.scope():
        model = new_model(files, tables=("item:alpt", "category:alpt"), tower="mlp", every=2, delta_learning_rate=1e-3)
    batches = training_batches(strategy, files, DATA, BATCH_SIZE, seed=(7, 1), skip=0)
    logs = model.fit(batches.dataset, steps_per_epoch=batches.steps, verbose=0).history
    return {**{f"log {name}": np.array(value) for name, value in logs.items()}, **state_of(model)}


def state_of(model):
    """Codes, step sizes and moments of every table."""
    return {f"{name} {place}": variable.numpy() for name, table in model.embedder.tables.tables.items()
            if isinstance(table, alpt.AlptTable) for place, variable in enumerate([*table.stored, *table.slots])}


def steps_of_a_table(strategy):
    """State of a table after five steps; of parameter servers, each of which has a part of it."""
    with strategy.scope():
        spec = TableSpec("brand", 23, 3, tf.keras.initializers.RandomUniform(-0.5, 0.5, seed=3))
        table = alpt.build(alpt.Config(delta_learning_rate=1e-3), spec)
        table.build_slots()
    ids, gradient = tf.constant([3, 9, 21, 0], tf.int64), tf.random.stateless_normal([4, 3], [1, 2])

    @tf.function
    def step(number):
        told = TableStep(number, tf.constant(0.02), tf.constant(9.0))
        wanted = table.wanted(ids, gradient, told)
        table.store(ids, wanted, gradient * table.nearest(ids, wanted), told)

    numbers = [tf.constant(number, tf.int64) for number in range(5)]
    if isinstance(strategy, tf.distribute.ParameterServerStrategy):
        coordinator = tf.distribute.coordinator.ClusterCoordinator(strategy)
        for number in numbers:
            coordinator.schedule(step, args=(number,))
            coordinator.join()
    else:
        for number in numbers:
            step(number)
    values = {str(place): tf.convert_to_tensor(variable).numpy()
              for place, variable in enumerate([*table.stored, *table.slots])}
    return {**values, "parts": len(table.weights)}


def main(data_dir, output, *ports):
    if ports:
        np.savez(output, **steps_of_a_table(replicas.parameter_server(list(ports))))
        return
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2)
    files = RecordFiles.open(data_dir)
    for count in (1, 2):
        np.savez(os.path.join(output, f"{count}.npz"), **on_replicas(files, count))


if __name__ == "__main__":
    main(*sys.argv[1:])
