"""Every row of a global batch is in exactly one replica's share, in order; workers take turns through an epoch."""

import numpy as np
import pytest
import tensorflow as tf

from lcn_tf.data import pipeline
from lcn_tf.training.distributed_input import in_turn, shares
from tests import synthetic


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    data_dir = tmp_path_factory.mktemp("data")
    synthetic.write_records(data_dir, seed=3, offsets=True, groups={"train": 19, "validation": 2, "test": 2})
    return pipeline.RecordFiles.open(str(data_dir))


@pytest.mark.parametrize("layout", ["flat", "grouped"])
def test_shares_make_up_the_global_batches(files, layout):
    workers, local, batch_size = 2, 2, 7  # some grouped batches have fewer requests than there are replicas
    data = pipeline.DataConfig(layout=layout, short_length=3, lifelong_length=11, shuffle_buffer=50)
    arguments = (files, "train", data, batch_size, (7, 1))
    found = [list(shares(pipeline.parse(pipeline.cut(*arguments), files, data, batch_size, (index, workers)), local))
             for index in range(workers)]
    whole = list(pipeline.read(*arguments))
    assert {len(parts) for parts in found} == {len(whole) * local}
    for step, batch in enumerate(whole):
        parts = [part for worker in found for part in worker[step * local:(step + 1) * local]]
        for name, values in batch.items():
            np.testing.assert_array_equal(np.concatenate([part[name] for part in parts]), values, err_msg=name)
        rows = [len(part["user_key"]) for part in parts]
        assert max(rows) - min(rows) <= 1


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_workers_take_turns(workers):
    dataset = tf.data.Dataset.range(11)
    first = [[int(value) for value in in_turn(dataset, workers, index).take(11)] for index in range(workers)]
    own = [row[:len(range(index, 11, workers))] for index, row in enumerate(first)]
    assert sorted(value for row in own for value in row) == list(range(11))  # together, each once
    assert all(sorted(row) == list(range(11)) for row in first)  # and so does a worker that is left alone
    again = [int(value) for value in in_turn(dataset, workers, 0).take(22)]
    assert again[11:] == again[:11]
