"""A folder of the preparation itself: the inspection agrees with its accounting and with its records in raw values."""

import numpy as np
import pytest

from data_prep.config import PreparationConfig
from data_prep.inspect.decoded_group import describe_group
from data_prep.inspect.report import disagreements
from data_prep.inspect.split_statistics import measure_split
from data_prep.taobao.config import TaobaoConfig
from data_prep.taobao.prepare import prepare
from lcn_tf.data.prepared_folder import SPLITS, preparation_facts
from lcn_tf.data.record_files import RecordFiles
from tests import references_data
from tests.data_prep.taobao_logs import random_logs, write_logs
from tests.synthetic import HISTORIES


@pytest.fixture(scope="module", params=["request", "user"])
def files(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("taobao")
    preparation = PreparationConfig(
        snapshot=request.param, short_length=3, lifelong_length=11, shards=2, workers=1, min_count=3)
    prepare(str(write_logs(folder / "logs", random_logs(1))), str(folder / "out"), TaobaoConfig(), preparation)
    return RecordFiles.open(str(folder / "out"))


def test_agrees_with_the_accounting(files):
    facts = preparation_facts(files.data_dir)
    statistics = {split: measure_split(files, split, facts["utc_offset"]) for split in SPLITS}
    assert facts["utc_offset"] == 8 * 3600 and disagreements(statistics, facts) == []
    for split, found in statistics.items():
        first, last = (np.datetime64(facts["splits"][split][name], "D") for name in ("first_day", "last_day"))
        assert set(found.days) <= set(np.arange(first, last + 1).astype(int).tolist())
        assert found.click_rate == facts["splits"][split]["click_rate"]


def test_agrees_with_the_records_in_raw_values(files):
    found = measure_split(files, "test", 0)
    records = references_data.read_records(files.data_dir, "test")
    for history in HISTORIES:
        seen = [min(len(record[f"{history}_timestamp"]) - offset, files.schema.lengths[history])
                for record in records for offset in record[f"{history}_offset"]]
        assert np.array_equal(found.lengths[history].impressions, np.bincount(seen, minlength=len(
            found.lengths[history].impressions)))
        values = [value for record in records for value in record[f"{history}_brand"]]
        assert found.known[history]["brand"] == pytest.approx(np.mean([value != "OOV" for value in values]))
    shown = [value for record in records for value in record["adgroup_id"]]
    assert found.known["impressions"]["adgroup_id"] == pytest.approx(np.mean([value != "OOV" for value in shown]))
    assert any(share < 1 for share in found.known["impressions"].values())


def test_the_shown_group_is_one_of_the_records(files):
    lines = [line.split() for line in describe_group(files, "test", 8 * 3600).split("\n")]
    user = int(lines[0][-1])
    start = next(number for number, line in enumerate(lines) if line[:2] == ["timestamp", "label"])
    # A time is two words.
    shown = {name: [line[place + 1] for line in lines[start + 1:start + 3]]
             for place, name in enumerate(lines[start]) if place}
    records = [record for record in references_data.read_records(files.data_dir, "test")
               if record["user_key"] == [user]]
    assert "adgroup_id" in shown and len(shown["label"]) == 2
    assert any(all([str(value) for value in record[name][:2]] == values for name, values in shown.items())
               for record in records)
