"""What a preparation noted: read, absent, or damaged."""

import pytest

from lcn_tf.data.prepared_folder import MEASURED_SPLITS, SPLITS, preparation_facts
from lcn_tf.data.record_files import RecordFiles
from tests import synthetic


def test_models_are_measured_on_what_they_are_not_trained_on():
    assert ("train", *MEASURED_SPLITS) == SPLITS


def test_facts_are_read_where_there_are_any(tmp_path):
    assert preparation_facts(str(tmp_path)) == {}
    (tmp_path / "preparation.json").write_text('{"dataset": "\u00fcber"}', encoding="utf-8")
    assert preparation_facts(str(tmp_path)) == {"dataset": "\u00fcber"}


@pytest.mark.parametrize(("text", "message"), [
    ('{"splits": ', "not JSON"), ("[]", "expected an object, got a list"),
    ('{"splits": null}', "splits: expected an object, got null"),
    ('{"splits": {"train": 5}}', "splits.train: expected an object, got 5"),
    ('{"splits": {"train": {"impressions": "5"}}}', 'splits.train.impressions: expected a whole number, got "5"'),
    ('{"settings": 3}', "settings: expected an object, got 3"),
])
def test_damaged_facts_are_named(tmp_path, text, message):
    synthetic.write_records(tmp_path)
    (tmp_path / "preparation.json").write_text(text)
    with pytest.raises(ValueError, match=f"preparation.json: {message}"):
        RecordFiles.open(str(tmp_path))
