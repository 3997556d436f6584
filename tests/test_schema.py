"""The data contract refuses what cannot be meant, and survives its JSON form."""

import contextlib
import dataclasses
import json

import pytest

from lcn_tf.schema import CLICK, Feature, FeatureSchema, HistorySpec, Label
from tests import synthetic


def test_json_round_trip_keeps_everything():
    schema = synthetic.make_schema()
    assert FeatureSchema.from_json(schema.to_json()) == schema
    assert FeatureSchema.from_json(schema.to_json()).fingerprint == schema.fingerprint


VERSION_1 = """{
  "candidate": [],
  "context": [],
  "item": [
    {
      "name": "brand",
      "table": "brand"
    }
  ],
  "lengths": {
    "lifelong_source": 500,
    "short_source": 24,
    "short_target": 23
  },
  "name": "ads",
  "request": [],
  "tables": {
    "brand": 9
  },
  "time_gap_boundaries": [],
  "user": []
}"""


def test_what_earlier_versions_wrote_is_read_and_written_as_it_was():
    schema = FeatureSchema.from_json(VERSION_1)
    assert schema.lengths == {"short_target": 23, "short_source": 24, "lifelong_source": 500}
    assert (schema.short, schema.lifelong, schema.domains) == (
        ("short_target", "short_source"), "lifelong_source", ("target", "source"))
    assert schema.labels == (CLICK,) and schema.label_keys == ("label",)
    assert schema.to_json() == VERSION_1


@pytest.mark.parametrize("text, message", [
    (VERSION_1.replace("{", '{"version": 4,', 1), "of version 4; this package reads those up to 3"),
    (VERSION_1.replace("short_source", "clicked"), r"schema.lengths has \['clicked', .*expected"),
    ("[]", "expected a JSON object, got list"),
])
def test_what_no_version_wrote_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        FeatureSchema.from_json(text)


def rich_schema():
    """More of everything than version 1 could say."""
    schema = synthetic.make_schema()
    histories = {"zapped": HistorySpec("target", 4, "extra", ()), **schema.histories}
    return dataclasses.replace(
        schema, histories=histories, labels=(CLICK, Label("long_stay", given="click")), scenario="slot",
        vectors={"item": "texts.npy"})


def test_histories_and_labels_keep_their_order_in_a_file():
    schema = rich_schema()
    again = FeatureSchema.from_json(schema.to_json())
    assert again == schema and again.record_names == schema.record_names and '"version": 2' in schema.to_json()
    assert schema.history_names("zapped") == ("zapped_item_id", "zapped_category", "zapped_timestamp")
    assert schema.impression_names[4:6] == ("label", "long_stay")
    assert "zapped_behaviour" not in schema.table_of_feature and schema.table_of_feature["zapped_item_id"] == "item"


def test_fingerprint_changes_with_a_table():
    schema = synthetic.make_schema()
    assert dataclasses.replace(schema, tables={**schema.tables, "item": 62}).fingerprint != schema.fingerprint


@pytest.mark.parametrize("change, message", [
    ({"item": ()}, "item is empty"),
    ({"user": (Feature("age", "ages"),)}, "'age' names table 'ages'"),
    ({"request": (Feature("price", "slot"),)}, "'price'.*twice"),
    ({"context": (Feature("time_gap", "behaviour"),)}, "'time_gap'.*twice"),
    ({"histories": {"short_target": HistorySpec("target", 5, "short")}}, "must have one lifelong history, got none"),
    ({"histories": {name: HistorySpec("source", 5, "lifelong") for name in "ab"}}, "one lifelong history, got a, b"),
    ({"histories": {"all": HistorySpec("source", 5, "long")}}, r"\['all'\].kind must be one of short, lifelong, extra"),
    ({"histories": {"all": HistorySpec(5, 5, "lifelong")}}, r"\['all'\].domain must be a name, got 5"),
    ({"histories": {"all": HistorySpec("source", 5, "lifelong", ("stars",))}}, "context names stars; known: behaviour"),
    ({"labels": ()}, "labels is empty"),
    ({"labels": (CLICK, Label("click"))}, "'click' twice"),
    ({"labels": (Label("stay", given="click"), CLICK)}, "'stay' is given 'click', which is none of the labels before"),
    ({"labels": (CLICK, Label("stay", "label"))}, "labels: 'stay' would have the name of the label 'click' as 'label'"),
    ({"labels": (CLICK, Label("stay", "timestamp"))}, "'stay' would have the name of the tensor 'timestamp' of the"),
    ({"labels": (CLICK, Label("Click", "x"))}, "labels: 'Click' and 'click' are one name to TensorFlow"),
    ({"labels": (CLICK, Label("age"))}, "schema.user: feature 'age' would have the name of the tensor 'age'"),
    ({"labels": (CLICK, Label("stay", given="click"), Label("stay_joint"))},
     "'stay_joint' is what metrics call 'stay' and 'click' together"),
    ({"means": {"category": ("age",)}}, "means: 'category' is a feature's name"),
    ({"means": {"slot": ("age",)}}, "means: 'slot' is a feature's name"),
    ({"means": {"both ages": ("age",)}}, "means: feature 'both ages' cannot be an input"),
    ({"means": {"ages": ("age", "age")}}, "means names age twice"),
    ({"scenario": "price"}, "scenario must be a request feature, one of slot, got 'price'"),
    ({"vectors": {"texts": "a.npy"}}, "vectors names the table 'texts'"),
    ({"time_gap_boundaries": (60, 30, 90)}, "must increase"),
    ({"time_gap_boundaries": (60,)}, "'time_gap'.*must be 4, got 6"),
])
def test_contradictions_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(synthetic.make_schema(), **change)


def named(role, name):
    """The small schema with another name for the first feature of a role."""
    schema = synthetic.make_schema()
    first, *others = getattr(schema, role)
    return dataclasses.replace(schema, **{role: (Feature(name, first.table), *others)})


@pytest.mark.parametrize(("role", "name", "message"), [
    *(("user", name, "cannot be an input of an exported model: expected ASCII letters, digits and _ - . behind a")
      for name in ("user id", "1st", "_x", "名", "é", "page:slot", "a/b", "a\\b", "ad*", "", "x\n", 3)),
    *(("item", name, "cannot be an input of an exported model: the word is one of Python's own")
      for name in ("class", "self", "from", "None", "lambda")),
    *(("candidate", name, "would have the name of the tensor ")
      for name in ("user_key", "label", "timestamp", "impression_id", "candidate_mask", "row_number", "Label",
                   "user-key", "short_target_offset", "lifelong_source_mask", "short_source_timestamp",
                   "state_events", "State.mask")),
    *((role, name, "would have the name of the tensor 'short_target_")
      for role in ("item", "context") for name in ("offset", "mask", "Mask")),
    ("context", "timestamp", "would have the name of the tensor 'short_target_timestamp' of the package as 'short"),
    ("request", "Age", "would have the name of schema.user feature 'age'"),
    ("candidate", "item-id", "would have the name of schema.item feature 'item_id'"),
    ("context", "Category", "would have the name of schema.item feature 'category' as 'short_target_Category'"),
    ("request", "short_target_category", "would have the name of schema.item feature 'category'"),
])
def test_names_that_cannot_be_served_are_refused(role, name, message):
    with pytest.raises(ValueError) as error:
        named(role, name)
    assert f"schema.{role}: feature {name!r} {message}" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(("role", "name"), [
    ("user", "type"), ("user", "user.country-code"), ("user", "timezone_offset"), ("item", "ItemID"), ("item", "x2"),
    ("request", "position"), ("user", "state_code"), ("candidate", "gone_item_id"), ("candidate", "name"),
    ("candidate", "time_gap"), ("context", "label"), ("context", "class"), ("context", "user_key"),
])
def test_ordinary_names_are_not(role, name):
    assert named(role, name)


@pytest.mark.parametrize(("change", "message"), [
    ({"name": "my clicks"}, "schema.name: 'my clicks' is no name: expected ASCII letters, digits and _ - . behind a"),
    ({"name": "../clicks"}, "schema.name: '../clicks' is no name"),
    ({"tables": {"a/b": 3}}, "schema.tables: 'a/b' is no name"),
    ({"tables": {"user": 43.0}}, "schema.tables['user'] must be a whole number of at least 2, got 43.0"),
    ({"tables": {"user": True}}, "schema.tables['user'] must be a whole number of at least 2, got True"),
    ({"histories": {"short_target": HistorySpec("target", "5", "short")}},
     "schema.histories['short_target'].length must be a whole number of at least 1, got '5"),
    ({"user": (Feature("age", "time_gap"),)}, "schema.user: feature 'age' reads the table 'time_gap', which is that"),
])
def test_tables_lengths_and_the_data_set_are_checked_too(change, message):
    schema = synthetic.make_schema()
    merged = {name: {**getattr(schema, name), **value} if isinstance(value, dict) else value
              for name, value in change.items()}
    with pytest.raises(ValueError) as error:
        dataclasses.replace(schema, **merged)
    assert message in str(error.value)


def test_a_table_may_be_called_like_the_time_gap_where_none_is_derived():
    schema = synthetic.make_schema(time_gap=False)
    tables = {**schema.tables, "time_gap": 9}
    assert dataclasses.replace(schema, tables=tables, context=(Feature("time_gap", "time_gap"),))


def test_a_file_that_is_no_schema_is_named(tmp_path):
    (tmp_path / "schema.json").write_text('{"name": "x"}')
    with pytest.raises(ValueError, match=r"schema.json: not a FeatureSchema.*\['name'\]"):
        FeatureSchema.load(tmp_path)
    wrong = synthetic.make_schema().to_json().replace('"slot"', '"class"')
    (tmp_path / "schema.json").write_text(wrong)
    with pytest.raises(ValueError, match=r"schema.json: schema.request: feature 'class' cannot be an input"):
        FeatureSchema.load(tmp_path)
    (tmp_path / "schema.json").write_text("{")
    with pytest.raises(ValueError, match="schema.json"):
        FeatureSchema.load(tmp_path)
    (tmp_path / "schema.json").write_text(synthetic.make_schema().to_json(), encoding="utf-16")
    with pytest.raises(ValueError, match="schema.json: not JSON: 'utf-8' codec"):
        FeatureSchema.load(tmp_path)


@pytest.mark.parametrize("make", [synthetic.make_schema, lambda: dataclasses.replace(
    synthetic.make_schema(), scenario="slot", means={"bought": ("user_id",)})])
def test_a_field_of_another_shape_is_named(tmp_path, make):
    schema = json.loads(make().to_json())
    for name in schema:
        for value in (None, [], {}, 1, "x", [1], {"a": None}, ["a"], [[]], [{}], {"a": []}, True, 1.5):
            (tmp_path / "schema.json").write_text(json.dumps({**schema, name: value}))
            with contextlib.suppress(ValueError):  # some are schemas
                FeatureSchema.load(tmp_path)
    (tmp_path / "schema.json").write_text(json.dumps({**schema, "tables": []}))
    with pytest.raises(ValueError, match="schema.json: not a FeatureSchema: tables: expected an object, got a list"):
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
    longer = dataclasses.replace(schema, histories={**schema.histories, **{
        name: HistorySpec("target", 5, "extra") for name in ("shown", "bought")}})
    assert longer.reading() == longer and longer.reading(extra=()) == schema
    assert set(longer.reading(extra=["bought"]).histories) == {*schema.histories, "bought"}


@pytest.mark.parametrize("fields, message", [
    ({"item_fields": ["brand", "item_id"]}, "data.item_fields names brand; known: item_id, category"),
    ({"context_fields": ["item_id"]}, "data.context_fields names item_id; known: behaviour, time_gap"),
])
def test_fields_that_no_event_has(fields, message):
    with pytest.raises(ValueError, match=message):
        synthetic.make_schema().reading(**fields)
