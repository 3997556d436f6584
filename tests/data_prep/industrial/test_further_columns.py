"""The columns and texts that logs may have: what they add to the records, and that all else stays as without them."""

import dataclasses

import numpy as np
import pytest

from data_prep.config import PreparationConfig
from data_prep.errors import InputError
from data_prep.industrial.config import IndustrialConfig
from data_prep.industrial.prepare import prepare
from lcn_tf.data.prepared_folder import SPLITS
from lcn_tf.data.record_files import RecordFiles
from lcn_tf.schema import FIRST_ID, FeatureSchema
from tests import references_data
from tests.data_prep.industrial_logs import HEADERS, random_logs, with_further, write_logs

SMALL = PreparationConfig(short_length=3, lifelong_length=11, shards=2, workers=1, memory_limit="500MB")


def prepared(folder, logs, headers=HEADERS, **settings):
    write_logs(folder / "logs", logs, headers=headers)
    prepare(str(folder / "logs"), str(folder / "out"), IndustrialConfig(), dataclasses.replace(SMALL, **settings))
    return folder / "out"


def of_row(logs, file, number):
    cell = logs[file][number][-1]
    return "-1" if cell in ("", "NULL") else cell


def test_columns_become_the_scenario_and_a_context_and_change_nothing_else(tmp_path):
    logs, headers = with_further(random_logs(1))
    without_texts = {name: rows for name, rows in logs.items() if name != "item_texts.csv"}
    found, plain = prepared(tmp_path / "found", without_texts, headers), prepared(tmp_path / "plain", random_logs(1))
    schema = FeatureSchema.load(found)
    assert schema.scenario == "scenario" and [feature.name for feature in schema.request] == ["page", "scenario"]
    assert [feature.name for feature in schema.context] == ["watch", "finished", "feedback"]
    assert not schema.vectors and FeatureSchema.load(plain).scenario is None
    feedbacks = set()
    for split in SPLITS:
        records = references_data.read_records(found, split)
        for record in records:
            assert record.pop("scenario") == [of_row(logs, "impressions.csv", row) for row in record["impression_id"]]
            for history in schema.histories:
                feedbacks.update(values := record.pop(f"{history}_feedback"))
                assert len(values) == len(record[f"{history}_author"])
        assert records == references_data.read_records(plain, split)
    assert feedbacks == {"watch", "like", "follow", "-1"}


def test_each_event_has_its_feedback(tmp_path):
    logs, headers = with_further(random_logs(2))
    logs["events.csv"] = [[*row[:-1], row[3]] for row in logs["events.csv"] if str(row[3]).isdecimal()]  # the author
    output_dir = prepared(tmp_path, logs, headers)
    events = [(author, feedback) for split in SPLITS for record in references_data.read_records(output_dir, split)
              for history in ("short_target", "lifelong_source")
              for author, feedback in zip(record[f"{history}_author"], record[f"{history}_feedback"], strict=True)]
    assert len(events) > 100 and all(author == feedback for author, feedback in events if author != "OOV")


def test_tab_is_a_scenario_and_other_columns_are_refused(tmp_path):
    logs, headers = with_further(random_logs(1))
    tabs = {**headers, "impressions.csv": [*HEADERS["impressions.csv"], "Tab"]}
    assert FeatureSchema.load(prepared(tmp_path / "tab", logs, tabs)).scenario == "scenario"
    for name, header in (("unknown", [*HEADERS["events.csv"], "mood"]),
                         ("first", ["feedback", *HEADERS["events.csv"]])):
        with pytest.raises(InputError, match="events.csv, line 1: wrong header"):
            prepared(tmp_path / name, logs, {**headers, "events.csv": header})


def test_authors_with_texts_have_ids_however_rare_and_vectors_of_their_words(tmp_path):
    logs, headers = with_further(random_logs(1))
    output_dir = prepared(tmp_path / "counted", logs, headers, min_count=40)
    values = (output_dir / "vocabularies" / "author.txt").read_text().split()
    described = {str(author) for author, _ in logs["item_texts.csv"]}
    assert described <= set(values) and len(set(values)) == len(values)
    assert [value for value in values if value in ("9", "36", "37", "45")] == ["9", "36", "37", "45"]  # never seen
    assert "43" in values[:-8] and values[-1] == "45"  # the others by count before them
    vectors = RecordFiles.open(str(output_dir)).vectors()["author"]
    assert len(vectors) == FIRST_ID + len(values)
    of_author = dict(zip(values, vectors[FIRST_ID:], strict=True))
    np.testing.assert_array_equal(of_author["36"], of_author["42"])  # "cat videos", both
    assert abs(of_author["36"] @ of_author["37"]) < 0.9 < of_author["9"] @ of_author["45"]
    assert all(of_author[value].any() == (value in described) for value in values)
    hashed = prepared(tmp_path / "hashed", logs, headers, vocabulary="hashed", hash_bins=97)
    assert not FeatureSchema.load(hashed).vectors
