"""Terms and gradients of every objective on 1, 2 and 4 replicas: run by `test_replicas.py` in a process of its own."""

import dataclasses
import sys

import numpy as np
import tensorflow as tf

import lcn_tf  # noqa: F401  (chooses Keras 2)
from lcn_tf.contracts import AfterUpdate, ComparesRows, Everyone, ReadsItems
from lcn_tf.embeddings.row_reader import ROWS_OF
from lcn_tf.models.global_batch import gather, requests_before
from lcn_tf.models.registry import component, components
from lcn_tf.ops.replica_exchange import everyones_rows, sum_over_replicas
from tests.objectives.batches import SCHEMA, built, parsed

SHARES = {1: [9], 2: [6, 3], 4: [4, 3, 2, 0]}  # requests of each replica
STEPS = 2
TRACED = 2  # replicas whose steps are a graph where rows are exchanged; building it takes longer than the steps


def strategy_of(count):
    devices = [f"CPU:{place}" for place in range(count)]
    return tf.distribute.MirroredStrategy(devices) if count > 1 else tf.distribute.get_strategy()


def replica_step(embedder, objective, batch, seed):
    """Loss of each term of the whole batch, and the gradient of their sum by the tables."""
    rows = objective.rows_read(seed) if isinstance(objective, ReadsItems) else {}
    names, context = objective.reads(SCHEMA), tf.distribute.get_replica_context()
    tables = list(embedder.tables.vectors.values())
    with tf.GradientTape() as tape:
        own = embedder.look_up({**batch, **{f"{ROWS_OF}{objective.name} {name}": ids for name, ids in rows.items()}})
        everyone = Everyone(own, tf.constant(0))
        if names and context.num_replicas_in_sync > 1:
            everyone = Everyone(embedder.look_up(gather(batch, names)), requests_before(batch))
        if isinstance(objective, ComparesRows):
            rows = objective.own_rows(own, seed)
            everyone = everyone._replace(own_rows=rows, rows=everyones_rows(rows))
        shares = {term: tf.math.divide_no_nan(total, sum_over_replicas(count))
                  for term, (total, count) in objective(own, everyone, seed).items()}
        total = tf.add_n(list(shares.values()))
    gradients = [tf.zeros_like(table) if gradient is None else tf.convert_to_tensor(gradient)
                 for table, gradient in zip(tables, tape.gradient(total, tables), strict=True)]
    if isinstance(objective, AfterUpdate):
        objective.after_update(own, everyone, seed)
    return ({term: sum_over_replicas(share) for term, share in shares.items()},
            [sum_over_replicas(gradient) for gradient in gradients])


def results_of(name, strategy):
    """Name -> values of every step, and the objective's state."""
    module, found = component("objectives", name), {}
    wanted, names = {"dropout": 0.2, "num_layers": 1}, {field.name for field in dataclasses.fields(module.Config)}
    with strategy.scope():
        embedder, objective = built(module, **{name: value for name, value in wanted.items() if name in names})
    batch, ends = parsed(), np.cumsum([0, *SHARES[strategy.num_replicas_in_sync]])
    def step(part, seed):
        return strategy.run(replica_step, args=(embedder, objective, part, seed))

    if strategy.num_replicas_in_sync == TRACED and isinstance(objective, ComparesRows):
        step = tf.function(step, autograph=False)
    for number in range(STEPS):
        parts = strategy.experimental_distribute_values_from_function(
            lambda context: {key: values[ends[context.replica_id_in_sync_group]:
                                         ends[context.replica_id_in_sync_group + 1]] for key, values in batch.items()})
        terms, gradients = step(parts, tf.constant([3, number], tf.int64))
        first = strategy.experimental_local_results
        found.update({f"{name} {number} {term}": first(value)[0].numpy() for term, value in terms.items()})
        found.update({f"{name} {number} table {place}": first(value)[0].numpy()
                      for place, value in enumerate(gradients)})
    found.update({f"{name} state {place}": weight.numpy()
                  for place, weight in enumerate(objective.non_trainable_weights)})
    return found


def main(output, count):
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * int(count))
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})  # a graph runs twice
    found, strategy = {}, strategy_of(int(count))
    for name in components("objectives"):
        found.update(results_of(name, strategy))
    np.savez(output, **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
