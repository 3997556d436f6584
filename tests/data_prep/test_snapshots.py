"""Request, day and user snapshots of the same log: what each stores, and that all give the same flat batches."""

import dataclasses

import numpy as np
import pytest

from data_prep.config import PreparationConfig
from data_prep.description import DAY_SECONDS
from data_prep.taobao.config import UTC_OFFSET, TaobaoConfig
from data_prep.taobao.prepare import prepare
from lcn_tf.data import pipeline
from lcn_tf.data.record_files import RecordFiles
from tests import references_data
from tests.data_prep.taobao_logs import random_logs, second, write_logs
from tests.synthetic import HISTORIES

ALL = PreparationConfig(short_length=1_000, lifelong_length=1_000, shards=2, memory_limit="500MB")
FEW = dataclasses.replace(ALL, short_length=3, lifelong_length=7, exclude_recent=True, history_gap_seconds=3_600)
USER = {"snapshot": "user", "max_candidates": 5}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Preparation -> the opened records of one log; each is prepared once."""
    folder = tmp_path_factory.mktemp("snapshots")
    logs = write_logs(folder / "logs", random_logs(11, users=4, pages=50, events=500))
    opened = {}

    def open_records(preparation):
        if preparation not in opened:
            output_dir = str(folder / str(len(opened)))
            prepare(str(logs), output_dir, TaobaoConfig(), preparation)
            opened[preparation] = RecordFiles.open(output_dir)
        return opened[preparation]
    return open_records


def batches(files, layout, split):
    lengths = files.schema.lengths
    config = pipeline.DataConfig(layout, lengths["short_source"], lengths["lifelong_source"])
    return [{name: value.numpy() for name, value in batch.items()}
            for batch in pipeline.read(files, split, config, batch_size=16)]


def flat_rows(files, split):
    """`{impression_id: {feature: row of its batch}}`."""
    return {int(batch["impression_id"][row, 0]): {name: values[row] for name, values in batch.items()
                                                  if name != "row_number"}
            for batch in batches(files, "flat", split) for row in range(len(batch["label"]))}


def assert_same_rows(found, expected):
    assert sorted(found) == sorted(expected) and expected
    for impression, row in expected.items():
        assert set(found[impression]) == set(row)
        for name, values in row.items():
            assert np.array_equal(found[impression][name], values), f"{name} of impression {impression}"


@pytest.mark.parametrize("split", ["train", "test"])
def test_user_snapshots_give_the_flat_rows_of_requests(prepared, split):
    request, user = prepared(FEW), prepared(dataclasses.replace(FEW, **USER))
    assert user.largest_group[split] > 1
    assert_same_rows(flat_rows(user, split), flat_rows(request, split))


def test_day_snapshots_give_the_rows_of_requests_cut_at_the_day(prepared):
    request, cut = prepared(ALL), 0
    expected = flat_rows(request, "train")
    for row in expected.values():
        day = row["timestamp"][0] - (row["timestamp"][0] + UTC_OFFSET) % DAY_SECONDS
        for history in HISTORIES:
            earlier = row[f"{history}_mask"] & (row[f"{history}_timestamp"] < day)
            cut += np.sum(row[f"{history}_mask"] & ~earlier)
            for name in (f"{history}_mask", *request.schema.history_names(history)):
                values = row[name][earlier]
                row[name] = np.concatenate([values, np.zeros(len(row[name]) - len(values), values.dtype)])
    assert cut > 0
    assert_same_rows(flat_rows(prepared(dataclasses.replace(ALL, snapshot="day")), "train"), expected)


@pytest.mark.parametrize("settings", [{}, USER], ids=["request", "user"])
def test_grouped_batches_show_each_candidate_its_flat_row(prepared, settings):
    files = prepared(dataclasses.replace(FEW, **settings))
    flat, seen = flat_rows(files, "train"), 0
    for batch in batches(files, "grouped", "train"):
        for row, candidate in np.argwhere(batch["candidate_mask"]):
            expected = flat[int(batch["impression_id"][row, candidate])]
            seen += 1
            for history in HISTORIES:
                first = batch[f"{history}_offset"][row, candidate]
                for name in (*files.schema.history_names(history), f"{history}_mask"):
                    window = batch[name][row, first:first + files.schema.lengths[history]]
                    beyond = np.zeros(len(expected[name]) - len(window), window.dtype)  # of no record
                    assert np.array_equal(np.concatenate([window, beyond]), expected[name]), name
            for name in (*files.schema.candidate_names, "label", "timestamp"):
                assert batch[name][row, candidate] == expected[name]
    assert seen == len(flat)


def test_a_user_record_stores_what_its_candidates_see_and_no_more(tmp_path):
    logs = random_logs(1)
    logs["raw_sample.csv"] = [[1, second(day, 10), 1, "430548_1007", 1, 0] for day in (6, 8, 9, 11, 12)]
    logs["behavior_log.csv"] = [[1, second(7) + number, "pv", 5000, 30] for number in range(20)] + [
        [1, second(8, 11) + number, "pv", 5000, 30] for number in range(4)]
    prepare(str(write_logs(tmp_path / "logs", logs)), str(tmp_path / "out"), TaobaoConfig(),
            dataclasses.replace(FEW, snapshot="user", exclude_recent=False, history_gap_seconds=0))
    record, = references_data.read_records(tmp_path / "out", "train")
    assert record["timestamp"] == [second(day, 10) for day in (6, 8, 9)]
    # The first sees nothing, the second the seven latest of day 7, the third also the four of day 8.
    assert record["lifelong_source_offset"] == [11, 4, 0]
    assert record["lifelong_source_timestamp"] == [
        *(second(8, 11) + number for number in (3, 2, 1, 0)), *(second(7) + number for number in range(19, 12, -1))]
    assert record["short_source_offset"] == [7, 4, 0] and len(record["short_source_timestamp"]) == 7
    assert record["short_target_offset"] == [0, 0, 0] and record["short_target_timestamp"] == []


def test_user_records_are_smaller(prepared):
    sizes = {snapshot: sum(entry["bytes"] for entry in references_data.read_preparation(
        prepared(dataclasses.replace(FEW, **settings)).data_dir)["splits"].values())
        for snapshot, settings in (("request", {}), ("user", USER))}
    assert sizes["user"] < sizes["request"]
