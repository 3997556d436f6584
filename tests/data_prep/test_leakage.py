"""No leakage, as a property of what is written: histories, splits, groups and vocabularies over random logs."""

import tempfile
from pathlib import Path

import hypothesis
import hypothesis.strategies as st
import pytest

from data_prep.config import PreparationConfig
from data_prep.taobao.config import TaobaoConfig
from data_prep.taobao.prepare import prepare
from lcn_tf.schema import FeatureSchema
from tests import references_data
from tests.data_prep.taobao_logs import second, write_logs
from tests.synthetic import HISTORIES

DAY, FIRST = 86_400, second(6)
TRAIN_DAYS, DAYS = 5, 7
SPLIT_DAYS = {"train": range(TRAIN_DAYS), "validation": range(TRAIN_DAYS, DAYS - 1), "test": range(DAYS - 1, DAYS)}

# Few seconds, so that they collide; next to the ends of the day in UTC+8 and in UTC.
SECONDS = st.sampled_from([0, 1, 2, 8 * 3600 - 1, 8 * 3600, 50_000, 50_001, DAY - 2, DAY - 1])
USERS = st.integers(1, 3)
LOGS = st.tuples(
    st.lists(st.tuples(USERS, st.integers(0, DAYS - 1), SECONDS), min_size=10, max_size=40),
    st.lists(st.tuples(USERS, st.integers(-2, DAYS), SECONDS, st.sampled_from([100, 5_000])), min_size=20,
             max_size=120))
SETTINGS = st.fixed_dictionaries({
    "history_gap_seconds": st.sampled_from([0, 1, 60_000]), "exclude_recent": st.booleans(),
    "max_candidates": st.sampled_from([2, 64]), "lifelong_length": st.sampled_from([3, 200])})
# A preparation takes seconds: few examples with many impressions each, and none is made smaller.
FEW = hypothesis.settings(max_examples=4, phases=[hypothesis.Phase.generate])


def write(directory, impressions, events):
    """Logs in which every ad, every brand, and all but two users belong to one day."""
    impressions = [*impressions, *((1, day, 43_200) for day in range(DAYS))]  # every split has one
    return write_logs(directory, {
        "raw_sample.csv": [[user if user < 3 else 3 + 10 * day, FIRST + day * DAY + moment, 200 + day, "pid", 1, 0]
                           for user, day, moment in impressions],
        "ad_feature.csv": [[200 + day, 100, 300 + day, 400 + day, 500 + day, "1.0"] for day in range(DAYS)],
        "user_profile.csv": [[1, 0, 0, 1, 0, "", 1, 0, ""]],
        "behavior_log.csv": [[user, FIRST + day * DAY + moment, "pv", cate, 600 + day]
                             for user, day, moment, cate in events] or [[1, FIRST, "pv", 100, 600]]})


@pytest.mark.parametrize("snapshot", ["request", "day", "user"])
def test_nothing_leaks(snapshot):
    windows = set()

    @FEW
    @hypothesis.given(logs=LOGS, settings=SETTINGS)
    def holds(logs, settings):
        preparation = PreparationConfig(snapshot=snapshot, short_length=2, shards=2, **settings)
        with tempfile.TemporaryDirectory() as folder:
            output_dir = Path(folder) / "prepared"
            prepare(str(write(Path(folder) / "logs", *logs)), str(output_dir), TaobaoConfig(), preparation)
            records = {split: references_data.read_records(output_dir, split) for split in SPLIT_DAYS}
            lengths = FeatureSchema.load(output_dir).lengths
            assert_splits_are_apart(records)
            for record in (record for split in records.values() for record in split):
                assert_candidates_share_a_snapshot(record, preparation)
                windows.update(assert_histories_are_earlier(record, preparation, lengths))
            assert_vocabularies_are_of_training_days(output_dir / "vocabularies")

    holds()
    assert {0, 2, 3} < windows, "there were empty, full and long histories to look at"


def day_of(moment):
    return (moment - FIRST) // DAY


def assert_splits_are_apart(records):
    """No impression and no day is in two splits, hence no user's day."""
    days = {split: {day_of(moment) for record in found for moment in record["timestamp"]}
            for split, found in records.items()}
    for split, found in days.items():
        assert found and found <= set(SPLIT_DAYS[split])
    impressions = [number for found in records.values() for record in found for number in record["impression_id"]]
    assert len(impressions) == len(set(impressions))


def assert_candidates_share_a_snapshot(record, preparation):
    moments = set(record["timestamp"])
    if preparation.snapshot == "user":
        assert len(record["timestamp"]) <= preparation.max_candidates
        return
    assert len(moments if preparation.snapshot == "request" else set(map(day_of, moments))) == 1
    assert all(set(record[f"{history}_offset"]) == {0} for history in HISTORIES)


def assert_histories_are_earlier(record, preparation, lengths):
    """Each candidate's window ends before its own snapshot, and the record with what one of them sees.

    Returns:
      Lengths of the windows.
    """
    found = set()
    for history in HISTORIES:
        seen = set()
        for moment, offset in zip(record["timestamp"], record[f"{history}_offset"], strict=True):
            snapshot = FIRST + day_of(moment) * DAY if preparation.snapshot == "day" else moment
            window = record[f"{history}_timestamp"][offset:offset + lengths[history]]
            assert all(event < snapshot - preparation.history_gap_seconds for event in window)
            seen.update(range(offset, offset + len(window)))
            found.add(len(window))
        stored = len(record[f"{history}_timestamp"])
        assert not stored or {0, stored - 1} <= seen
    return found


def assert_vocabularies_are_of_training_days(folder):
    for name, first in (("adgroup_id", 200), ("campaign_id", 300), ("customer", 400)):
        values = {int(value) - first for value in (folder / f"{name}.txt").read_text().split()}
        assert values and values <= set(range(TRAIN_DAYS))
    brands = {int(value) for value in (folder / "brand.txt").read_text().split()}
    assert all(brand - 500 in range(TRAIN_DAYS) or brand - 600 in range(-2, TRAIN_DAYS) for brand in brands)
    users = {int(value) for value in (folder / "user_id.txt").read_text().split()}
    assert users <= {1, 2, *(3 + 10 * day for day in range(TRAIN_DAYS))}
