"""Tables of codes with learnt step sizes: beside a plain step in NumPy, by properties of rounding, in whole models."""

import dataclasses
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from lcn_tf.contracts import RowState, SecondPass, TableSpec, TableStep
from lcn_tf.data.pipeline import RecordFiles
from lcn_tf.embeddings.tables import alpt
from lcn_tf.layers import StatelessDropout
from lcn_tf.models import ModelConfig, table_updates
from lcn_tf.serving import export_model, verify_export
from lcn_tf.training.memory import table_bytes
from lcn_tf.training.recycled_rows import put_back, rows_of
from tests import synthetic
from tests.embeddings import alpt_model
from tests.optimizers.test_strategies import free_ports

SCRIPT = pathlib.Path(alpt_model.__file__)
ROWS, WIDTH = 13, 3
UNIFORM = tf.keras.initializers.RandomUniform(-0.5, 0.5, seed=3)


def new_table(seed=5, rows=ROWS, width=WIDTH, initializer=UNIFORM, name="brand", **options):
    table = alpt.build(alpt.Config(**options), TableSpec(name, rows, width, initializer, seed=seed))
    table.build_slots()
    return table


def told(number, rate=0.01, impressions=7.0):
    return TableStep(tf.constant(number, tf.int64), tf.constant(rate), tf.constant(impressions))


def ids_of(*ids):
    return tf.constant(ids, tf.int64)


def test_published_numbers_of_four_bits():
    wanted = np.float32([0.37, -1.2, 0.05]) / np.float32(0.1)
    np.testing.assert_allclose(alpt.slope(tf.constant(wanted), 7), [0.3, -8.0, 0.5], rtol=1e-5)
    np.testing.assert_allclose(0.1 * alpt.cut(tf.floor(wanted + 0.5), 7), [0.4, -0.8, 0.1], rtol=1e-5)
    lots = alpt.cut(alpt.rounded(tf.constant(wanted[np.newaxis].repeat(10_000, 1)), ids_of(4), ids_of(1, 2)), 7)
    lots = lots.numpy().reshape([3, 10_000])
    np.testing.assert_allclose(lots.mean(1), [3.7, -8.0, 0.5], atol=0.02)
    assert [set(of_one) for of_one in lots] == [{3, 4}, {-8}, {0, 1}]


@pytest.mark.parametrize("bits", [8, 16])
def test_the_mean_of_what_is_stored_is_what_was_wanted(bits):
    table, number = new_table(bits=bits, width=2000, delta_learning_rate=0.0), 10
    wanted = tf.random.stateless_uniform([ROWS, 2000], [1, 2], -100.0, 100.0).numpy()
    ids, total = tf.range(ROWS, dtype=tf.int64), 0.0
    for step in range(number):
        table.store(ids, wanted, tf.zeros_like(wanted), told(step))
        codes = table.codes.numpy().astype(np.float64)
        assert np.abs(codes - wanted).max() < 1
        total += (codes - wanted).mean()
    assert abs(total / number) < 4 * 0.5 / np.sqrt(number * ROWS * 2000)
    table.store(ids, 1e6 * np.sign(wanted), tf.zeros_like(wanted), told(0))
    assert {table.codes.numpy().min(), table.codes.numpy().max()} == {-2 ** (bits - 1), 2 ** (bits - 1) - 1}


class PlainAdam:
    """Adam's moments of single rows."""

    def __init__(self, shape):
        self.m, self.v = np.zeros(shape), np.zeros(shape)

    def change(self, ids, gradient, number):
        self.m[ids] = 0.9 * self.m[ids] + 0.1 * gradient
        self.v[ids] = 0.999 * self.v[ids] + 0.001 * gradient**2
        correction = np.sqrt(1 - 0.999 ** (number + 1)) / (1 - 0.9 ** (number + 1))
        return correction * self.m[ids] / (np.sqrt(self.v[ids]) + 1e-7)


@pytest.mark.parametrize("every", [1, 2])
def test_steps_are_those_of_a_plain_implementation(every):
    table, rng = new_table(every=every, delta_learning_rate=1e-3), np.random.default_rng(0)
    codes, deltas = (variable.numpy().astype(np.float64) for variable in table.stored)
    np.testing.assert_allclose(deltas, np.abs(UNIFORM([ROWS, WIDTH])).max(1) / 127, rtol=1e-6)
    np.testing.assert_allclose(codes * deltas[:, np.newaxis], UNIFORM([ROWS, WIDTH]), atol=deltas.max() / 1.9)
    of_rows, of_deltas = PlainAdam([ROWS, WIDTH]), PlainAdam([ROWS])
    for number in range(5):
        ids = rng.permutation(ROWS)[:5]
        first, second = rng.normal(size=(2, 5, WIDTH))
        wanted = deltas[ids, np.newaxis] * codes[ids] - 0.05 * of_rows.change(ids, first, number)
        before = wanted / deltas[ids, np.newaxis]
        nearest = np.clip(np.floor(before + 0.5), -128, 127)
        by_delta = np.where(before <= -128, -128, np.where(before >= 127, 127, np.floor(before + 0.5) - before))
        step = told(number, 0.05)
        found = table.wanted(ids_of(*ids), tf.constant(first, tf.float32), step)
        np.testing.assert_allclose(found, before, rtol=2e-5, atol=2e-4)
        np.testing.assert_allclose(table.nearest(ids_of(*ids), found), nearest * deltas[ids, np.newaxis], rtol=2e-5)
        if number % every == 0:
            gradient = (by_delta * second).sum(1) / np.sqrt(7 * WIDTH * 127)
            change = of_deltas.change(ids, gradient, number // every)
            deltas[ids] = np.maximum(deltas[ids] - 1e-3 * change, deltas[ids] / 2)
        table.store(ids_of(*ids), found, tf.constant(second, tf.float32), step)
        np.testing.assert_allclose(table.deltas, deltas, rtol=2e-5)
        exact = np.clip(wanted / deltas[ids, np.newaxis], -128, 127)
        assert np.abs(table.codes.numpy()[ids] - exact).max() < 1 + 1e-4  # one of the two neighbours
        codes[ids] = table.codes.numpy()[ids]
        np.testing.assert_array_equal(table.codes, codes)  # no other row


def test_lots_depend_on_seed_name_step_and_id_alone():
    wanted = tf.random.stateless_uniform([ROWS, WIDTH], [1, 2], -100.0, 100.0)

    def stored(table, order, number):
        order = tf.constant(order, tf.int64)
        table.store(order, tf.gather(wanted, order), tf.zeros([ROWS, WIDTH]), told(number))
        return table.codes.numpy()

    expected = stored(new_table(), np.arange(ROWS), 3)
    np.testing.assert_array_equal(stored(new_table(), np.random.default_rng(1).permutation(ROWS), 3), expected)
    others = [stored(new_table(), np.arange(ROWS), 4), stored(new_table(seed=6), np.arange(ROWS), 3),
              stored(new_table(name="shop"), np.arange(ROWS), 3)]
    assert not any(np.array_equal(other, expected) for other in others)


def test_rows_without_gradient_stay_to_the_bit_and_one_number_per_row_is_enough():
    table = new_table(rows=1009, moments="row")
    ids, before = tf.range(1009, dtype=tf.int64), [variable.numpy() for variable in table.stored]
    for number in range(3):
        still = table.wanted(ids, tf.zeros([1009, WIDTH]), told(number))
        table.store(ids, still, tf.zeros([1009, WIDTH]), told(number))
    for variable, value in zip(table.stored, before, strict=True):
        np.testing.assert_array_equal(variable, value)
    change = table.wanted(ids, tf.ones([1009, WIDTH]), told(0))  # like Adam's first step without momentum
    change = tf.cast(table.codes, tf.float32) - change
    np.testing.assert_allclose(change * table.deltas[:, np.newaxis], 0.01, rtol=1e-3)
    assert [slot.shape for slot in table.slots] == 3 * [[1009]]
    assert isinstance(table, SecondPass) and isinstance(table, RowState)


@pytest.mark.parametrize("options, message", [
    ({"bits": 4}, "alpt.bits must be one of 8, 16, got 4"), ({"every": 0}, "alpt.every must be at least 1, got 0"),
    ({"initial_delta": -1.0}, "alpt.initial_delta must be a number of at least 0, got -1.0"),
    ({"moments": "none"}, "alpt.moments must be one of full, row, got 'none'")])
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        alpt.Config(**options)


def test_one_entry_gives_all_tables_a_kind():
    tables = ("item", "category", "user")
    assert ModelConfig(tables=("*:alpt",)).kinds_of(tables) == dict.fromkeys(tables, "alpt")
    assert ModelConfig(tables=("item:dense", "*:alpt")).kinds_of(tables) == {"category": "alpt", "user": "alpt"}
    assert ModelConfig(tables=("item:alpt",)).kinds_of(tables) == {"item": "alpt"}
    assert ("tables", "alpt") in ModelConfig(tables=("item:dense", "*:alpt")).parts
    with pytest.raises(ValueError, match="model.tables names shop; known: category, item, user, and \\* for all"):
        ModelConfig(tables=("shop:alpt",)).kinds_of(tables)
    with pytest.raises(ValueError, match="model.tables names a table twice"):
        ModelConfig(tables=("*:alpt", "*:dense"))


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    synthetic.write_records(folder, groups={"train": 47, "validation": 17, "test": 19}, seed=3)
    return str(folder)


def test_the_second_pass_is_the_gradient_at_the_nearest_codes_of_every_table(data_dir, monkeypatch):
    files = RecordFiles.open(data_dir)
    model, seen = alpt_model.new_model(files), {}
    batch = next(iter(alpt_model.batches_of(files)))
    monkeypatch.setattr(alpt.AlptTable, "store", lambda table, ids, wanted, gradient, step: seen.update(
        {table.name: (ids, wanted, gradient)}))
    state = table_updates.forward_state(model)
    monkeypatch.setattr(StatelessDropout, "call", lambda layer, inputs, training=None: inputs)
    model.train_step(batch)
    assert set(seen) == set(model.embedder.tables.tables)
    once = [variable.numpy() for variable in state]
    for name, (ids, wanted, _) in seen.items():
        codes = model.embedder.tables.tables[name].codes
        nearest = tf.cast(alpt.cut(tf.floor(wanted + 0.5), 127), tf.int8)
        codes.scatter_update(tf.IndexedSlices(nearest, ids))
    model.optimizer.iterations.assign(0)  # the same draws of the objectives
    step = model._inputs(model.embedder.look_up(model._with_items(batch)), batch)
    expected = model._differentiated(step, [])[3]
    for name, (ids, _, gradient) in seen.items():
        found = dict(zip(*(values.numpy().tolist() for values in step.of_table(name, expected)), strict=True))
        np.testing.assert_allclose(gradient, [found[row] for row in ids.numpy()], rtol=1e-4, atol=1e-6, err_msg=name)
    assert any(float(tf.reduce_max(tf.abs(gradient))) > 1e-3 for _, _, gradient in seen.values())
    assert len(state) == 3 and not np.array_equal(once[0], state[0])  # the pass of this test moved it on once more


def test_a_checkpoint_is_continued_exactly_and_an_export_holds_codes(data_dir, tmp_path):
    files = RecordFiles.open(data_dir)
    whole, first, second = (alpt_model.new_model(files) for _ in range(3))
    batches = list(alpt_model.batches_of(files).take(4))
    for batch in batches:
        whole.train_step(batch)
    for batch in batches[:2]:
        first.train_step(batch)
    path = tf.train.Checkpoint(model=first).write(str(tmp_path / "checkpoint"))
    tf.train.Checkpoint(model=second).read(path).assert_existing_objects_matched()
    for batch in batches[2:]:
        second.train_step(batch)
    for name, table in whole.embedder.tables.tables.items():
        other = second.embedder.tables.tables[name]
        for found, wanted in zip([*other.stored, *other.slots], [*table.stored, *table.slots], strict=True):
            np.testing.assert_array_equal(found, wanted, err_msg=name)

    path = export_model(second, str(tmp_path / "saved_model"), files, alpt_model.DATA)
    assert verify_export(path).max_difference < 1e-5
    reader = tf.train.load_checkpoint(f"{path}/variables/variables")
    dtypes = reader.get_variable_to_dtype_map()
    held = [(dtypes[name], shape) for name, shape in reader.get_variable_to_shape_map().items() if name in dtypes]
    for name in ("item", "category", "user"):  # others are not read by a mean of the lifelong history
        shape = second.embedder.tables.tables[name].codes.shape.as_list()
        assert (tf.int8, shape) in held and (tf.float32, shape) not in held, name


def test_a_row_that_is_given_to_another_value_begins_anew(data_dir):
    files = RecordFiles.open(data_dir)
    model, ids = alpt_model.new_model(files), np.array([2, 5], np.int64)
    table = model.embedder.tables.tables["item"]
    state = [*table.stored, *table.slots]
    untrained, kept = [value.numpy() for value in state], rows_of(model, {"item": ids})
    for batch in alpt_model.batches_of(files).take(4):
        model.train_step(batch)
    trained_values = [value.numpy() for value in state]
    put_back(kept)
    others = np.setdiff1d(np.arange(len(untrained[0])), ids)
    assert len(state) == 6 and kept[0].variable is table.codes
    for before, after, value in zip(untrained, trained_values, state, strict=True):
        assert (after[ids] != before[ids]).any()
        np.testing.assert_array_equal(value.numpy()[ids], before[ids])
        np.testing.assert_array_equal(value.numpy()[others], after[others])
        assert not before[0].any() or np.array_equal(after[0], before[0])  # padding is never trained


def test_memory_of_tables(data_dir):
    files = RecordFiles.open(data_dir)
    wide = dataclasses.replace(alpt_model.EMBEDDINGS, embedding_dim=64, dims=())
    codes, floats = (table_bytes(alpt_model.new_model(files, wide, tables)) for tables in (("*:alpt",), ()))
    assert codes.stored <= 0.3 * floats.stored and codes.slots > floats.slots == 2 * floats.stored


def run(*arguments):
    environment = {**os.environ, "PYTHONPATH": str(SCRIPT.parent.parent.parent)}
    done = subprocess.run([sys.executable, str(SCRIPT), *map(str, arguments)], env=environment, text=True,
                          stderr=subprocess.PIPE, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.slow
def test_parameter_servers_hold_parts_of_a_table(tmp_path):
    run("", tmp_path / "servers.npz", *free_ports(3))
    found, expected = np.load(tmp_path / "servers.npz"), alpt_model.steps_of_a_table(tf.distribute.get_strategy())
    assert (found["parts"], expected.pop("parts")) == (4, 2)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-5, atol=1e-7, err_msg=name)


def check(found, expected):
    """Compares states; what floats are rounded to may turn a lot."""
    assert set(found) == set(expected)
    for name, values in expected.items():
        if values.dtype == np.int8:
            apart = np.abs(found[name].astype(int) - values)
            assert apart.max() <= 1 and apart.mean() < 0.002, name
        else:
            np.testing.assert_allclose(found[name], values, rtol=1e-4, atol=1e-6, err_msg=name)


def test_parts_of_a_batch_change_nothing(data_dir):
    files, found = RecordFiles.open(data_dir), []
    for microbatches in (1, 3):
        model = alpt_model.new_model(files, tower="mlp", microbatches=microbatches, delta_learning_rate=1e-3)
        model.train_step(next(iter(alpt_model.batches_of(files))))
        found.append(alpt_model.state_of(model))
    check(*found)


@pytest.mark.slow
def test_replicas_change_nothing(data_dir, tmp_path):
    run(data_dir, tmp_path)
    check(*(dict(np.load(tmp_path / f"{count}.npz")) for count in (2, 1)))
