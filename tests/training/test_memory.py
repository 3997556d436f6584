"""The memory formula adds up what it names, and parts of a batch need less of what depends on the batch."""

import dataclasses

import pytest

from lcn_tf.training.memory import Constants, Sizes, training_bytes

SIZES = Sizes(requests=13, candidates=1, lifelong_length=101, short_length=7, embedding_dim=5, item_fields=2,
              context_fields=3, msa_top_k=23, fsa_top_k=3, table_rows=1009, unique_ids=211,
              optimizer="row_sparse_adam")
NOTHING = Constants(**{field.name: 0.0 for field in dataclasses.fields(Constants)})
STAYING = 3 * 4 * 1009 * 5 + 13 * (101 + 14) * (5 * 8 + 1)


def added(sizes=SIZES, **constants):
    return training_bytes(sizes, dataclasses.replace(NOTHING, **constants)) - training_bytes(sizes, NOTHING)


def test_tables_with_their_slots_and_the_batch_stay():
    assert training_bytes(SIZES, NOTHING) == STAYING
    assert training_bytes(dataclasses.replace(SIZES, optimizer="adagrad"), NOTHING) == STAYING - 4 * 1009 * 5


def test_terms_of_a_step():
    grouped, parts = dataclasses.replace(SIZES, candidates=3), dataclasses.replace(SIZES, microbatches=4)
    assert added(traced=1) == 2**20
    assert added(ids=1) == 13 * 4 * 101 == added(parts, ids=1)
    assert added(flat_events=1) == 13 * 4 * 101 * 10
    assert added(grouped_events=1) == 0 == added(grouped, flat_events=1)
    assert added(grouped, grouped_events=1) == 13 * 4 * 101 * 10
    assert added(kept=1) == 13 * 4 * 26 * 10 == added(grouped, kept=1) / 3
    assert added(gradients=1) == 4 * 211 * 5 == added(parts, gradients_of_parts=1)
    assert added(gradients_of_parts=1) == 0 == added(dense_update=1)
    assert added(dataclasses.replace(SIZES, optimizer="adam"), dense_update=1) == 4 * 1009 * 5


def test_of_the_phases_the_larger_counts():
    adam = dataclasses.replace(SIZES, optimizer="adam")
    assert added(adam, dense_update=1, flat_events=1) == added(flat_events=1)
    assert added(adam, dense_update=1, gradients=1) == added(adam, dense_update=1) + added(gradients=1)


def test_microbatches_divide_what_depends_on_the_batch():
    parts = dataclasses.replace(SIZES, microbatches=4)
    assert added(parts, flat_events=1) == added(flat_events=1) / 13 * 4  # requests of the largest part
    assert training_bytes(parts, NOTHING) == STAYING


def test_unknown_optimizer_is_refused():
    with pytest.raises(ValueError, match="optimizer must be one of adam, .*, got 'sgd'"):
        training_bytes(dataclasses.replace(SIZES, optimizer="sgd"))
