"""Optimisers by name: one for everything, or one for tables and one for the rest."""

import numpy as np
import pytest
import tensorflow as tf

from lcn_tf.optimizers import RowSparseAdam, WarmupDecay, create_optimizer

ADAM, ADAGRAD = tf.keras.optimizers.Adam, tf.keras.optimizers.Adagrad


def variables():
    rng = np.random.default_rng(3)
    return [tf.Variable(rng.normal(size=shape).astype(np.float32)) for shape in ((7, 3), (5, 3), (3, 2))]


def train(optimizer_of, steps=4):
    """Weights after a few steps on two tables and a kernel."""
    table, other, kernel = weights = variables()
    optimizer = optimizer_of(weights, [table, other])

    @tf.function
    def step(ids):
        with tf.GradientTape() as tape:
            rows = tf.nn.embedding_lookup(table, ids) + tf.nn.embedding_lookup(other, ids // 2)
            loss = tf.reduce_sum(tf.tanh(rows @ kernel) ** 2)
        optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))

    for ids in np.random.default_rng(4).integers(0, 7, [steps, 5]):
        step(tf.constant(ids))
    return [weight.numpy() for weight in weights]


class SideBySide:
    """Two optimisers that know nothing of each other: of the two tables, and of what follows them."""

    def __init__(self, dense, tables):
        (dense_kind, dense_rate), (table_kind, table_rate) = dense, tables
        self.parts = ((table_kind(table_rate), slice(None, 2)), (dense_kind(dense_rate), slice(2, None)))

    def apply_gradients(self, pairs):
        pairs = list(pairs)
        for optimizer, part in self.parts:
            optimizer.apply_gradients(pairs[part])


@pytest.mark.parametrize("name, kind", [("adam", ADAM), ("adagrad", ADAGRAD), ("row_sparse_adam", RowSparseAdam)])
def test_one_optimizer_for_everything(name, kind):
    found = train(lambda weights, tables: create_optimizer(weights, tables, name, 0.05))
    for value, expected in zip(found, train(lambda weights, tables: kind(0.05)), strict=True):
        np.testing.assert_array_equal(value, expected)


@pytest.mark.parametrize("settings, dense, tables", [
    (("adam", 0.05, "adagrad", 0.2), (ADAM, 0.05), (ADAGRAD, 0.2)),
    (("adagrad", 0.3, "row_sparse_adam", 0.01), (ADAGRAD, 0.3), (RowSparseAdam, 0.01)),
    (("adam", 0.05, "row_sparse_adam", 0.0), (ADAM, 0.05), (RowSparseAdam, 0.05)),
    (("adagrad", 0.05, "same", 0.01), (ADAGRAD, 0.05), (ADAGRAD, 0.01)),
])
def test_tables_with_an_optimizer_of_their_own(settings, dense, tables):
    found = train(lambda weights, of_tables: create_optimizer(weights, of_tables, *settings))
    for value, expected in zip(found, train(lambda weights, of_tables: SideBySide(dense, tables)), strict=True):
        np.testing.assert_array_equal(value, expected)


@pytest.mark.parametrize("table_name", ["same", "adagrad"])
def test_slots_exist_at_once_and_a_checkpoint_continues(tmp_path, table_name):
    def create(weights):
        return create_optimizer(weights, weights[:2], "row_sparse_adam", 0.05, table_name)

    def step(optimizer, weights):
        optimizer.apply_gradients([(weight + 1, weight) for weight in weights])

    whole, first, second = variables(), variables(), [tf.Variable(tf.zeros_like(value)) for value in variables()]
    optimizer = create(whole)
    for _ in range(3):
        step(optimizer, whole)
    optimizer = create(first)
    step(optimizer, first)
    path = tf.train.Checkpoint(weights=first, optimizer=optimizer).save(str(tmp_path / "checkpoint"))
    optimizer = create(second)
    checkpoint = tf.train.Checkpoint(weights=second, optimizer=optimizer)
    checkpoint.restore(path).assert_existing_objects_matched().assert_consumed()
    assert int(optimizer.iterations) == 1
    for _ in range(2):
        step(optimizer, second)
    for value, expected in zip(second, whole, strict=True):
        np.testing.assert_array_equal(value.numpy(), expected.numpy())


def test_an_unknown_optimizer_is_refused_by_name():
    with pytest.raises(ValueError, match="row_sparse_adam, got 'sgd'"):
        create_optimizer([], [], "sgd", 0.1)


@pytest.mark.parametrize("name, table_name", [("adam", "same"), ("row_sparse_adam", "same"), ("adagrad", "adam")])
def test_weight_decay_takes_its_share_off_kernels_alone(name, table_name):
    """Beside optimisers without decay, whose kernel is made smaller by hand before every step."""
    decay, rate = 0.4, 0.05
    found, expected = ([*variables(), tf.Variable([0.7, -0.4])] for _ in range(2))
    optimizers = [create_optimizer(weights, weights[:2], name, rate, table_name, weight_decay=share)
                  for weights, share in ((found, decay), (expected, 0.0))]
    for step in range(4):
        gradients = [tf.random.stateless_normal(weight.shape, [step, place]) for place, weight in enumerate(found)]
        gradients[0] = tf.IndexedSlices(gradients[0][:2], tf.constant([3, 5]), found[0].shape)
        expected[2].assign(expected[2] * (1 - decay * rate))
        for optimizer, weights in zip(optimizers, (found, expected), strict=True):
            optimizer.apply_gradients(zip(gradients, weights, strict=True))
    for value, wanted in zip(found, expected, strict=True):
        np.testing.assert_allclose(value, wanted, rtol=1e-5, atol=1e-7)
    assert np.abs(found[2].numpy() - variables()[2].numpy()).max() > 0.01


def test_weight_decay_follows_the_learning_rate():
    kernel = tf.Variable(tf.ones([3, 2]))
    optimizer = create_optimizer([kernel], [], "adam", WarmupDecay(0.5, 2), weight_decay=0.1)
    for factor in (0.975, 0.975 * 0.95, 0.975 * 0.95 * 0.95):
        optimizer.apply_gradients([(tf.zeros([3, 2]), kernel)])
        np.testing.assert_allclose(kernel, np.full([3, 2], factor), rtol=1e-5)
