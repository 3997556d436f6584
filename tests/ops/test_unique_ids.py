import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from lcn_tf.ops.unique_ids import unique_ids

ROWS = [1, 7, 8, 9, 100, 10**6]
TRACED = {rows: tf.function(lambda ids, rows=rows: unique_ids(ids, rows), input_signature=[
    tf.TensorSpec([None], tf.int64)]) for rows in ROWS}


def assert_right(ids, unique, places):
    assert (unique.dtype, places.dtype) == (tf.int64, tf.int32)
    assert sorted(unique.numpy()) == sorted(set(ids))
    np.testing.assert_array_equal(tf.gather(unique, places), ids)


@given(st.data(), st.sampled_from(ROWS), st.sampled_from([0, 1, 2, 13]))
def test_distinct_ids_and_their_places(data, rows, count):
    """By marks and by hashes: the table is shorter than eight times the ids, or longer."""
    ids = data.draw(st.lists(st.integers(0, rows - 1), min_size=count, max_size=count))
    tensor = tf.constant(ids, tf.int64)
    for function in (lambda ids: unique_ids(ids, rows), TRACED[rows]):
        assert_right(ids, *function(tensor))


@pytest.mark.parametrize("wrong", [-1, 30])
def test_an_id_outside_the_table_is_refused(wrong):
    with pytest.raises(tf.errors.InvalidArgumentError):
        unique_ids(tf.constant([3, 1, wrong, 2], tf.int64), 30)
