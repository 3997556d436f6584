"""Cells with several values, and vectors of values, by a mapping file."""

import dataclasses
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_prep.errors import InputError
from lcn_tf.data.record_files import RecordFiles
from lcn_tf.schema import FIRST_ID, FeatureSchema
from tests import references_data
from tests.data_prep.own_logs.mappings import SMALL, prepared
from tests.data_prep.own_logs.small_events import EVENTS_ONLY, random_events, records, vocabulary, write_events

CELLS = ("b|a", "a", "", "c | a|b|d", "(none)|d", "d|d|c")
GENRES = """candidate = { genres = { column = "genres", separator = "|", without = ["(none)"], values = 3 }, \
second = { column = "genres", separator = "|", without = ["(none)"], place = 2 } }"""
TEXT = f"{EVENTS_ONLY}{GENRES}\n"
EXPECTED = {"b|a": ("b", "a"), "a": ("a",), "": (), "c | a|b|d": ("c", "a", "b"), "(none)|d": ("d",),
            "d|d|c": ("d", "c")}


def logs(tmp_path):
    rows = [(*row[:4], CELLS[int(row[3][1:]) % len(CELLS)]) for row in random_events(1)]
    return write_events(tmp_path / "logs", rows, "user,at,kind,author,genres")


def test_values_of_a_cell_are_features_of_one_table(tmp_path):
    folder = prepared(logs(tmp_path), TEXT)
    schema = FeatureSchema.load(str(folder))
    assert schema.means == {"genres": ("genres_1", "genres_2", "genres_3")}
    assert set(vocabulary(folder, "genres")) == set("abcd")
    of_author, seconds = {}, {}
    for record in (record for found in records(folder).values() for record in found):
        for author, second, *values in zip(record["author"], record["second"], *(
                record[name] for name in schema.means["genres"]), strict=True):
            counted = tuple(value for value in values if value != "PADDING")
            assert values[len(counted):] == ["PADDING"] * (3 - len(counted))
            of_author[author], seconds[author] = counted, second
    of_author.pop(references_data.OOV, None)
    assert len(of_author) > 20
    for author, found in of_author.items():
        expected = EXPECTED[CELLS[int(author[1:]) % len(CELLS)]]
        assert found == expected and seconds[author] == (expected[1] if len(expected) > 1 else "-1")


def test_several_unknown_values_are_one(tmp_path):
    rows = [(*row[:4], f"r{place}|s{place}|a") for place, row in enumerate(random_events(1))]
    folder = prepared(write_events(tmp_path / "logs", rows, "user,at,kind,author,genres"), TEXT,
                      preparation=dataclasses.replace(SMALL, min_count=100))
    cells = {cell for found in records(folder).values() for record in found
             for cell in zip(*(record[f"genres_{place}"] for place in (1, 2, 3)), strict=True)}
    assert cells == {(references_data.OOV, "PADDING", "a")}


@pytest.mark.parametrize("feature, message", [
    ('item = { x = { column = "genres", separator = "|", values = 2 } }', "item.x: features of users and candidates"),
    ('candidate = { x = { column = "genres", values = 2 } }', "without, place and values need separator"),
    ('candidate = { x = { column = "genres", separator = "|", values = 0 } }', "values must be from 1 to 100, got 0"),
    ('candidate = { x = { column = "genres", separator = "|", values = 2, missing = "-" } }', "missing has no place"),
    ('candidate = { x_2 = "author", x = { column = "genres", separator = "|", values = 2 } }', "x_2: the name is")])
def test_what_cannot_be_is_refused(tmp_path, feature, message):
    item = 'item = { author = "author" }'
    text = EVENTS_ONLY.replace(item, feature if feature.startswith("item") else f"{item}\n{feature}")
    with pytest.raises(InputError, match=message):
        prepared(logs(tmp_path), text)


def test_vectors_come_with_the_records(tmp_path):
    folder, ids = logs(tmp_path), [f"a{number}" for number in range(30)]
    vectors = np.random.default_rng(0).standard_normal((30, 4)).astype(np.float32)
    pq.write_table(pa.table({"ids": ids, "vectors": list(vectors)}), folder / "authors.parquet")
    made = prepared(folder, 'vectors = { author = "authors.parquet" }\n' + EVENTS_ONLY)
    found, words = RecordFiles.open(str(made)).vectors()["author"], vocabulary(made, "author")
    for place, word in enumerate(words, FIRST_ID):
        np.testing.assert_array_equal(found[place], vectors[ids.index(word)])


@pytest.mark.parametrize("first, last, form, warning", [
    (0, 30, "a{}", None),
    (20, 100, "a{}", r"authors.npz: 10 of 30 values of table author have a vector \(not 'a1?\d'\), and 10 of its 80 "
                     r"vectors are of such values \(not 'a30'\)"),
    (0, 61, "a{}", r"authors.npz: 30 of 30 values of table author have a vector, and 30 of its 61 vectors are of such "
                   r"values \(not 'a30'\)")])
def test_vectors_that_match_little_are_warned_of(tmp_path, first, last, form, warning):
    ids = [form.format(number) for number in range(first, last)]
    folder = logs(tmp_path)
    np.savez(folder / "authors.npz", ids=np.array(ids), vectors=np.ones((len(ids), 2), np.float32))
    made = prepared(folder, 'vectors = { author = "authors.npz" }\n' + EVENTS_ONLY)
    found = references_data.read_preparation(made)["warnings"]
    assert [re.fullmatch(warning or "", text) is not None for text in found] == [True] * (warning is not None)


@pytest.mark.parametrize("line, message", [
    ('vectors = { author = "none.npz" }\n', "vectors: .*none.npz: no such file"),
    ('vectors = { room = "none.npz" }\n', "vectors.room: no feature reads this table, they read author, user_id")])
def test_vectors_that_are_not_there_are_refused_before_anything_is_read(tmp_path, line, message):
    with pytest.raises(InputError, match=message):
        prepared(logs(tmp_path), line + EVENTS_ONLY)
