"""Every parameter follows from measured times."""

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format, wrappers_pb2

from lcn_tf.serving.batching import batching_parameters

SECONDS = {1: 0.004, 2: 0.005, 4: 0.007, 8: 0.0139, 16: 0.030, 32: 0.2}
CALLERS = {1: 200.0, 2: 390.0, 4: 400.0}


def test_values_of_a_server_whose_merging_pays():
    found = batching_parameters(SECONDS, CALLERS, budget=0.050)
    assert found.max_batch_size == 4  # 571 requests/s; 8 have 576, within 5 %; 16 are slower, 32 beyond half the budget
    assert found.batch_timeout_micros == 2_250  # 4 ms - 7 / 4 ms
    assert found.num_batch_threads == 2  # 390 is within 5 % of 400
    assert found.max_enqueued_batches == 14  # 2 * floor(50 / 7)
    assert found.allowed_batch_sizes == (1, 2, 4)


def test_no_request_waits_where_merging_does_not_pay():
    found = batching_parameters({1: 0.010, 2: 0.0199, 4: 0.0397}, {1: 100.0}, budget=0.100)
    assert (found.max_batch_size, found.batch_timeout_micros, found.num_batch_threads) == (1, 0, 1)
    assert found.allowed_batch_sizes == (1,)


def test_waiting_ends_with_the_budget():
    tight = batching_parameters({1: 0.009, 2: 0.0099}, CALLERS, budget=0.0100)
    assert tight.max_batch_size == 1, "a run of 2 leaves no half of the budget"
    found = batching_parameters({1: 0.9, 2: 0.5}, CALLERS, budget=1.0)
    assert found.max_batch_size == 2 and found.batch_timeout_micros == 500_000  # of 650 ms that it saves


def test_bad_times():
    with pytest.raises(ValueError, match="one request takes 4.0 ms, more than the budget of 3.0 ms"):
        batching_parameters(SECONDS, CALLERS, budget=0.003)
    with pytest.raises(ValueError, match=r"got seconds of \[2\] and callers \[1\]"):
        batching_parameters({2: 0.1}, {1: 1.0}, budget=1.0)


def test_the_text_is_that_of_the_message_that_a_server_reads():
    """Field numbers and types of session_bundle_config.proto of TensorFlow Serving."""
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="batching.proto", package="p", syntax="proto3",
                                              dependency=[wrappers_pb2.DESCRIPTOR.name])
    message = file.message_type.add(name="BatchingParameters")
    names = ("max_batch_size", "batch_timeout_micros", "max_enqueued_batches", "num_batch_threads")
    for number, name in enumerate(names, 1):
        message.field.add(name=name, number=number, type=field.TYPE_MESSAGE, label=field.LABEL_OPTIONAL,
                          type_name=".google.protobuf.Int64Value")
    message.field.add(name="allowed_batch_sizes", number=6, type=field.TYPE_INT64, label=field.LABEL_REPEATED)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    parameters = batching_parameters(SECONDS, CALLERS, budget=0.050)
    read = text_format.Parse(parameters.to_text(), message_factory.GetMessageClass(
        pool.FindMessageTypeByName("p.BatchingParameters"))())
    assert {name: getattr(read, name).value for name in names} == {name: getattr(parameters, name) for name in names}
    assert tuple(read.allowed_batch_sizes) == parameters.allowed_batch_sizes
