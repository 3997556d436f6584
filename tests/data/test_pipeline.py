"""Batches hold the same impressions, whatever the layout, and each candidate sees exactly its window of events."""

import collections
import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from lcn_tf.data import records
from lcn_tf.data.pipeline import DataConfig, RecordFiles, read
from lcn_tf.embeddings.embedder import visible_events
from lcn_tf.schema import HISTORIES
from tests import synthetic

FLAT = DataConfig(layout="flat", short_length=3, lifelong_length=11, shuffle_buffer=50)
GROUPED = dataclasses.replace(FLAT, layout="grouped")


@pytest.fixture(scope="module", params=[False, True], ids=["no_offsets", "offsets"])
def prepared(request, tmp_path_factory):
    data_dir = tmp_path_factory.mktemp("data")
    groups = synthetic.write_records(data_dir, seed=3, offsets=request.param)
    return RecordFiles.open(str(data_dir)), groups


def expected_impressions(schema, groups, lengths):
    """impression_id -> what its row must hold, in plain Python."""
    rows = {}
    for group in groups:
        for place, impression in enumerate(group["impression_id"]):
            row = {name: group[name][0] for name in schema.user_names}
            row.update({name: group[name][place] for name in (*schema.candidate_names, "label", "timestamp")})
            for history in HISTORIES:
                start = group[f"{history}_offset"][place]
                for name in schema.history_names(history):
                    row[name] = group[name][start:start + lengths[history]]
            rows[impression] = row
    return rows


def seen_impressions(schema, dataset, lengths):
    """The same from batches."""
    rows = {}
    for batch in dataset:
        visible = {history: visible_events(batch, history, lengths[history]).numpy() for history in HISTORIES}
        batch = {name: value.numpy() for name, value in batch.items()}
        for request, candidate in zip(*np.nonzero(batch["candidate_mask"]), strict=True):
            row = {name: batch[name][request] for name in schema.user_names}
            row.update({name: batch[name][request, candidate]
                        for name in (*schema.candidate_names, "label", "timestamp")})
            for history in HISTORIES:
                mask = visible[history][request, candidate]
                row.update({name: batch[name][request][mask].tolist() for name in schema.history_names(history)})
            assert batch["impression_id"][request, candidate] not in rows
            rows[int(batch["impression_id"][request, candidate])] = row
    return rows


@pytest.mark.parametrize("config", [FLAT, GROUPED], ids=["flat", "grouped"])
@pytest.mark.parametrize("seed", [None, (5, 2)])
def test_every_impression_once_with_its_own_window(prepared, config, seed):
    files, groups = prepared
    dataset = read(files, "train", config, batch_size=29, seed=seed)
    expected = expected_impressions(files.schema, groups["train"], config.lengths)
    assert seen_impressions(files.schema, dataset, config.lengths) == expected


def test_padding_is_zero(prepared):
    files, _ = prepared
    for batch in read(files, "train", GROUPED, batch_size=29):
        for history in HISTORIES:
            for name in files.schema.history_names(history):
                assert not np.any(batch[name].numpy()[~batch[f"{history}_mask"].numpy()])


@pytest.mark.parametrize("config", [FLAT, GROUPED], ids=["flat", "grouped"])
@pytest.mark.parametrize("batch_size", [1, 7, 64, 1000])
def test_number_of_steps_is_known(prepared, config, batch_size):
    files, groups = prepared
    impressions = sum(len(group["label"]) for group in groups["train"])
    dataset = read(files, "train", config, batch_size)
    sizes = [int(tf.reduce_sum(tf.cast(batch["candidate_mask"], tf.int32))) for batch in dataset]
    assert sum(sizes) == impressions
    if config is GROUPED and batch_size < max(len(group["label"]) for group in groups["train"]):
        assert files.steps("train", config.layout, batch_size) is None  # single requests are larger than a batch
    else:
        assert len(sizes) == int(dataset.cardinality()) == files.steps("train", config.layout, batch_size)
    if config.layout == "flat":
        assert set(sizes[:-1]) <= {batch_size}


def test_grouped_batches_of_one_impression_are_single_requests(prepared):
    files, groups = prepared
    sizes = collections.Counter(batch["label"].shape[0] for batch in read(files, "train", GROUPED, batch_size=1))
    assert sizes == {1: len(groups["train"])}


def test_same_seed_same_batches_other_epoch_other_order(prepared):
    files, _ = prepared

    def order(seed):
        return [tuple(batch["impression_id"].numpy()[:, 0]) for batch in read(files, "train", FLAT, 29, seed=seed)]

    assert order((5, 1)) == order((5, 1))
    assert order((5, 1)) != order((5, 2))
    assert order((5, 1)) != order((6, 1))


@pytest.mark.parametrize("config", [FLAT, GROUPED], ids=["flat", "grouped"])
def test_skip_leaves_out_the_first_batches(prepared, config):
    files, _ = prepared

    def ids(skip):
        return [batch["impression_id"].numpy().tolist() for batch in read(files, "train", config, 29, (5, 1), skip)]

    assert ids(3) == ids(0)[3:]


def test_shuffling_crosses_files(prepared):
    files, groups = prepared
    first_file = {group["impression_id"][0] for group in groups["train"][::2]}
    order = [int(i) in first_file for batch in read(files, "train", GROUPED, 29, (5, 1))
             for i in batch["impression_id"].numpy()[:, 0]]
    alternations = sum(a != b for a, b in zip(order, order[1:], strict=False))
    assert alternations > 10 and order != sorted(order)


def test_too_long_a_history_is_refused(prepared):
    files, _ = prepared
    with pytest.raises(ValueError, match=r"lifelong_source: 24 events asked for.* at most 23"):
        read(files, "train", dataclasses.replace(FLAT, lifelong_length=24), 29)


def test_missing_split_is_named(tmp_path):
    synthetic.write_records(tmp_path, groups={"train": 3})
    with pytest.raises(FileNotFoundError, match="validation"):
        RecordFiles.open(str(tmp_path))


def test_folder_without_schema_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="schema.json"):
        RecordFiles.open(str(tmp_path))


def test_records_of_another_schema_are_refused(tmp_path):
    synthetic.write_records(tmp_path)
    other = synthetic.make_schema(time_gap=False)
    renamed = dataclasses.replace(other, request=(dataclasses.replace(other.request[0], name="tab"),))
    (tmp_path / "schema.json").write_text(renamed.to_json())
    with pytest.raises(records.RecordError, match=r"synthetic-train.*another schema.*\['tab'\]"):
        RecordFiles.open(str(tmp_path))


def test_feature_of_another_type_is_refused(tmp_path):
    schema = synthetic.make_schema()
    groups = synthetic.write_records(tmp_path, schema)
    example = tf.train.Example.FromString(records.encode(schema, groups["train"][0]))
    example.features.feature["price"].float_list.value[:] = [0.5]
    path = tmp_path / "synthetic-train.tfrecord-00000-of-00002"
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(example.SerializeToString())
    with pytest.raises(records.RecordError, match=f"{path.name}: feature 'price' is a float_list"):
        RecordFiles.open(str(tmp_path))


def test_wrong_number_of_values_is_refused(tmp_path):
    schema = synthetic.make_schema()
    groups = synthetic.write_records(tmp_path, schema)
    broken = {**groups["test"][0], "slot": [1] * 9}
    with tf.io.TFRecordWriter(str(tmp_path / "synthetic-test.tfrecord-00001-of-00002")) as writer:
        writer.write(records.encode(schema, broken))
    with pytest.raises(records.RecordError, match="'slot' has 9 values"):
        RecordFiles.open(str(tmp_path))


def test_truncated_file_is_named_with_the_record(tmp_path):
    synthetic.write_records(tmp_path)
    path = tmp_path / "synthetic-test.tfrecord-00001-of-00002"
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(records.RecordError, match=f"{path.name}: truncated: .* after record 7"):
        RecordFiles.open(str(tmp_path))


def test_damage_within_a_file_is_named_with_the_record(tmp_path):
    synthetic.write_records(tmp_path)
    path = tmp_path / "synthetic-train.tfrecord-00001-of-00002"
    content = bytearray(path.read_bytes())
    content[-9] ^= 255
    path.write_bytes(content)
    files = RecordFiles.open(str(tmp_path))
    expected = pytest.raises(records.RecordError, match=f"{path.name}: damaged after record 29")
    with expected, records.naming_damage(files.paths):
        list(read(files, "train", FLAT, 29))


def test_missing_shard_is_named(tmp_path):
    synthetic.write_records(tmp_path, shards=3)
    (tmp_path / "synthetic-test.tfrecord-00001-of-00003").unlink()
    with pytest.raises(FileNotFoundError, match=r"synthetic-test.tfrecord-00001-of-00003 is missing \(1 of 3 files"):
        RecordFiles.open(str(tmp_path))


def test_split_without_records_is_named(tmp_path):
    synthetic.write_records(tmp_path)
    for path in tmp_path.glob("*-test.tfrecord-*"):
        path.write_bytes(b"")
    with pytest.raises(records.RecordError, match="synthetic-test.tfrecord-00000-of-00002: no record in any of the 2"):
        RecordFiles.open(str(tmp_path))


def test_ids_beyond_their_table_are_refused(tmp_path):
    schema = synthetic.make_schema()
    synthetic.write_records(tmp_path, schema)
    smaller = dataclasses.replace(schema, tables={**schema.tables, "item": 3})
    (tmp_path / "schema.json").write_text(smaller.to_json())
    with pytest.raises(records.RecordError, match=r"another schema: feature '\w*item_id' has the id \d+, its table 3 "):
        RecordFiles.open(str(tmp_path))


def test_damaged_preparation_facts_are_named(tmp_path):
    synthetic.write_records(tmp_path)
    (tmp_path / "preparation.json").write_text('{"splits": ')
    with pytest.raises(ValueError, match="preparation.json: not JSON"):
        RecordFiles.open(str(tmp_path))


def test_records_prepared_elsewhere_need_no_preparation_facts(tmp_path):
    synthetic.write_records(tmp_path)
    (tmp_path / "preparation.json").unlink()
    files = RecordFiles.open(str(tmp_path))
    assert files.steps("train", "flat", 29) is None
    assert sum(len(batch["label"]) for batch in read(files, "train", FLAT, 29)) > 100


def test_folder_names_are_not_patterns(tmp_path):
    folder = tmp_path / "data[1]*"
    synthetic.write_records(folder)
    assert len(RecordFiles.open(str(folder)).paths) == 6
