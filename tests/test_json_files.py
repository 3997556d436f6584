"""A file that is no JSON, or says something else than expected, is named with the field."""

import pytest

from lcn_tf import json_files
from lcn_tf.json_files import Optional

SHAPE = {"name": str, "sizes": {str: {"rows": int}}, "rates": [float], "note": Optional(str), "any": object}
TEXT = '{"name": "a", "sizes": {"x": {"rows": 3, "more": null}}, "rates": [1, 0.5], "any": null, "other": 1}'


@pytest.mark.parametrize(("old", "new", "message"), [
    ('"a"', "null", "name: expected a text, got null"),
    ('{"rows": 3, "more": null}', "[]", "sizes.x: expected an object, got a list"),
    ("3", "true", "sizes.x.rows: expected a whole number, got true"),
    ("3", "1.5", "sizes.x.rows: expected a whole number, got 1.5"),
    ('"rows"', '"lines"', "sizes.x: no 'rows' in it; it has lines, more"),
    ("0.5", '"b"', 'rates.1: expected a number, got "b"'),
    ('"other"', '"note"', "note: expected a text, got 1"),
    ('"any"', '"all"', "no 'any' in it; it has name, sizes, rates, all, other"),
    (TEXT, "[]", "expected an object, got a list"),
    (TEXT, "", "not JSON: "), (TEXT, "[" * 100_000, "not JSON: "), ("a", "\xff", "not JSON: 'utf-8' codec"),
])
def test_the_first_field_that_is_otherwise_is_named(tmp_path, old, new, message):
    path = tmp_path / "facts.json"
    path.write_text(TEXT, encoding="latin-1")
    assert json_files.read(str(path), SHAPE)["rates"] == [1, 0.5]
    path.write_text(TEXT.replace(old, new, 1), encoding="latin-1")
    with pytest.raises(ValueError) as error:
        json_files.read(str(path), SHAPE)
    assert str(error.value).startswith(f"{path}: {message}")
