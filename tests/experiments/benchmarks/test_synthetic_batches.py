"""Batches of the benchmarks are batches of the pipeline in all but their content."""

import collections

import numpy as np
import pytest
import tensorflow as tf

from experiments.benchmarks.synthetic_batches import LAYOUTS, make_batch, make_schema, signature
from lcn_tf.data import pipeline
from lcn_tf.data.record_files import RecordFiles
from lcn_tf.schema import FIRST_ID
from tests import synthetic
from tests.synthetic import HISTORIES


@pytest.mark.parametrize("layout", LAYOUTS)
def test_names_shapes_and_types_are_those_of_the_pipeline(tmp_path, layout):
    schema = synthetic.make_schema()
    synthetic.write_records(tmp_path, schema)
    config = pipeline.DataConfig(layout, 5, 23)
    schema = synthetic.make_schema(lengths=config.lengths_of(synthetic.make_schema()))
    expected = pipeline.read(RecordFiles.open(str(tmp_path)), "train", config, 8).element_spec
    batch = make_batch(schema, 7, 1 if layout == "flat" else 3)
    specs = signature(schema, batch, layout)
    assert {name: (spec.shape.as_list(), spec.dtype) for name, spec in specs.items()} == {
        name: (spec.shape.as_list(), spec.dtype) for name, spec in expected.items()}
    assert all(spec.is_compatible_with(batch[name]) for name, spec in specs.items())


def test_histories_are_full_and_items_follow_the_zipf_law():
    batch = make_batch(make_schema(200, 5, 11), 1009, 3)
    for history in HISTORIES:
        assert np.all(batch[f"{history}_mask"]) and not np.any(batch[f"{history}_offset"])
        times = batch[f"{history}_timestamp"].numpy()
        assert np.all(np.diff(times, axis=1) < 0) and np.all(times < batch["timestamp"][:, :1])
    ids = tf.concat([tf.reshape(batch[f"{history}_item_id"], [-1]) for history in HISTORIES], 0).numpy()
    counts = collections.Counter(ids.tolist())
    assert min(counts) == FIRST_ID and max(counts) == 199
    first, fourth = counts[FIRST_ID], counts[FIRST_ID + 3]
    assert first / len(ids) == pytest.approx(1 / sum(1 / rank for rank in range(1, 199)), rel=0.05)
    assert fourth == pytest.approx(first / 4, rel=0.1)
    assert len(set(batch["user_key"].numpy())) == 1009
    assert np.all(batch["timestamp"] == batch["timestamp"][:, :1])


def test_context_can_be_left_out():
    schema = make_schema(200, 5, 11, context=False)
    assert schema.context_features == () and set(schema.tables) == {"item_id", "age", "slot"}
    assert "lifelong_source_type" not in make_batch(schema, 2, 3)
