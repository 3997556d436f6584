"""Batches hold the same impressions, whatever the layout, and each candidate sees exactly its window of events."""

import collections
import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from lcn_tf.data import pipeline, record_bytes
from lcn_tf.data.pipeline import DataConfig, RecordFiles, read
from lcn_tf.embeddings.schema_reading import visible_events
from tests import synthetic
from tests.synthetic import HISTORIES

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
    expected = expected_impressions(files.schema, groups["train"], config.lengths_of(files.schema))
    assert seen_impressions(files.schema, dataset, config.lengths_of(files.schema)) == expected


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


def plain_cut(sizes, batch_size, divide):
    """Per batch, the records in it and how many impressions of the first one came before, in plain Python."""
    impressions = [record for record, size in enumerate(sizes) for _ in range(size)]
    batches = collections.defaultdict(list)
    for place, record in enumerate(impressions):
        if divide or place + 1 == len(impressions) or impressions[place + 1] != record:
            batches[place // batch_size].append((place, record))
    return [(sorted({record for _, record in members}), members[0][0] - impressions.index(members[0][1]))
            for members in batches.values()]


@pytest.mark.parametrize("divide", [False, True], ids=["whole", "divided"])
@pytest.mark.parametrize("batch_size", [1, 2, 5, 13, 1000])
def test_records_are_cut_by_counting_impressions(divide, batch_size, monkeypatch):
    monkeypatch.setattr(pipeline, "_CHUNK", 7)
    sizes = np.random.default_rng(batch_size).integers(1, 9, 53).tolist()
    examples = [tf.train.Example(features=tf.train.Features(feature={
        "timestamp": tf.train.Feature(int64_list=tf.train.Int64List(value=[0] * size)),
        "record": tf.train.Feature(int64_list=tf.train.Int64List(value=[record])),
    })).SerializeToString() for record, size in enumerate(sizes)]
    cut = pipeline._cut_by_impressions(tf.data.Dataset.from_tensor_slices(examples), batch_size, divide)
    found = []
    for serialized, first, number in cut.as_numpy_iterator():
        features = [tf.train.Example.FromString(example).features.feature for example in serialized]
        found.append(([feature["record"].int64_list.value[0] for feature in features], int(first)))
        assert number == sum(sizes[:found[-1][0][0]])
    expected = plain_cut(sizes, batch_size, divide)
    assert [batch for batch, _ in found] == [batch for batch, _ in expected]
    if divide:
        assert found == expected


def test_requests_without_candidates_change_no_batch(tmp_path):
    schema = synthetic.make_schema()
    groups = synthetic.make_groups(schema, 29, offsets=True)
    empty = {**groups[0], **{name: [] for name in schema.impression_names}}
    mixed = [group for full in groups for group in (empty, full, empty)]
    found = []
    for name, written in (("full", groups), ("mixed", mixed)):
        synthetic.write_records(tmp_path / name, schema, dict.fromkeys(("train", "validation", "test"), written), 1)
        files = RecordFiles.open(str(tmp_path / name))
        found.append([batch["impression_id"].numpy().tolist() for batch in read(files, "train", FLAT, 7)])
    assert found[0] == found[1]


def test_windows_are_never_wider_than_what_is_stored(prepared):
    files, _ = prepared
    config = dataclasses.replace(GROUPED, short_length=5, lifelong_length=17)
    for batch in read(files, "train", config, 29):
        for history, length in config.lengths_of(files.schema).items():
            for name in files.schema.history_names(history):
                assert length <= batch[name].shape[1] <= files.schema.lengths[history]


def test_a_few_files_are_read_at_a_time(tmp_path):
    groups = synthetic.write_records(tmp_path, groups={"train": 120, "validation": 1, "test": 1}, shards=40)["train"]
    shard = {group["impression_id"][0]: index % 40 for index, group in enumerate(groups)}  # dealt out in turn
    files = RecordFiles.open(str(tmp_path))
    order = [shard[int(i)] for batch in read(files, "train", GROUPED, 29) for i in batch["impression_id"].numpy()[:, 0]]
    assert order[:48] == [*range(16)] * 3  # the first 16 files are read to their ends before others are opened
    assert sorted(order) == sorted(shard.values())


def test_too_long_a_history_is_refused(prepared):
    files, _ = prepared
    with pytest.raises(ValueError, match=r"lifelong_source: 24 events asked for.* at most 23"):
        read(files, "train", dataclasses.replace(FLAT, lifelong_length=24), 29)


def test_damage_within_a_file_is_named_with_the_record(tmp_path):
    synthetic.write_records(tmp_path)
    path = tmp_path / "synthetic-train.tfrecord-00001-of-00002"
    content = bytearray(path.read_bytes())
    content[-9] ^= 255
    path.write_bytes(content)
    files = RecordFiles.open(str(tmp_path))
    expected = pytest.raises(record_bytes.RecordError, match=f"{path.name}: damaged after record 29")
    with expected, files.naming_bad_records():
        list(read(files, "train", FLAT, 29))


@pytest.mark.parametrize("config", [FLAT, GROUPED], ids=["flat", "grouped"])
@pytest.mark.parametrize(("feature", "change", "message"), [
    ("label", lambda values: values[:-1], "feature 'label' has 2 values, but 'item_id' has 3; expected one for each"),
    ("short_source_category", lambda values: [*values, 1], "feature 'short_source_category' has 8 values, but "),
    ("lifelong_source_item_id", lambda values: [99_999, *values[1:]], "feature 'lifelong_source_item_id' has the "),
    ("label", lambda values: [5, *values[1:]], "feature 'label' has the value 5, expected 0 to 1"),
    ("short_target_offset", lambda values: [10**12, *values[1:]], "feature 'short_target_offset' has the value 10000"),
    ("age", lambda values: values * 2, "feature 'age' has 2 values, expected 1"),
])
def test_no_wrong_record_becomes_a_batch(tmp_path, config, feature, change, message):
    schema = synthetic.make_schema()
    groups = synthetic.make_groups(schema, 40)
    wrong = synthetic.make_group(schema, np.random.default_rng(1), 7, 3, synthetic.LENGTHS)
    groups[31] = wrong | {feature: change(wrong[feature])}
    synthetic.write_records(tmp_path, schema, {"train": groups, "validation": 3, "test": 3})
    files = RecordFiles.open(str(tmp_path))
    named = f"synthetic-train.tfrecord-00001-of-00002, record 15: {message}"
    seen = 0
    with pytest.raises(record_bytes.RecordError, match=named), files.naming_bad_records():
        for _ in read(files, "train", config, 29, seed=(1, 1)):
            seen += 1
    assert seen < 5  # of six batches


def test_rows_are_numbered_in_the_order_of_the_files(prepared):
    files, groups = prepared
    count = sum(len(group["label"]) for group in groups["test"])
    orders = []
    for config in (FLAT, GROUPED):
        for size in (1, 7, 1000):
            rows = [(int(number), int(impression)) for batch in read(files, "test", config, size)
                    for number, impression in zip(batch["row_number"].numpy()[batch["candidate_mask"]],
                                                  batch["impression_id"].numpy()[batch["candidate_mask"]], strict=True)]
            assert [number for number, _ in rows] == list(range(count))
            orders.append([impression for _, impression in rows])
    assert all(order == orders[0] for order in orders)


def test_records_prepared_elsewhere_need_no_preparation_facts(tmp_path):
    synthetic.write_records(tmp_path)
    (tmp_path / "preparation.json").unlink()
    files = RecordFiles.open(str(tmp_path))
    assert files.steps("train", "flat", 29) is None
    assert sum(len(batch["label"]) for batch in read(files, "train", FLAT, 29)) > 100
