"""The course of a learning rate against plain arithmetic, in optimisers of every kind."""

import math

import numpy as np
import pytest
import tensorflow as tf

from lcn_tf.optimizers import WarmupDecay, create_optimizer


def reference(step, peak, warmup, decay, total, final):
    if step < warmup:
        return peak * (step + 1) / warmup
    if decay == "none":
        return peak
    progress = min((step - warmup) / (total - warmup), 1)
    left = 1 - progress if decay == "linear" else (1 + math.cos(math.pi * progress)) / 2
    return peak * (final + (1 - final) * left)


@pytest.mark.parametrize("decay", ["none", "linear", "cosine"])
@pytest.mark.parametrize("warmup, final", [(0, 0.0), (5, 0.1), (1, 1.0)])
def test_equals_plain_arithmetic(decay, warmup, final):
    schedule = WarmupDecay(0.3, warmup, decay, 23, final)
    found = [float(schedule(tf.Variable(step, dtype=tf.int64))) for step in range(30)]
    expected = [reference(step, 0.3, warmup, decay, 23, final) for step in range(30)]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-8)
    assert found[warmup] == pytest.approx(0.3)
    again = tf.keras.optimizers.schedules.deserialize(tf.keras.optimizers.schedules.serialize(schedule))
    assert isinstance(again, WarmupDecay) and again.get_config() == schedule.get_config()


def test_impossible_courses_are_refused():
    with pytest.raises(ValueError, match="decay must be one of none, linear, cosine, got 'sqrt'"):
        WarmupDecay(0.1, decay="sqrt", total_steps=3)
    with pytest.raises(ValueError, match="warmup_steps must be fewer than the 3 planned steps, got 3"):
        WarmupDecay(0.1, 3, "linear", 3)


def weights_of(optimizer_of, steps):
    """A table and a kernel after steps of sparse and dense gradients."""
    rng = np.random.default_rng(5)
    table, kernel = (tf.Variable(rng.normal(size=shape).astype(np.float32)) for shape in ((7, 3), (3, 2)))
    optimizer = optimizer_of([table, kernel])
    for ids in rng.integers(0, 7, [steps, 4]):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.tanh(tf.gather(table, ids) @ kernel) ** 2)
        optimizer.apply_gradients(zip(tape.gradient(loss, [table, kernel]), [table, kernel], strict=True))
    return [table.numpy(), kernel.numpy()]


class ByHand:
    """The same optimisers with their rate set before every step."""

    def __init__(self, weights, names, rates):
        self.parts = [(create_optimizer([weight], [], name, 1.0), weight, rate)
                      for name, weight, rate in zip(names, weights, rates, strict=True)]

    def apply_gradients(self, pairs):
        for (optimizer, weight, rate), (gradient, _) in zip(self.parts, pairs, strict=True):
            optimizer.learning_rate = rate(int(optimizer.iterations))
            optimizer.apply_gradients([(gradient, weight)])


@pytest.mark.parametrize("name, table_name, table_peak", [
    ("adam", "same", 0.0), ("row_sparse_adam", "same", 0.2), ("adam", "row_sparse_adam", 0.2),
    ("adagrad", "row_sparse_adam", 0.0)])
def test_every_optimizer_follows_it_step_by_step(name, table_name, table_peak):
    course = (3, "cosine", 8, 0.1)
    found = weights_of(lambda weights: create_optimizer(
        weights, weights[:1], name, WarmupDecay(0.05, *course), table_name,
        WarmupDecay(table_peak, *course) if table_peak else 0.0), 9)
    names = (name if table_name == "same" else table_name, name)
    rates = [lambda step, peak=peak: reference(step, peak, *course) for peak in (table_peak or 0.05, 0.05)]
    for value, expected in zip(found, weights_of(lambda weights: ByHand(weights, names, rates), 9), strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-6)
