"""The data contract refuses what cannot be meant, and survives its JSON form."""

import dataclasses

import pytest

from lcn_tf.schema import Feature, FeatureSchema
from tests import synthetic


def test_json_round_trip_keeps_everything():
    schema = synthetic.make_schema()
    assert FeatureSchema.from_json(schema.to_json()) == schema
    assert FeatureSchema.from_json(schema.to_json()).fingerprint == schema.fingerprint


def test_fingerprint_changes_with_a_table():
    schema = synthetic.make_schema()
    assert dataclasses.replace(schema, tables={**schema.tables, "item": 62}).fingerprint != schema.fingerprint


@pytest.mark.parametrize("change, message", [
    ({"item": ()}, "item is empty"),
    ({"user": (Feature("age", "ages"),)}, "'age' names table 'ages'"),
    ({"request": (Feature("price", "slot"),)}, "'price'.*twice"),
    ({"context": (Feature("time_gap", "behaviour"),)}, "'time_gap'.*twice"),
    ({"lengths": {"short_target": 5}}, "lengths"),
    ({"time_gap_boundaries": (60, 30, 90)}, "must increase"),
    ({"time_gap_boundaries": (60,)}, "'time_gap'.*must be 4, got 6"),
])
def test_contradictions_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(synthetic.make_schema(), **change)


def test_a_file_that_is_no_schema_is_named(tmp_path):
    (tmp_path / "schema.json").write_text('{"name": "x"}')
    with pytest.raises(ValueError, match=r"schema.json: not a FeatureSchema.*\['name'\]"):
        FeatureSchema.load(tmp_path)
    (tmp_path / "schema.json").write_text("{")
    with pytest.raises(ValueError, match="schema.json"):
        FeatureSchema.load(tmp_path)
