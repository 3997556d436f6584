"""Logged requests with labels become the records that they were made of, and a model trains on them."""

import dataclasses
import subprocess
import sys

import pandas as pd
import pytest
import tensorflow as tf

from data_prep.errors import InputError
from data_prep.logged_requests.labelled_records import write_records
from lcn_tf.data.prepared_folder import SPLITS, preparation_facts
from lcn_tf.data.record_files import RecordFiles
from lcn_tf.data.records import encode
from lcn_tf.schema import CLICK, Feature, Label
from lcn_tf.serving.logged_requests import read_requests
from lcn_tf.serving.recorded_requests import requests_of
from tests import synthetic
from tests.serving.test_audit import logged

DAY = 86_400


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Records of five days, and what a server would have logged of them."""
    folder = tmp_path_factory.mktemp("logged")
    schema = dataclasses.replace(synthetic.make_schema(), labels=(CLICK, Label("long_stay", given="click")))
    groups = synthetic.make_groups(schema, 30, seed=1)
    for place, group in enumerate(groups):
        moved = (place % 5 - 4) * DAY + synthetic.MOMENT - group["timestamp"][0]
        group["timestamp"] = [synthetic.MOMENT + (place % 5 - 4) * DAY] * len(group["timestamp"])
        for history in schema.histories:
            name = f"{history}_timestamp"
            group[name] = [moment + moved for moment in group[name]]
    synthetic.write_records(folder / "data", schema, seed=2, groups=dict.fromkeys(SPLITS, groups))
    files = RecordFiles.open(str(folder / "data"))
    records = [tf.train.Example.FromString(record) for record in tf.data.TFRecordDataset(
        list(files.splits["train"])).as_numpy_iterator()]
    pairs = [pair for record in records for pair in requests_of(schema, record.SerializeToString())]
    rows = [{"request": number, "candidate": candidate, **{
        key: part[key][candidate - 1] for key in schema.label_keys}}
        for number, (part, _) in enumerate(pairs, start=1) for candidate in range(1, len(part["timestamp"]) + 1)]
    logged(folder / "log", schema, [request for _, request in pairs])
    return folder, schema, [part for part, _ in pairs], pd.DataFrame(rows)


def written(made, tmp_path, labels, name="labels.csv"):
    folder, _, _, _ = made
    labels.to_csv(tmp_path / name, index=False)
    write_records(str(folder / "log"), str(tmp_path / name), str(folder / "data"), str(tmp_path / "out"))
    return RecordFiles.open(str(tmp_path / "out"))


def read(files, split):
    found = []
    for record in tf.data.TFRecordDataset(list(files.splits[split])).as_numpy_iterator():
        features = tf.train.Example.FromString(record).features.feature
        found.append({name: list(features[name].int64_list.value) for name in files.schema.record_names})
    return found


def test_the_records_are_those_that_the_requests_were_made_of(made, tmp_path):
    _, schema, parts, labels = made
    files = written(made, tmp_path, labels)
    found = [group for split in SPLITS for group in read(files, split)]
    without = {"user_key", "impression_id"}

    def content(groups):
        return sorted(str({name: group[name] for name in schema.record_names if name not in without})
                      for group in groups)

    assert content(found) == content(parts)
    days = {split: {group["timestamp"][0] // DAY for group in read(files, split)} for split in SPLITS}
    assert max(days["train"]) < min(days["validation"]) == max(days["validation"]) < min(days["test"])
    facts = preparation_facts(files.data_dir)
    assert facts["fingerprint"] == files.fingerprint
    assert sum(facts["splits"][split]["labels"]["long_stay"]["positives"] for split in SPLITS) == labels.long_stay.sum()
    assert sum(facts["splits"][split]["impressions"] for split in SPLITS) == len(labels)


def test_candidates_without_a_label_are_left_out(made, tmp_path):
    _, _, parts, labels = made
    files = written(made, tmp_path, labels[labels.candidate == 1])
    assert all(len(group["label"]) == 1 for split in SPLITS for group in read(files, split))
    rows = preparation_facts(files.data_dir)["rows"]["candidates"]
    assert rows["used"] == len(parts) and rows["dropped"] == {"without label": len(labels) - len(parts)}


def test_requests_that_no_record_may_be_like_are_left_out_and_counted(made, tmp_path):
    folder, schema, parts, labels = made
    requests = list(read_requests(str(folder / "log"), schema))
    odd = next(place for place, request in enumerate(requests) if len(request["lifelong_source_timestamp"]) > 1)
    requests[odd] = {name: values[::-1] if name.startswith("lifelong_source") else values
                     for name, values in requests[odd].items()}
    logged(tmp_path / "log", schema, requests)
    labels.to_csv(tmp_path / "labels.csv", index=False)
    write_records(str(tmp_path / "log"), str(tmp_path / "labels.csv"), str(folder / "data"), str(tmp_path / "out"))
    files, facts = RecordFiles.open(str(tmp_path / "out")), preparation_facts(str(tmp_path / "out"))
    for split in SPLITS:
        files.check(split)
    dropped = len(parts[odd]["timestamp"])
    assert facts["rows"]["candidates"] == {"read": len(labels), "used": len(labels) - dropped, "dropped": {
        "of a request that no record may be like": dropped}}
    assert f"the first is request {odd + 1}: feature 'lifelong_source_timestamp' rises" in facts["warnings"][0]


@pytest.mark.parametrize("right, message", [
    (0, "log: no labelled request is left: 30 requests are left out, .*; the first is request 1: feature 'timestamp'"),
    (1, "labelled requests of 1 days: .*; 29 requests are left out, .*; the first is request 2: feature 'timestamp'")])
def test_why_too_few_are_left_is_said(made, tmp_path, right, message):
    folder, schema, _, labels = made
    requests = list(read_requests(str(folder / "log"), schema))
    for request in requests[right:]:
        request["timestamp"] = [1_000 * moment for moment in request["timestamp"]]
    logged(tmp_path / "log", schema, requests)
    labels.to_csv(tmp_path / "labels.csv", index=False)
    with pytest.raises(InputError, match=message):
        write_records(str(tmp_path / "log"), str(tmp_path / "labels.csv"), str(folder / "data"), str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_users_are_not_told_apart_by_one_of_several_values(tmp_path):
    plain, tags = synthetic.make_schema(), ("tags_1", "tags_2")
    schema = dataclasses.replace(
        plain, tables={**plain.tables, "tag": 997}, user=(*(Feature(name, "tag") for name in tags), *plain.user),
        means={"tags": tags})
    groups = synthetic.make_groups(schema, 12, seed=1)
    for place, group in enumerate(groups):
        moved = place % 3 * DAY
        group |= {"user_id": [max(0, place - 2) % 10], "tags_1": [2 * (place % 2)], "tags_2": [0]}
        group |= {name: [moment + moved for moment in group[name]]
                  for name in schema.record_names if name.endswith("timestamp")}
    synthetic.write_records(tmp_path / "data", schema, dict.fromkeys(SPLITS, groups))
    logged(tmp_path / "log", schema, [request for group in groups for _, request in requests_of(
        schema, encode(schema, group))])
    pd.DataFrame([{"request": number, "candidate": 1, "label": 0} for number in range(1, 13)]).to_csv(
        tmp_path / "labels.csv", index=False)
    write_records(str(tmp_path / "log"), str(tmp_path / "labels.csv"), str(tmp_path / "data"), str(tmp_path / "out"))
    files = RecordFiles.open(str(tmp_path / "out"))
    keys = [group["user_key"][0] for split in SPLITS for group in read(files, split)]
    assert sorted(keys) == [-4, -3, -2, -1, 2, 3, 4, 5, 6, 7, 8, 9]  # ids 0 and 1 are of nobody


@pytest.mark.parametrize("change, message", [
    (lambda table: table.drop(columns="label"), "labels.csv: no column 'label'; there are request, candidate, long"),
    (lambda table: table.assign(request="first"), "row 1, column request: expected a whole number, got 'first'"),
    (lambda table: table.assign(label=2), "labels.csv, row 1, column label: expected 0 or 1, got 2"),
    (lambda table: table.assign(request=10_000), "row 1, column request: expected 1 to .*, got 10000"),
    (lambda table: table.assign(candidate=0), "row 1, column candidate: expected 1 to .*, the candidates of request 1"),
    (lambda table: pd.concat([table, table]), "candidate 1 of request 1 has a row already"),
    (lambda table: table.assign(label=0, long_stay=1), "row 1, column long_stay: expected 0 where label is 0, got 1"),
    (lambda table: table[table.request == 1], "labelled requests of 1 days: training, validation and test need one"),
])
def test_what_is_refused(made, tmp_path, change, message):
    with pytest.raises(InputError, match=message):
        written(made, tmp_path, change(made[3]))
    assert not (tmp_path / "out").exists()


def test_the_command(made, tmp_path):
    folder, _, _, labels = made
    labels.to_parquet(tmp_path / "labels.parquet")
    command = [sys.executable, "-m", "data_prep.logged_requests", f"--requests={folder / 'log'}",
               f"--labels={tmp_path / 'labels.parquet'}", f"--data_dir={folder / 'data'}"]
    done = subprocess.run([*command, f"--output_dir={tmp_path / 'out'}"], capture_output=True, text=True)
    assert done.returncode == 0 and "candidates" in done.stdout and "test " in done.stdout, done.stderr
    again = subprocess.run([*command, f"--output_dir={tmp_path / 'out'}"], capture_output=True, text=True)
    assert again.returncode == 1 and "exists already" in again.stderr
