"""The digits that finished runs are known by stay what they are."""

import json
import pathlib

import pytest

from lcn_tf import canonical_json

RESULTS = pathlib.Path(__file__).resolve().parent.parent / "experiments" / "results"


def test_the_text_is_the_same_in_any_order_of_keys():
    assert canonical_json.text({"b": [1, 2.5, None], "a": {"d": True, "c": "\u00fc"}}) == (
        '{"a":{"c":"\\u00fc","d":true},"b":[1,2.5,null]}')
    assert canonical_json.digest({"a": 1, "b": 2}) == canonical_json.digest({"b": 2, "a": 1})
    assert canonical_json.digest({"a": 1, "b": 2}) != canonical_json.digest({"a": 1, "b": 3})


def test_the_digits_are_those_of_sha256():  # printf '{"a":1,"b":2}' | sha256sum
    assert canonical_json.digest({"a": 1, "b": 2}) == "43258cff783fe703"


@pytest.mark.parametrize("path", sorted(RESULTS.glob("*/configurations.json")), ids=lambda path: path.parent.name)
def test_stored_configurations_have_the_digits_of_what_they_say(path):
    stored = json.loads(path.read_text(encoding="utf-8"))
    assert stored == {canonical_json.digest(configuration): configuration for configuration in stored.values()}
