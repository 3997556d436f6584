"""The second label: which clicks have it, who says how many, and that without it nothing has changed."""

import pytest

from data_prep.config import PreparationConfig
from data_prep.errors import InputError
from data_prep.industrial.config import IndustrialConfig
from data_prep.industrial.prepare import prepare
from data_prep.inspect.decoded_group import describe_group
from data_prep.inspect.plots import write_plots
from data_prep.inspect.report import disagreements, format_report
from data_prep.inspect.split_statistics import measure_split
from lcn_tf.data.prepared_folder import SPLITS
from lcn_tf.data.record_files import RecordFiles
from lcn_tf.schema import CLICK, FeatureSchema, Label
from tests import references_data
from tests.data_prep.industrial_logs import HEADERS, random_logs, second, write_logs

SMALL = PreparationConfig(short_length=3, lifelong_length=11, shards=2, workers=1, memory_limit="500MB")
STAYED = {"target": ("impressions.csv", "stay_seconds"), "source": ("video_impressions.csv", "watch_seconds")}
# clicked, cell -> long_stay at 30 seconds
CELLS = {(1, "30"): 1, (1, "29.9"): 0, (1, "3e1"): 1, (1, ""): 0, (1, "NULL"): 0, (0, "700"): 0, (0, ""): 0}


def prepared(folder, logs, **settings):
    write_logs(folder / "logs", logs)
    prepare(str(folder / "logs"), str(folder / "out"), IndustrialConfig(**settings), SMALL)
    return folder / "out"


@pytest.mark.parametrize("row_set", STAYED)
def test_a_click_with_enough_seconds_is_a_long_stay(tmp_path, row_set):
    logs, (file, column) = random_logs(1), STAYED[row_set]
    header, expected = HEADERS[file], {}
    for number, row in enumerate(logs[file]):
        (clicked, cell), expected[number] = list(CELLS.items())[number % len(CELLS)]
        row[header.index("clicked")], row[header.index(column)] = clicked, cell
    output_dir = prepared(tmp_path, logs, long_stay_seconds=30, row_set=row_set)
    found, clicks_without = {}, 0
    for split in SPLITS:
        for record in references_data.read_records(output_dir, split):
            found |= dict(zip(record["impression_id"], record["long_stay"], strict=True))
            clicks_without += sum(list(CELLS)[number % len(CELLS)] in ((1, ""), (1, "NULL"))
                                  for number in record["impression_id"])
    assert found == {number: expected[number] for number in found} and 0 < sum(found.values()) < len(found)
    assert references_data.read_preparation(output_dir)[f"clicks_without_{column}"] == clicks_without > 0
    schema = FeatureSchema.load(output_dir)
    assert schema.labels == (CLICK, Label("long_stay", given="click"))
    RecordFiles.open(str(output_dir)).check("train")


def test_a_negative_stay_is_refused(tmp_path):
    logs = random_logs(1)
    logs["impressions.csv"][4] = [1, second(2), 100, 40, "games", "feed", 1, -0.5]
    with pytest.raises(InputError, match=r"line 6, column stay_seconds: expected 0 or more seconds, got '-0.5'"):
        prepared(tmp_path, logs, long_stay_seconds=30)


def test_every_account_says_how_many(tmp_path):
    output_dir = prepared(tmp_path, random_logs(3), long_stay_seconds=30)
    files, facts = RecordFiles.open(str(output_dir)), references_data.read_preparation(output_dir)
    statistics = {split: measure_split(files, split, facts["utc_offset"]) for split in SPLITS}
    assert disagreements(statistics, facts) == [] and facts["settings"]["long_stay_seconds"] == 30
    for split, found in statistics.items():
        records = references_data.read_records(output_dir, split)
        clicks, stays = (sum(sum(record[name]) for record in records) for name in ("label", "long_stay"))
        assert dict(found.positives) == {"click": clicks, "long_stay": stays} and 0 < stays < clicks
        entry = facts["splits"][split]
        assert (entry["clicks"], entry["labels"]["long_stay"]["positives"]) == (clicks, stays)
        assert entry["labels"]["long_stay"]["rate"] == stays / entry["impressions"]
        assert 0 < entry["labels"]["long_stay"]["entropy"] < entry["entropy"]
    report = format_report(statistics, "UTC+8")
    assert "click rate, long stay rate (UTC+8)" in report
    assert ["day", "split", "impressions", "clicks", "click", "rate", "long", "stays", "long", "stay", "rate"] in [
        line.split() for line in report.split("\n")]
    assert "label  long_stay  author" in describe_group(files, "test", 0)
    assert len(write_plots(statistics, "UTC", str(tmp_path))) == 4
    facts["splits"]["test"]["labels"] = {"long_stay": {"positives": 0}, "like": {"positives": 2}}
    assert disagreements(statistics, facts) == [
        f"preparation.json: test has 0 impressions with long_stay, the records hold {stays}",
        "preparation.json: test has 2 impressions with like, the records hold 0"]


def test_without_it_nothing_is_said_of_it(tmp_path):
    output_dir = prepared(tmp_path, random_logs(1))
    facts = references_data.read_preparation(output_dir)
    assert "long_stay_seconds" not in facts["settings"] and "snapshot" in facts["settings"]
    assert "labels" not in facts["splits"]["train"] and "clicks_without_stay_seconds" not in facts
    assert FeatureSchema.load(output_dir).labels == (CLICK,)
    assert '"version"' not in (output_dir / "schema.json").read_text()


def test_it_adds_a_feature_and_changes_no_other(tmp_path):
    logs = random_logs(2)
    with_it = prepared(tmp_path / "with", logs, long_stay_seconds=30)
    without = prepared(tmp_path / "without", logs)
    for split in SPLITS:
        records = references_data.read_records(with_it, split)
        assert all(len(record.pop("long_stay")) == len(record["label"]) for record in records)
        assert records == references_data.read_records(without, split)
