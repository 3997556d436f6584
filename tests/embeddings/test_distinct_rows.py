import numpy as np
import pytest
import tensorflow as tf

from lcn_tf.embeddings.distinct_rows import dense_gradient, find_rows, merged_gradient

TABLE = tf.random.stateless_normal([29, 3], [0, 1])


@tf.function(input_signature=[{"one": tf.TensorSpec([None], tf.int64), "many": tf.TensorSpec([None, None], tf.int64),
                               "none": tf.TensorSpec([0, 5], tf.int64)}])
def found_in(batch):
    rows, places = find_rows(batch, 29, lambda ids: tf.gather(TABLE, ids), lambda ids: tf.gather(-TABLE, ids))
    for name, tensor in batch.items():
        assert places[name].shape.as_list() == tensor.shape.as_list()
    return rows, places


def test_rows_of_distinct_ids_and_places_of_every_tensor():
    rng = np.random.default_rng(1)
    for length in (0, 7):
        batch = {"one": rng.integers(0, 29, 4), "many": rng.integers(0, 29, (2, length)), "none": np.zeros((0, 5), int)}
        batch = {name: tf.constant(ids, tf.int64) for name, ids in batch.items()}
        rows, places = found_in(batch)
        distinct = {int(number) for ids in batch.values() for number in ids.numpy().ravel()}
        np.testing.assert_array_equal(rows.search, -rows.gathered)
        np.testing.assert_array_equal(rows.attended, rows.gathered)
        assert len(rows.gathered) == len(rows.ids) == len(distinct) and set(places) == set(batch)
        for name, ids in batch.items():
            np.testing.assert_array_equal(tf.gather(rows.gathered, places[name]), tf.gather(TABLE, ids))
            np.testing.assert_array_equal(tf.gather(rows.ids, places[name]), ids)


def slices(dtype=tf.float32):
    """Rows 2, 0 and 2 again."""
    return tf.IndexedSlices(tf.constant([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], dtype), tf.constant([2, 0, 2]),
                            tf.constant([4, 2]))


DENSE = np.array([[3, 4], [0, 0], [6, 8], [0, 0]], np.float32)


@pytest.mark.parametrize("gradient, expected", [
    (None, 0 * DENSE), (slices(), DENSE), (slices(tf.bfloat16), DENSE), (tf.constant(DENSE, tf.bfloat16), DENSE)],
    ids=["none", "slices", "bfloat16 slices", "bfloat16"])
def test_gradients_of_rows_become_float32_tensors(gradient, expected):
    found = dense_gradient(gradient, tf.zeros([4, 2]))
    assert found.dtype == tf.float32
    np.testing.assert_array_equal(found, expected)


def test_gradients_are_added_and_stay_sparse():
    sparse, dense = slices(), tf.constant(DENSE)
    assert merged_gradient(None, None) is None
    assert merged_gradient(sparse, None) is sparse and merged_gradient(None, sparse) is sparse
    both = merged_gradient(sparse, slices(tf.bfloat16))
    assert isinstance(both, tf.IndexedSlices) and both.values.dtype == tf.float32 and len(both.indices) == 6
    for total in (both, merged_gradient(sparse, dense), merged_gradient(dense, dense)):
        np.testing.assert_array_equal(tf.convert_to_tensor(total), 2 * DENSE)
