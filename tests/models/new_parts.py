"""Parts that nobody ships, one for each door of the contracts: run by `test_new_parts.py` in a process of its own.

An objective with a queue (state and `after_update`), a tower that knows the scenario (`reads_fields`, `add_loss`), a
head of two labels and a table that no optimiser trains (`apply_gradient`), in one model on 1, 2 and 4 replicas.
"""

import sys

import numpy as np
import tensorflow as tf

import lcn_tf  # noqa: F401  (chooses Keras 2)
from lcn_tf.data.pipeline import DataConfig
from lcn_tf.data.record_files import RecordFiles
from lcn_tf.embeddings import EmbeddingConfig, FeatureEmbedder
from lcn_tf.heads import conditional
from lcn_tf.long_term import mean_pool
from lcn_tf.models import CTRModel
from lcn_tf.ops.row_gradients import sum_rows
from lcn_tf.short_term import mean
from lcn_tf.training import TrainConfig, compile_model
from lcn_tf.training.distributed_input import training_batches

DATA = DataConfig(layout="grouped", short_length=3, lifelong_length=11, shuffle_buffer=50)
BATCH_SIZE, QUEUE = 29, 13
REPLICAS = (1, 2, 4)
_ONE_STATE = {"aggregation": tf.VariableAggregation.ONLY_FIRST_REPLICA, "trainable": False}


class QueueObjective(tf.keras.layers.Layer):
    """Newest items of the target history against items that earlier steps put into a queue."""

    weight, terms, separate_tables, per_replica = 0.5, ("nce",), False, False

    def reads(self, schema):
        return ("candidate_mask", *(f"short_target_{field}" for field in ("mask", *(f.name for f in schema.item))))

    def build_weights(self, embedder):
        self.queue = self.add_weight(name="queue", shape=[QUEUE, embedder.item_width], initializer="ones", **_ONE_STATE)
        self.steps = self.add_weight(name="steps", shape=[], dtype=tf.int64, initializer="zeros", **_ONE_STATE)

    def call(self, own, everyone, seed):
        anchors, there = self._newest(own)
        logits = tf.matmul(anchors, tf.nn.l2_normalize(self.queue.read_value(), -1), transpose_b=True)
        noise = tf.random.stateless_uniform([], seed)  # decided by seed, name and step
        losses = tf.reduce_logsumexp(logits, -1) * (1 + noise)
        return {"nce": (tf.reduce_sum(tf.where(there, losses, 0.0)), tf.reduce_sum(tf.cast(there, tf.float32)))}

    def after_update(self, own, everyone, seed):
        newest, there = self._newest(everyone.looked_up)
        newest = tf.concat([tf.stop_gradient(tf.boolean_mask(newest, there)), self.queue.read_value()], 0)[:QUEUE]
        self.queue.assign(newest)
        self.steps.assign_add(1)

    @staticmethod
    def _newest(looked_up):
        reader = looked_up.reader
        items = reader.items({name: keys[:, 0] for name, keys in reader.item_keys("short_target_").items()})
        return items, looked_up.batch["short_target_mask"][:, 0] & tf.reduce_any(looked_up.mask, 1)


class ScenarioTower(tf.keras.layers.Layer):
    """A gate of each scenario on the hidden layer; the gates' squares are added to the loss."""

    reads_fields = True

    def build(self, _):
        self.gates = self.add_weight(name="gates", shape=[9, 7], initializer="ones")
        self.hidden = tf.keras.layers.Dense(7, "tanh")

    def call(self, inputs, mask, training=False):
        self.add_loss(1e-3 * tf.reduce_sum(tf.square(self.gates)))
        return self.hidden(inputs.concatenated) * tf.gather(self.gates, inputs.scenario)


class DescentTable(tf.keras.layers.Layer):
    """Plain gradient descent on the vectors that were read, and a count of each one's updates."""

    def __init__(self, spec, **kwargs):
        super().__init__(**kwargs)
        start = tf.random.stateless_normal([spec.rows, spec.width], [3, 1], stddev=0.3)
        self.codes = self.add_weight(name="codes", shape=start.shape, initializer=lambda *_, **__: start, **_ONE_STATE)
        self.counts = self.add_weight(name="updates", shape=[spec.rows], dtype=tf.int64, initializer="zeros",
                                       **_ONE_STATE)

    def rows(self, ids):
        return tf.gather(self.codes, ids)

    def apply_gradient(self, ids, gradient):
        rows = self.codes.shape[0]
        self.codes.assign_sub(0.5 * sum_rows(tf.cast(ids, tf.int32), gradient, rows))
        self.counts.assign_add(tf.math.bincount(tf.cast(ids, tf.int32), minlength=rows, dtype=tf.int64))


def new_model(files):
    tf.keras.utils.set_random_seed(7)
    embedder = FeatureEmbedder(files.schema, DATA.lengths_of(files.schema), EmbeddingConfig(embedding_dim=4, l2=1e-3),
                               builders={"category": lambda spec: DescentTable(spec, name="category")}, name="embedder")
    model = CTRModel(
        embedder, {name: mean.build(mean.Config()) for name in files.schema.short},
        mean_pool.build(mean_pool.Config()), ScenarioTower(name="tower"),
        conditional.build(conditional.Config(weights=(1.0, 0.7)), files.schema.labels),
        {"queue": QueueObjective(name="queue")}, seed=3)
    compile_model(model, TrainConfig(learning_rate=0.01))
    return model


def values_of(model):
    table = model.embedder.tables.tables["category"]
    return {"queue": model.objectives["queue"].queue.numpy(), "codes": table.codes.numpy(),
            "updates": table.counts.numpy(), "gates": model.tower.gates.numpy()}


def on_replicas(files, count):
    """A line of losses for each step, and the state at the end."""
    devices = [f"CPU:{place}" for place in range(count)]
    strategy = tf.distribute.MirroredStrategy(devices) if count > 1 else tf.distribute.get_strategy()
    with strategy.scope():
        model = new_model(files)
    batches = training_batches(strategy, files, DATA, BATCH_SIZE, seed=(7, 1), skip=0)
    lines = []
    model.fit(batches.dataset, steps_per_epoch=batches.steps, verbose=0, callbacks=[tf.keras.callbacks.LambdaCallback(
        on_batch_end=lambda _, logs: lines.append([logs[name] for name in sorted(logs)]))])
    return {"names": np.array(sorted(metric.name for metric in model.metrics)), "losses": np.array(lines),
            **values_of(model)}


def main(data_dir, output, count):
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * int(count))
    np.savez(output, **on_replicas(RecordFiles.open(data_dir), int(count)))


if __name__ == "__main__":
    main(*sys.argv[1:])
