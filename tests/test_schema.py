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


def test_a_model_may_read_some_fields_alone():
    schema = synthetic.make_schema()
    assert schema.reading() == schema
    of_items = schema.reading(["item_id"])
    assert [feature.name for feature in of_items.item] == ["item_id"] and of_items.context == schema.context
    assert set(schema.tables) - set(of_items.tables) == {"category"}
    without_gap = schema.reading(context_fields=["behaviour"])
    assert without_gap.context == schema.context and without_gap.time_gap_boundaries == ()
    assert set(schema.tables) - set(without_gap.tables) == {"time_gap"}
    gap = schema.reading(context_fields=["time_gap"])
    assert gap.context == () and [feature.name for feature in gap.context_features] == ["time_gap"]
    assert set(schema.tables) - set(gap.tables) == {"behaviour"}
    shared = dataclasses.replace(schema, user=(*schema.user, Feature("liked", "category")))
    assert shared.reading(["item_id"]).tables == schema.tables  # something else reads the table


@pytest.mark.parametrize("fields, message", [
    ({"item_fields": ["brand", "item_id"]}, "data.item_fields names brand; known: item_id, category"),
    ({"context_fields": ["item_id"]}, "data.context_fields names item_id; known: behaviour, time_gap"),
])
def test_fields_that_no_event_has(fields, message):
    with pytest.raises(ValueError, match=message):
        synthetic.make_schema().reading(**fields)
