"""Run by `test_task_balance.py` in a process of its own: steps of each balance on one and on two replicas."""

import sys

import numpy as np
import tensorflow as tf

import lcn_tf  # noqa: F401  (chooses Keras 2)
from lcn_tf.data.pipeline import DataConfig, RecordFiles
from lcn_tf.embeddings import EmbeddingConfig
from lcn_tf.models import BalanceConfig, ModelConfig, build_model
from lcn_tf.models.registry import component
from lcn_tf.training import TrainConfig, compile_model
from lcn_tf.training.distributed_input import training_batches

DATA = DataConfig(layout="grouped", short_length=3, lifelong_length=11, shuffle_buffer=50)
METHODS = ("uncertainty", "gradnorm", "pcgrad")
COMPARING = METHODS[1:]  # these compare gradients of the global batch; the other is a sum over its parts
BATCH_SIZE = 17


def new_model(schema, method, objectives=(), **options):
    tf.keras.utils.set_random_seed(7)
    config = ModelConfig(long_term="mean_pool", short_term="none", tower="shared_bottom", head="conditional",
                         objectives=objectives)
    configs = {("towers", "shared_bottom"): component("towers", "shared_bottom").Config(units=(7,), label_units=(5,)),
               ("objectives", "crp"): component("objectives", "crp").Config(num_negatives=31),
               ("heads", "conditional"): component("heads", "conditional").Config(weights=(1.0, 0.7))}
    model = build_model(schema, DATA.lengths_of(schema), config, configs, EmbeddingConfig(embedding_dim=4), seed=3,
                        balance=BalanceConfig(method, alpha=0.5, rate=0.1))
    compile_model(model, TrainConfig(optimizer="row_sparse_adam", learning_rate=0.01, **options))
    for place, table in enumerate(model.embedder.trainable_variables):  # large enough to matter
        table.assign(tf.random.stateless_normal(table.shape, [3, place], stddev=0.5))
    return model


def train(strategy, files, method):
    with strategy.scope():
        model = new_model(files.schema, method)
    batches = training_batches(strategy, files, DATA, BATCH_SIZE, seed=(7, 1), skip=0)
    lines = []
    model.fit(batches.dataset, steps_per_epoch=batches.steps, verbose=0, callbacks=[tf.keras.callbacks.LambdaCallback(
        on_batch_end=lambda _, logs: lines.append([logs[name] for name in sorted(logs)]))])
    slots = {f"slot_{place}": slot.numpy() for place, slot in enumerate(model.optimizer.variables)}
    weights = [*model.trainable_weights, *model.balance.weights]
    return {"losses": np.array(lines), **slots,
            **{f"weight_{place}": weight.numpy() for place, weight in enumerate(weights)}}


def main(data_dir, output):
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2)
    files, two = RecordFiles.open(data_dir), tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    for method in COMPARING:
        for count, strategy in (("one", tf.distribute.get_strategy()), ("two", two)):
            np.savez(f"{output}-{method}-{count}.npz", **train(strategy, files, method))


if __name__ == "__main__":
    main(*sys.argv[1:])
