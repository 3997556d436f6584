"""A small model whose tables are all of codes; run by `test_alpt.py` in a process of its own, on 1 and 2 replicas."""

import os
import sys

import numpy as np
import tensorflow as tf

import lcn_tf  # noqa: F401  (chooses Keras 2)
from lcn_tf.data.pipeline import DataConfig, RecordFiles, read
from lcn_tf.embeddings import EmbeddingConfig
from lcn_tf.models import ModelConfig, build_model
from lcn_tf.models.registry import component
from lcn_tf.training import TrainConfig, compile_model
from lcn_tf.training.distributed_input import training_batches

DATA = DataConfig(layout="grouped", short_length=3, lifelong_length=11, shuffle_buffer=50)
EMBEDDINGS = EmbeddingConfig(embedding_dim=4, l2=1e-3, dims=("category:3",), per_domain=("category",))
BATCH_SIZE, EVERY = 29, {"every 1": 1, "every 2": 2}


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


def on_replicas(files, count, microbatches):
    strategy = tf.distribute.get_strategy() if count == 1 else tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    with strategy.scope():
        model = new_model(files, tower="mlp", microbatches=microbatches, every=2, delta_learning_rate=1e-3)
    batches = training_batches(strategy, files, DATA, BATCH_SIZE, seed=(7, 1), skip=0)
    logs = model.fit(batches.dataset, steps_per_epoch=batches.steps, verbose=0).history
    values = {f"log {name}": np.array(value) for name, value in logs.items()}
    for name, table in model.embedder.tables.tables.items():
        values.update({f"{name} {place}": variable.numpy() for place, variable in
                       enumerate([*table.stored, *table.slots])})
    return values


def main(data_dir, output):
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2)
    files = RecordFiles.open(data_dir)
    for place, (count, microbatches) in enumerate([(1, 1), (1, 3), (2, 1)]):
        np.savez(os.path.join(output, f"{place}.npz"), **on_replicas(files, count, microbatches))


if __name__ == "__main__":
    main(*sys.argv[1:])
