"""The history of what a user was shown before and did not click."""

import dataclasses

import pytest

from data_prep.errors import InputError
from lcn_tf.data.record_files import RecordFiles
from lcn_tf.schema import UNCLICKED, FeatureSchema
from tests.data_prep.own_logs.mappings import SMALL, prepared
from tests.data_prep.own_logs.small_events import EVENTS_ONLY, FIRST, random_events, records, vocabulary, write_events

SHOWN = EVENTS_ONLY + '[impressions]\nfiles = "shown.csv"\nlabel = "clicked"\n'
LENGTH = 4
WITH = dataclasses.replace(SMALL, unclicked_length=LENGTH)
# Three candidates a page, of which one or none is clicked; a user's pages are hours apart.
ROWS = [(f"u{page % 5}", FIRST + 7_000 * page, int(place == page % 4), f"a{(page + 3 * place) % 11}")
        for page in range(90) for place in range(3)]


@pytest.mark.parametrize("snapshot", ["request", "user", "day"])
def test_it_holds_what_was_shown_strictly_before_and_not_clicked(tmp_path, snapshot):
    logs = write_events(tmp_path / "logs", random_events(1))
    write_events(logs, ROWS, "user,at,clicked,author", "shown.csv")
    folder = prepared(logs, SHOWN, preparation=dataclasses.replace(WITH, snapshot=snapshot))
    spec = FeatureSchema.load(str(folder)).histories[UNCLICKED]
    assert (spec.domain, spec.length, spec.kind, spec.context) == ("target", LENGTH, "extra", ())
    RecordFiles.open(str(folder)).check("test")
    compared, words = 0, ["PADDING", "OOV", *vocabulary(folder, "author")]
    for record in (record for found in records(folder).values() for record in found):
        for place, moment in enumerate(record["timestamp"]):
            cutoff = moment - (moment - FIRST) % 86_400 if snapshot == "day" else moment
            user = next(user for user, at, _, _ in ROWS if at == moment)
            before = [(at, author) for other, at, clicked, author in ROWS
                      if other == user and not clicked and at < cutoff][::-1]
            offset = record[f"{UNCLICKED}_offset"][place]
            found = [(at, words[number]) for at, number in zip(
                record[f"{UNCLICKED}_timestamp"], record[f"{UNCLICKED}_author"], strict=True)]
            assert found[offset:offset + LENGTH] == [
                (at, author if author in words else "OOV") for at, author in before[:LENGTH]]
            compared += len(before) > LENGTH
    assert compared > 50


def test_without_the_setting_there_is_none(tmp_path):
    logs = write_events(tmp_path / "logs", random_events(1))
    folder = prepared(write_events(logs, ROWS, "user,at,clicked,author", "shown.csv"), SHOWN)
    assert UNCLICKED not in FeatureSchema.load(str(folder)).histories
    assert "unclicked" not in (folder / "preparation.json").read_text()


def test_drawn_negatives_were_shown_to_nobody(tmp_path):
    with pytest.raises(InputError, match="unclicked_length=4: what was not clicked is drawn for these logs"):
        prepared(write_events(tmp_path / "logs", random_events(1)), EVENTS_ONLY, preparation=WITH)
