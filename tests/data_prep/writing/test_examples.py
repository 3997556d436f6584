"""The column-wise serialiser against protocol buffers' own."""

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import tensorflow as tf
from google.protobuf.internal import encoder

from data_prep.writing.examples import Column, ExampleEncoder, encode_varints

INT64 = st.one_of(st.integers(-2**63, 2**63 - 1), st.integers(0, 300),
                  st.sampled_from([0, 127, 128, 2**14 - 1, 2**14, 2**56, 2**63 - 1, -1, -2**63]))


@hypothesis.given(st.lists(INT64, max_size=40))
def test_varints_equal_those_of_protocol_buffers(values):
    encoded, offsets = encode_varints(np.array(values, np.int64))
    expected = [encoder._VarintBytes(value % 2**64) for value in values]
    assert encoded == b"".join(expected)
    assert offsets.tolist() == np.cumsum([0, *map(len, expected)]).tolist()


@hypothesis.given(st.lists(INT64, min_size=1, max_size=23), st.data())
def test_records_parse_as_examples(values, data):
    positions = st.integers(0, len(values))
    bounds = data.draw(st.lists(st.tuples(positions, positions).map(sorted), min_size=1, max_size=5))
    starts, stops = np.array(bounds).T
    column = Column(np.array(values, np.int64))
    records = ExampleEncoder({
        "all": column.slices(np.zeros_like(starts), np.full_like(starts, len(values))),
        "part": column.slices(starts, stops),
        "größe": Column(np.arange(len(starts))).slices(np.arange(len(starts)), np.arange(1, len(starts) + 1))})
    for record, (start, stop) in enumerate(bounds):
        example = tf.train.Example.FromString(records.serialize(record))
        found = {name: list(feature.int64_list.value) for name, feature in example.features.feature.items()}
        assert found == {"all": values, "part": values[start:stop], "größe": [record]}
        assert all(feature.WhichOneof("kind") == "int64_list" for feature in example.features.feature.values())


@pytest.mark.parametrize("length", [0, 1, 13, 127, 128, 300, 20_000])
def test_bytes_of_one_feature_equal_those_of_protocol_buffers(length):
    values = np.arange(length) * 3
    serialized = ExampleEncoder({"name": Column(values).slices(np.array([0]), np.array([length]))}).serialize(0)
    feature = tf.train.Feature(int64_list=tf.train.Int64List(value=values))
    assert serialized == tf.train.Example(features=tf.train.Features(feature={"name": feature})).SerializeToString()
