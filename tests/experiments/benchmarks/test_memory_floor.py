"""The floor of memory traffic moves what it says."""

import numpy as np
import tensorflow as tf

from experiments.benchmarks.memory_floor import MemoryFloor


def test_the_floor_reads_every_event_and_adds_it_to_its_row():
    ids = np.array([[2, 3, 2], [5, 2, 6]])
    table = np.arange(35, dtype=np.float32).reshape(7, 5)
    floor = MemoryFloor({"lifelong_source_item_id": tf.constant(ids)}, tf.Variable(table))
    assert floor() == table[ids].sum()
    expected = np.stack([3 * table[2], table[3], table[5], table[6]])
    np.testing.assert_allclose(floor.gradient, expected)
