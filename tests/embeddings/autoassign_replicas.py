"""Run by `test_autoassign.py` in a process of its own: a table that gives rows, on 1 and 2 replicas, into a file."""

import sys

import numpy as np
import tensorflow as tf

import lcn_tf  # noqa: F401  (chooses Keras 2)
from lcn_tf.data.pipeline import DataConfig
from lcn_tf.data.record_files import RecordFiles
from lcn_tf.embeddings import EmbeddingConfig
from lcn_tf.embeddings.tables import autoassign
from lcn_tf.models import ModelConfig, build_model
from lcn_tf.training import TrainConfig, compile_model
from lcn_tf.training.distributed_input import training_batches

DATA = DataConfig(layout="grouped", short_length=3, lifelong_length=5, shuffle_buffer=50)
TABLE, STEPS = "item", 9
# What a policy decides with sizes this small; an item is read in a third of the steps.
POLICIES = {"recent": {}, "frequent": {"half_life": 3}, "actor_critic": {"period": 2, "patience": 1, "row_cost": 1.5}}


def new_model(schema, policy="recent", objectives=(), **options):
    tf.keras.utils.set_random_seed(7)
    config = autoassign.Config(**{"capacity": 0.3, "min_events": 2, "shared_rows": 3, "codes": 5, "policy": policy,
                                  **POLICIES[policy]})
    parts = ModelConfig("mean_pool", "mean", objectives, tables=(f"{TABLE}:autoassign",))
    model = build_model(schema, DATA.lengths_of(schema), parts, {("tables", "autoassign"): config},
                        EmbeddingConfig(embedding_dim=4), seed=3)
    compile_model(model, TrainConfig(**{"learning_rate": 0.02, "optimizer": "row_sparse_adam", **options}))
    return model


def table_of(model):
    return model.embedder.tables.tables[TABLE]


def state(model):
    """Every variable of the table, and the optimiser's."""
    table = table_of(model)
    values = {f"variable {place}": variable.numpy() for place, variable in enumerate(table.variables)}
    return {**values, **{f"slot {place}": slot.numpy() for place, slot in enumerate(model.optimizer.variables)}}


def trained(strategy, files, batch_size):
    with strategy.scope():
        model = new_model(files.schema, "actor_critic", ("crp",))
    batches = training_batches(strategy, files, DATA, batch_size, seed=(7, 1), skip=0)
    model.fit(batches.dataset, steps_per_epoch=STEPS, verbose=0)
    return state(model)


def main(data_dir, output, batch_size):
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2)
    files = RecordFiles.open(data_dir)
    strategies = {"one": tf.distribute.get_strategy(), "two": tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])}
    for name, strategy in strategies.items():
        np.savez(f"{output}-{name}.npz", **trained(strategy, files, int(batch_size)))


if __name__ == "__main__":
    main(*sys.argv[1:])
