"""The columns and texts that logs may have: what they add to the records, and that all else stays as without them."""

import dataclasses
import gzip

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
    counted = references_data.read_preparation(output_dir)["rows"]["item_texts.csv"]
    assert counted == {"read": 11, "used": 7, "dropped": {"author of no used row": 4}}
    hashed = prepared(tmp_path / "hashed", logs, headers, vocabulary="hashed", hash_bins=97)
    assert not FeatureSchema.load(hashed).vectors


def test_texts_are_packed_or_written_otherwise_with_the_same_vectors(tmp_path):
    logs, headers = with_further(random_logs(1))
    texts = logs.pop("item_texts.csv")
    files = {"item_texts.csv": ["id,text", *(f"{author},{text}" for author, text in texts)],
             "item_texts.csv.gz": ["ID,Text", *(f'0{author}.0," {text} "' for author, text in texts), "36.0,again"]}
    found = {}
    for name, lines in files.items():
        folder = write_logs(tmp_path / f"{name} logs", logs, headers=headers)
        content = "\n".join(lines).encode()
        (folder / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
        prepare(str(folder), str(tmp_path / name), IndustrialConfig(), SMALL)
        found[name] = RecordFiles.open(str(tmp_path / name)).vectors()["author"]
    np.testing.assert_array_equal(*found.values())
    dropped = references_data.read_preparation(tmp_path / "item_texts.csv.gz")["rows"]["item_texts.csv.gz"]["dropped"]
    assert dropped["repeats an earlier author"] == 1


def test_texts_of_nobody_are_refused_and_no_texts_are_no_vectors(tmp_path):
    logs, headers = with_further(random_logs(1))
    assert not FeatureSchema.load(prepared(tmp_path / "none", {**logs, "item_texts.csv": []}, headers)).vectors
    foreign = {**logs, "item_texts.csv": [[900_001, "cat videos"], [900_002, "dog videos"]]}
    with pytest.raises(InputError, match="item_texts.csv: no text of an author of a used row; rows dropped: .'author "
                       "of no used row': 2.*line 2, column id: expected an author of a used row, such as 38, got 90"):
        prepared(tmp_path / "foreign", foreign, headers)
