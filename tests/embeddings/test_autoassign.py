"""Shared rows and rows of one's own: against plain Python, in a model's step, on replicas, resumed and exported."""

import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from lcn_tf.contracts import TableSpec
from lcn_tf.data import records
from lcn_tf.data.pipeline import flat_rows, grouped_rows
from lcn_tf.data.record_files import RecordFiles
from lcn_tf.embeddings.tables import autoassign
from lcn_tf.optimizers import create_optimizer
from lcn_tf.optimizers.slots import begin_anew, slots_of
from lcn_tf.serving.export import export_model
from lcn_tf.serving.verify import verify_export
from lcn_tf.training import predict
from lcn_tf.training.distributed_input import evaluation_batches
from lcn_tf.training.recycled_rows import put_back, rows_of
from tests import synthetic
from tests.embeddings import autoassign_replicas as small

ROWS, WIDTH = 23, 5
_WORD = 2**64


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    synthetic.write_records(folder, groups={"train": 71, "validation": 7, "test": 11}, seed=3)
    return str(folder)


def new_table(**options):
    tf.keras.utils.set_random_seed(5)
    config = autoassign.Config(**{"capacity": 0.2, "min_events": 2, "shared_rows": 3, "codes": 7, **options})
    return autoassign.build(config, TableSpec("item", ROWS, WIDTH, tf.keras.initializers.RandomNormal(stddev=0.3)))


def stepper(table):
    """A function that reads some ids in a step and returns the rows that were given."""
    give = tf.function(table.give_rows, input_signature=[tf.TensorSpec([None], tf.int64), tf.TensorSpec([None, WIDTH]),
                                                         tf.TensorSpec([None], tf.bool), tf.TensorSpec([2], tf.int64)])

    def read(step, ids, norms=1.0, seen=True):
        gradient = np.zeros([len(ids), WIDTH], np.float32)
        gradient[:, 1] = norms
        return give(np.array(ids, np.int64), gradient, np.full(len(ids), seen), np.array([3, step])).numpy().tolist()

    return read


def splitmix(state):
    state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 % _WORD
    state = (state ^ state >> 27) * 0x94D049BB133111EB % _WORD
    return state ^ state >> 31


def reference_vector(table, number):
    """The vector of an id, one number after the other."""
    row = int(table.row_of[number])
    if row > 0:
        return table.own_rows[row].numpy()
    codes, logits = table.codes.numpy().astype(np.float64), np.zeros(3)
    state = number
    for place in range(2):
        state = splitmix((state + 0x9E3779B97F4A7C15) % _WORD)
        signed = state - _WORD if state >= _WORD // 2 else state
        logits += codes[place, 0 if number < 2 else 1 + signed % 7]
    logits += table.count_logits.numpy()[min(int(np.log2(1 + int(table.counts[number]))), 8)]
    weights = np.exp(logits - logits.max())
    return weights / weights.sum() @ table.shared.numpy()


def test_vectors_are_own_rows_or_mixtures():
    table = new_table()
    table.row_of.assign(tf.tensor_scatter_nd_update(table.row_of, [[7], [11]], [2, 4]))
    table.own_rows.assign(np.random.default_rng(1).normal(size=table.own_rows.shape))
    table.count_logits.assign(np.random.default_rng(2).normal(size=table.count_logits.shape))
    table.counts.assign(np.random.default_rng(3).integers(0, 600, ROWS))
    ids = tf.constant([[7, 0, 1], [22, 11, 5], [22, 9, 8]], tf.int64)
    expected = [[reference_vector(table, int(number)) for number in line] for line in ids.numpy()]
    np.testing.assert_allclose(table.rows(ids), expected, rtol=2e-5, atol=1e-6)
    assert table.rows(tf.zeros([2, 0], tf.int64)).shape == (2, 0, WIDTH)


def test_gradients_name_a_row_once_and_are_dense_for_what_ids_share():
    table = new_table()
    table.row_of.assign(tf.tensor_scatter_nd_update(table.row_of, [[7], [11]], [2, 4]))
    with tf.GradientTape() as tape:
        vectors = table.rows(tf.constant([3, 7, 2, 11, 9], tf.int64))
    own, *others = tape.gradient(vectors, [table.own_rows, table.shared, table.codes, table.count_logits])
    assert own.indices.numpy().tolist() == [2, 4] and own.values.shape == (2, WIDTH)
    assert all(isinstance(gradient, tf.Tensor) for gradient in others)
    with tf.GradientTape() as tape:
        vectors = table.rows(tf.constant([3, 9], tf.int64))
    own = tape.gradient(vectors, table.own_rows)  # of nobody's row, without which replicas cannot add up
    assert own.indices.numpy().tolist() == [0] and not np.any(own.values)


def reference_books(policy, half_life, rows, stream, min_events=2):
    """`row_of` and reads by id after a stream of steps, in dicts."""
    row_of, counts, last, weight = {}, {}, {}, {}
    for now, ids in enumerate(stream):
        for number in (number for number in sorted(ids) if number in row_of):
            waited = now - last[number]
            last[number], weight[number] = now, 1 + weight[number] * 0.5 ** (waited / half_life)
        waiting = [number for number in sorted(ids) if number not in row_of and counts.get(number, 0) + 1 >= min_events]
        for number in sorted(waiting, key=lambda number: -counts.get(number, 0)):
            free = [row for row in range(1, rows) if row not in row_of.values()]
            idle = [other for other in row_of if last[other] < now]
            if free:
                row = free[0]
            elif idle:
                worth = {other: last[other] if policy == "recent" else
                         weight[other] * 0.5 ** ((now - last[other]) / half_life) for other in idle}
                other = min(idle, key=lambda one: (worth[one], row_of[one]))
                row = row_of.pop(other)
                counts[other] = 0
            else:
                break
            row_of[number], last[number], weight[number] = row, now, counts.get(number, 0) + 1
        for number in ids:
            counts[number] = counts.get(number, 0) + 1
    return row_of, counts


@pytest.mark.parametrize("policy", ["recent", "frequent"])
def test_rows_go_to_whom_plain_books_give_them(policy):
    table, rng = new_table(policy=policy, half_life=3), np.random.default_rng(4)
    popular = 1 / np.arange(3, ROWS + 1)
    stream = [rng.choice(np.arange(2, ROWS), rng.integers(0, 5), replace=False, p=popular / popular.sum())
              for _ in range(60)]
    read = stepper(table)
    for step, ids in enumerate(stream):
        read(step, ids)
    row_of, counts = reference_books(policy, 3, table.owner.shape[0], [ids.tolist() for ids in stream])
    found = table.row_of.numpy()
    assert {number: row for number, row in enumerate(found) if row > 0} == row_of
    assert len(row_of) == table.owner.shape[0] - 1 == 5
    for number, row in row_of.items():
        assert table.owner.numpy()[row] == number
    np.testing.assert_array_equal(table.counts, [counts.get(number, 0) for number in range(ROWS)])


def test_a_promotion_changes_no_vector_and_only_seen_ids_count():
    table = new_table(min_events=3, capacity=1.0)
    ids, read = [4, 21, 9, 13], stepper(table)
    for step in range(2):
        assert read(step, ids) == []
        assert read(step, [6], seen=False) == []
    table.count_logits.assign(np.random.default_rng(2).normal(size=table.count_logits.shape))
    before = table.rows(tf.constant(ids, tf.int64))
    assert read(2, [13, 9, 21]) == [1, 2, 3]
    np.testing.assert_allclose(table.rows(tf.constant(ids, tf.int64)), before, rtol=1e-6)
    assert table.row_of.numpy()[[4, 21, 9, 13, 6]].tolist() == [0, 3, 1, 2, 0]
    assert table.counts.numpy()[[4, 21, 9, 13, 6]].tolist() == [2, 3, 3, 3, 0]


@pytest.mark.parametrize("tables", [{}, {"table_name": "adagrad"}])
def test_slots_of_given_rows_begin_anew(tables):
    table = new_table()
    optimizer = create_optimizer(table.trainable_weights, [table.own_rows], "row_sparse_adam", 0.1, **tables)
    slots = slots_of(optimizer, table.own_rows)
    first = [slot.numpy() for slot in slots]
    assert len(slots) == (1 if tables else 2)
    for slot in slots:
        slot.assign(slot + 1)
    begin_anew(optimizer, table.own_rows, tf.constant([3, 1]))
    for slot, before in zip(slots, first, strict=True):
        np.testing.assert_array_equal(slot.numpy() - before, np.isin(np.arange(6), [1, 3], invert=True)[:, None] * 1.0
                                      + np.zeros([6, WIDTH]))


def test_an_actor_learns_which_rows_are_worth_their_memory():
    table = new_table(policy="actor_critic", capacity=1.0, period=2, patience=3, row_cost=0.5)
    ids, norms, read = np.arange(2, 12), np.repeat([1e-4, 2.0], 5), stepper(table)
    for step in range(4):
        read(step, ids, norms)
    assert (table.row_of.numpy()[ids] > 0).all()
    lost = np.zeros(ROWS, int)
    for step in range(4, 900):
        before = table.row_of.numpy() > 0
        read(step, ids, norms)
        lost += before & (table.row_of.numpy() == 0)
    assert lost[2:7].min() > 0 and lost[7:].max() == 0
    assert np.isfinite(table.keeper.states).all()


def batches_of(schema, layout, count=6):
    groups = [synthetic.make_groups(schema, 5, seed=seed, offsets=True) for seed in range(count)]
    return groups, [layout(schema, tf.constant([records.encode(schema, group) for group in batch]),
                           small.DATA.lengths_of(schema)) for batch in groups]


def seen_by_hand(schema, groups):
    """Ids of the table that a candidate of some groups sees."""
    found = set()
    for group in groups:
        found.update(group["item_id"])
        for history, length in small.DATA.lengths_of(schema).items():
            for offset in group[f"{history}_offset"]:
                found.update(group[f"{history}_item_id"][offset:offset + length])
    return {number for number in found if number > 1}


def test_a_step_counts_what_candidates_see_and_gives_rows_after_the_update():
    schema, found = synthetic.make_schema(), []
    for layout in (grouped_rows, flat_rows):
        groups, batches = batches_of(schema, layout)
        model = small.new_model(schema, objectives=("crp",))
        table, expected = small.table_of(model), np.zeros(61, int)
        given_rows = set()
        for group, batch in zip(groups[:2], batches, strict=False):
            model.train_step(batch)
            for number in seen_by_hand(schema, group):
                expected[number] += 1
            np.testing.assert_array_equal(table.counts, expected)
        promoted = np.flatnonzero(table.row_of.numpy())
        assert 2 < len(promoted) == min((expected >= 2).sum(), table.owner.shape[0] - 1)
        given_rows = table.row_of.numpy()[promoted]
        own, counts = table.own_rows.numpy()[given_rows], table.counts.numpy()
        table.row_of.assign(tf.zeros_like(table.row_of))
        table.counts.assign(np.maximum(counts - 1, 0))  # as before the step
        np.testing.assert_allclose(own, table.rows(tf.constant(promoted)), rtol=1e-6)
        for slot in slots_of(model.optimizer, table.own_rows):
            assert not np.any(slot.numpy()[given_rows])
        found.append([expected, promoted])
    np.testing.assert_array_equal(found[0][0], found[1][0])
    np.testing.assert_array_equal(found[0][1], found[1][1])


@pytest.mark.parametrize("policy", ["recent", "actor_critic"])
def test_a_resumed_training_goes_on_exactly_and_evaluation_changes_nothing(policy, tmp_path):
    schema = synthetic.make_schema()
    _, batches = batches_of(schema, grouped_rows)

    def step_of(model):
        return tf.function(model.train_step, input_signature=[
            {name: tf.TensorSpec([None] * value.shape.rank, value.dtype) for name, value in batches[0].items()}])

    model = small.new_model(schema, policy)
    step = step_of(model)
    for batch in batches[:4]:
        step(batch)
    path = tf.train.Checkpoint(model=model).save(str(tmp_path / "checkpoint"))
    before = small.state(model)
    model.predict_step(batches[5])
    for name, values in small.state(model).items():
        np.testing.assert_array_equal(values, before[name], err_msg=name)
    for batch in batches[3:]:
        step(batch)
    table, again = small.table_of(model), small.new_model(schema, policy)
    tf.train.Checkpoint(model=again).restore(path).assert_existing_objects_matched()
    step = step_of(again)
    for batch in batches[3:]:
        step(batch)
    for name, values in small.state(again).items():
        np.testing.assert_array_equal(values, small.state(model)[name], err_msg=name)
    owners = table.owner.numpy()
    assert len(owners) == 19 and (owners > 0).sum() > 5
    np.testing.assert_array_equal(table.row_of.numpy()[owners[owners > 0]], np.flatnonzero(owners))


def test_an_id_that_gets_another_meaning_loses_its_row():
    schema = synthetic.make_schema()
    model = small.new_model(schema)
    table, kept = small.table_of(model), rows_of(model, {small.TABLE: np.array([5], np.int64)})
    ids = tf.constant([5, 9], tf.int64)
    for step in range(2):
        table.give_rows(ids, tf.zeros([2, 4]), tf.constant([True, True]), tf.constant([1, step], tf.int64))
    put_back(kept)
    assert table.row_of.numpy()[[5, 9]].tolist() == [0, 2] and table.counts.numpy()[[5, 9]].tolist() == [0, 2]
    for step in range(2, 4):
        table.give_rows(tf.constant([8], tf.int64), tf.zeros([1, 4]), tf.constant([True]),
                        tf.constant([1, step], tf.int64))
    assert table.row_of.numpy()[8] == 1  # the free row


@pytest.mark.slow
def test_replicas_take_the_same_decisions(data_dir, tmp_path):
    script = pathlib.Path(small.__file__)
    environment = {**os.environ, "PYTHONPATH": str(script.parent.parent.parent)}
    done = subprocess.run([sys.executable, str(script), data_dir, str(tmp_path / "found"), "17"], env=environment,
                          text=True, stderr=subprocess.PIPE, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    one, two = (dict(np.load(tmp_path / f"found-{name}.npz")) for name in ("one", "two"))
    assert one.keys() == two.keys()
    for name, values in one.items():
        if np.issubdtype(values.dtype, np.integer):
            np.testing.assert_array_equal(two[name], values, err_msg=name)
        else:
            np.testing.assert_allclose(two[name], values, rtol=1e-4, atol=1e-5, err_msg=name)


@pytest.mark.slow
def test_an_export_answers_as_the_model(data_dir, tmp_path):
    files = RecordFiles.open(data_dir)
    model = small.new_model(files.schema)
    _, batches = batches_of(files.schema, grouped_rows)
    for batch in batches:
        model.train_step(batch)
    assert small.table_of(model).row_of.numpy().any()
    predict(model, evaluation_batches(model.distribute_strategy, files, "test", small.DATA, 17))
    path = export_model(model, str(tmp_path / "saved_model"), files, small.DATA)
    assert verify_export(path).max_difference < 1e-5
    held = {tuple(shape) for name, shape in tf.train.list_variables(f"{path}/variables/variables")
            if "inference_weights" in name}
    assert {(61,), (19, 4), (3, 4), (2, 6, 3), (9, 3)} <= held and (19,) not in held  # no owners, no keeper


@pytest.mark.parametrize("options, message", [
    ({"capacity": 0.0}, "autoassign.capacity must be above 0 and at most 1, got 0.0"),
    ({"min_events": 0}, "autoassign.min_events must be at least 1, got 0"),
    ({"row_cost": float("nan")}, "autoassign.row_cost must be a number of at least 0, got nan"),
])
def test_impossible_options(options, message):
    with pytest.raises(ValueError, match=message):
        autoassign.Config(**options)
