"""Row-sparse Adam against a plain implementation and dense Adam, and that nothing in its step is of a table's size."""

import numpy as np
import pytest
import tensorflow as tf

from lcn_tf.optimizers import RowSparseAdam

ROWS, WIDTH = 23, 3
SETTINGS = {"learning_rate": 0.05, "beta_1": 0.8, "beta_2": 0.97, "epsilon": 1e-6}


def draw(ids, seed):
    """A gradient `[len(ids), WIDTH]`."""
    return np.random.default_rng(seed).normal(size=(len(ids), WIDTH)).astype(np.float32)


def sparse(values, ids):
    return tf.IndexedSlices(tf.constant(values), tf.constant(ids, tf.int64), tf.constant([ROWS, WIDTH], tf.int64))


def dense(values, ids):
    summed = np.zeros([ROWS, WIDTH], np.float32)
    np.add.at(summed, ids, values)
    return tf.constant(summed)


def start(seed=1):
    return tf.Variable(np.random.default_rng(seed).normal(size=(ROWS, WIDTH)).astype(np.float32), name="table")


def built(optimizer, *variables):
    optimizer.build(variables)
    return optimizer


def reference(weights, steps, learning_rate, beta_1, beta_2, epsilon):
    """Row by row in float64; `steps` are pairs of ids and gradients. Returns weights and both moments."""
    w = np.array(weights, np.float64)
    m, v = np.zeros_like(w), np.zeros_like(w)
    for step, (ids, values) in enumerate(steps, start=1):
        for row in set(ids):
            gradient = sum(values[index].astype(np.float64) for index, other in enumerate(ids) if other == row)
            m[row] = beta_1 * m[row] + (1 - beta_1) * gradient
            v[row] = beta_2 * v[row] + (1 - beta_2) * gradient ** 2
            rate = learning_rate * np.sqrt(1 - beta_2 ** step) / (1 - beta_1 ** step)
            w[row] -= rate * m[row] / (np.sqrt(v[row]) + epsilon)
    return w, m, v


def steps_of(*ids):
    return [(each, draw(each, seed)) for seed, each in enumerate(ids)]


@pytest.mark.parametrize("graph", [False, True], ids=["eager", "graph"])
def test_equals_the_plain_implementation(graph):
    steps = steps_of([3, 5, 3, 22], [0], [5, 5, 5, 7, 3], [11, 0, 3], [22, 3])
    table = start()
    expected = reference(table.numpy(), steps, **SETTINGS)
    optimizer = built(RowSparseAdam(**SETTINGS), table)
    apply = optimizer.apply_gradients
    if graph:
        apply = tf.function(apply, reduce_retracing=True)
    for ids, values in steps:
        apply([(sparse(values, ids), table)])
    found = (table, optimizer._momentums[0], optimizer._velocities[0])
    for value, wanted in zip(found, expected, strict=True):
        np.testing.assert_allclose(value.numpy(), wanted, rtol=1e-5, atol=1e-6)


def test_equals_dense_adam_when_every_step_names_every_row():
    ids = [*range(ROWS), 4, 4, 0]
    tables = [start(), start()]
    optimizers = [built(RowSparseAdam(**SETTINGS), tables[0]), built(tf.keras.optimizers.Adam(**SETTINGS), tables[1])]
    for step in range(30):
        values = draw(ids, step)
        for optimizer, table, gradient in zip(optimizers, tables, (sparse, dense), strict=True):
            optimizer.apply_gradients([(gradient(values, ids), table)])
    np.testing.assert_allclose(tables[0].numpy(), tables[1].numpy(), rtol=0, atol=1e-6)


def test_dense_gradients_are_dense_adams():
    kernels = [start(), start()]
    optimizers = [built(RowSparseAdam(**SETTINGS), kernels[0]), built(tf.keras.optimizers.Adam(**SETTINGS), kernels[1])]
    for step in range(4):
        for optimizer, kernel in zip(optimizers, kernels, strict=True):
            optimizer.apply_gradients([(dense(draw([2, 3], step), [2, 3]), kernel)])
    np.testing.assert_array_equal(kernels[0].numpy(), kernels[1].numpy())


def test_rows_that_are_not_named_keep_weights_and_moments():
    table = start()
    optimizer = built(RowSparseAdam(**SETTINGS), table)
    optimizer.apply_gradients([(sparse(draw([2, 3], 0), [2, 3]), table)])
    before = [value.numpy() for value in (table, optimizer._momentums[0], optimizer._velocities[0])]
    optimizer.apply_gradients([(sparse(np.zeros([2, WIDTH], np.float32), [3, 7]), table)])
    after = [value.numpy() for value in (table, optimizer._momentums[0], optimizer._velocities[0])]
    others = [row for row in range(ROWS) if row != 3]
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old[others], new[others])
        assert np.all(old[3] != new[3])  # named with a zero gradient: its moments decay, its momentum moves it


def test_the_first_step_of_a_late_row():
    table = tf.Variable(tf.zeros([ROWS, WIDTH]))
    optimizer = built(RowSparseAdam(learning_rate=0.01), table)
    optimizer.iterations.assign(100_000)
    optimizer.apply_gradients([(sparse(np.full([1, WIDTH], 5, np.float32), [6]), table)])
    np.testing.assert_allclose(table.numpy()[6], -0.01 * 0.1 / np.sqrt(0.001), rtol=1e-4)


def graph_of_a_step(unique_ids, rows=1009):
    table = tf.Variable(tf.zeros([rows, WIDTH]))
    optimizer = built(RowSparseAdam(unique_ids=unique_ids), table)

    @tf.function
    def step(ids):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.nn.embedding_lookup(table, ids) ** 2)
        optimizer.apply_gradients([(tape.gradient(loss, table), table)])

    return step.get_concrete_function(tf.TensorSpec([None], tf.int64)).graph


@pytest.mark.parametrize("unique_ids", [False, True])
def test_no_tensor_of_a_step_has_the_tables_size(unique_ids):
    operations = graph_of_a_step(unique_ids, rows=1009).get_operations()
    shapes = [output.shape for operation in operations for output in operation.outputs]
    assert [WIDTH] in [shape[1:].as_list() for shape in shapes if shape.rank == 2]
    assert not [shape for shape in shapes if shape.rank and 1009 in shape.as_list()]


def test_unique_ids_are_not_searched_for_duplicates():
    searched, trusted = ({operation.type for operation in graph_of_a_step(unique_ids).get_operations()}
                         for unique_ids in (False, True))
    assert {"Unique", "UnsortedSegmentSum"} <= searched
    assert not {"Unique", "UnsortedSegmentSum"} & trusted


def test_unique_ids_give_the_same_result():
    tables = [start(), start()]
    for table, unique_ids in zip(tables, (False, True), strict=True):
        optimizer = built(RowSparseAdam(**SETTINGS, unique_ids=unique_ids), table)
        for ids, values in steps_of([3, 5, 22], [5, 0], [3, 22, 11]):
            optimizer.apply_gradients([(sparse(values, ids), table)])
    np.testing.assert_array_equal(tables[0].numpy(), tables[1].numpy())


@pytest.mark.parametrize("dtype", [tf.bfloat16, tf.float16])
def test_half_precision_gradients_are_summed_in_float32(dtype):
    ids = [4] * 1000
    values = np.full([1000, WIDTH], 0.25, np.float32)
    tables = [start(), start()]
    for table, kind in zip(tables, (dtype, tf.float32), strict=True):
        gradient = sparse(values, ids)
        gradient = tf.IndexedSlices(tf.cast(gradient.values, kind), gradient.indices, gradient.dense_shape)
        optimizer = built(RowSparseAdam(**SETTINGS), table)
        optimizer.apply_gradients([(gradient, table)])
        assert optimizer._momentums[0].numpy()[4] == pytest.approx((1 - SETTINGS["beta_1"]) * 250, rel=1e-6)
    np.testing.assert_array_equal(tables[0].numpy(), tables[1].numpy())


def test_tables_of_a_mixed_precision_layer_are_updated_in_float32():
    layer = tf.keras.layers.Embedding(ROWS, WIDTH, dtype="mixed_bfloat16")
    layer.build([None])
    layer.set_weights([start().numpy()])
    optimizer = built(RowSparseAdam(**SETTINGS), *layer.trainable_variables)
    steps = steps_of([3, 5, 3], [5, 0])
    for ids, values in steps:
        with tf.GradientTape() as tape:
            rows = layer(tf.constant(ids))
            loss = tf.reduce_sum(rows * tf.cast(values, rows.dtype))
        optimizer.apply_gradients(zip(tape.gradient(loss, layer.trainable_variables), layer.trainable_variables,
                                      strict=True))
    assert rows.dtype == tf.bfloat16 and optimizer._velocities[0].dtype == tf.float32
    rounded = [(ids, tf.cast(tf.cast(values, tf.bfloat16), tf.float32).numpy()) for ids, values in steps]
    expected = reference(start().numpy(), rounded, **SETTINGS)[0]
    np.testing.assert_allclose(layer.get_weights()[0], expected, rtol=1e-5, atol=1e-6)


def test_loss_scaling_skips_a_step_that_overflows():
    table = start()
    scaled = tf.keras.mixed_precision.LossScaleOptimizer(RowSparseAdam(**SETTINGS), initial_scale=8.0)
    scaled.build([table])
    steps = steps_of([3, 5, 3], [5, 0])
    expected = reference(table.numpy(), [*steps[:1], ((), ()), *steps[1:]], **SETTINGS)[0]
    infinite = np.full([1, WIDTH], np.inf, np.float32)
    for ids, values in (steps[0], ([9], infinite), steps[1]):
        with tf.GradientTape() as tape:
            scaled.get_scaled_loss(tf.constant(0.0))
            loss = tf.reduce_sum(tf.nn.embedding_lookup(table, ids) * values) * scaled.loss_scale
        gradients = scaled.get_unscaled_gradients(tape.gradient(loss, [table]))
        scaled.apply_gradients(zip(gradients, [table], strict=True))
    assert float(scaled.loss_scale) == 4.0
    np.testing.assert_allclose(table.numpy(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("saved, restored", [
    (RowSparseAdam, RowSparseAdam), (tf.keras.optimizers.Adam, RowSparseAdam)])
def test_a_checkpoint_continues(tmp_path, saved, restored):
    everything = list(range(ROWS))  # the same in dense Adam
    steps = steps_of(everything, everything, everything, [4, 2, 2], [4])
    whole, first, second = start(), start(), start(seed=2)
    optimizer = built(RowSparseAdam(**SETTINGS), whole)
    for ids, values in steps:
        optimizer.apply_gradients([(sparse(values, ids), whole)])
    optimizer = built(saved(**SETTINGS), first)
    for ids, values in steps[:3]:
        optimizer.apply_gradients([(sparse(values, ids), first)])
    path = tf.train.Checkpoint(table=first, optimizer=optimizer).write(str(tmp_path / "checkpoint"))
    optimizer = built(restored(**SETTINGS), second)
    tf.train.Checkpoint(table=second, optimizer=optimizer).read(path).assert_consumed()
    for ids, values in steps[3:]:
        optimizer.apply_gradients([(sparse(values, ids), second)])
    np.testing.assert_allclose(second.numpy(), whole.numpy(), rtol=0, atol=0 if saved is RowSparseAdam else 1e-6)


def test_a_learning_rate_schedule_is_followed():
    schedule = tf.keras.optimizers.schedules.PiecewiseConstantDecay([0], [0.5, 0.0])
    table = start()
    before = table.numpy()
    optimizer = built(RowSparseAdam(schedule), table)
    changes = []
    for _ in range(2):
        optimizer.apply_gradients([(sparse(draw([1], 0), [1]), table)])
        changes.append(np.abs(table.numpy() - before).max())
        before = table.numpy()
    assert changes[0] == pytest.approx(0.5, rel=1e-3) and changes[1] == 0


def test_configuration_round_trip():
    optimizer = RowSparseAdam(**SETTINGS, unique_ids=True, name="mine")
    again = tf.keras.optimizers.deserialize(tf.keras.optimizers.serialize(optimizer))
    assert isinstance(again, RowSparseAdam)
    assert again.get_config() == optimizer.get_config()
    assert again.get_config() == {**SETTINGS, "learning_rate": pytest.approx(0.05), "unique_ids": True, "name": "mine"}


@pytest.mark.parametrize("change, message", [
    ({"beta_1": 1.0}, r"beta_1 must be in \[0, 1\), got 1.0"), ({"beta_2": -0.1}, "beta_2 must be in"),
    ({"epsilon": 0.0}, "epsilon must be positive, got 0.0")])
def test_impossible_settings_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        RowSparseAdam(**change)


def test_what_would_touch_every_row_is_refused():
    with pytest.raises(TypeError, match="weight_decay"):
        RowSparseAdam(weight_decay=0.1)
