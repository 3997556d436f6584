"""What is encoded comes back."""

import dataclasses

import pytest
import tensorflow as tf

from lcn_tf.data import records
from lcn_tf.schema import Label
from tests import synthetic


def test_groups_survive_a_round_trip():
    schema = synthetic.make_schema()
    groups = synthetic.make_groups(schema, 7, seed=1, offsets=True)
    parsed = records.parse(schema, tf.constant([records.encode(schema, group) for group in groups]))
    for name in schema.record_names:
        values = parsed[name].to_list() if isinstance(parsed[name], tf.RaggedTensor) else [[v] for v in
                                                                                          parsed[name].numpy()]
        assert values == [group[name] for group in groups], name


def test_candidates_are_counted():
    schema = dataclasses.replace(synthetic.make_schema(), labels=(Label("click", "clicked"),))
    groups = synthetic.make_groups(schema, 11, seed=2)
    counts = records.count_impressions(tf.constant([records.encode(schema, group) for group in groups]))
    assert counts.numpy().tolist() == [len(group["clicked"]) for group in groups]


def test_a_missing_feature_is_named():
    schema = synthetic.make_schema()
    group = synthetic.make_groups(schema, 1)[0]
    del group["slot"]
    with pytest.raises(KeyError, match="slot"):
        records.encode(schema, group)
