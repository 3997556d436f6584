"""Hashed ids against hashlib, and where they end."""

import ibis
import pyarrow as pa
import pytest

from data_prep import vocabulary
from lcn_tf.schema import Feature
from tests import references_data


@pytest.mark.parametrize("bins", [1, 97, 2**31])
@pytest.mark.parametrize("values", [[0, 7, -1, 2**53 - 1, 430_548], ["", "pv", "430548_1007", "(none)", "Amélie 😀"]])
def test_hashed_ids_are_those_of_hashlib(bins, values):
    table = ibis.memtable(pa.table({"value": values}))
    connection = ibis.duckdb.connect()
    found = connection.to_pyarrow(table.select("value", id=vocabulary.hashed(table.value, bins)))
    connection.disconnect()
    assert found["id"].type == pa.int64()
    assert found["id"].to_pylist() == [references_data.hashed_id(str(value), bins) for value in values]
    assert all(2 <= number < 2 + bins for number in found["id"].to_pylist())


def test_an_id_is_once_among_the_values_of_one_feature():
    """Unknown values, and values whose hashed ids are one: `c` has the id of `a`."""
    rows = [("x", "y", None), ("a", "x", "y"), ("x", "a", "y"), ("a", "c", "b"), ("x", None, None), (None,) * 3]
    names = ("tags_1", "tags_2", "tags_3")
    known = ibis.memtable(pa.table({"value": ["a", "b", "c"], "id": [2, 3, 2]}))
    shown = ibis.memtable(pa.table({"row": range(len(rows)), **dict(zip(names, zip(*rows, strict=True), strict=True))}))
    features = tuple(Feature(name, "tag") for name in names)
    connection = ibis.duckdb.connect()
    encoded = vocabulary.encode(shown, features, {"tag": known}, {"tags": names})
    found = connection.to_pyarrow(encoded.order_by("row"))
    connection.disconnect()
    assert list(zip(*(found[name].to_pylist() for name in names), strict=True)) == [
        (1, 0, 0), (2, 1, 0), (1, 2, 0), (2, 0, 3), (1, 0, 0), (0, 0, 0)]
    assert {found[name].type for name in names} == {pa.int64()}


def test_there_may_be_many_features():
    names = [f"f{place}" for place in range(60)]
    known = ibis.memtable(pa.table({"value": ["a", "b"], "id": [2, 3]}))
    shown = ibis.memtable(pa.table({name: ["b", "x"] for name in names}))
    connection = ibis.duckdb.connect()
    found = connection.to_pyarrow(vocabulary.encode(shown, tuple(Feature(name, "t") for name in names), {"t": known}))
    connection.disconnect()
    assert found.column_names == names and all(sorted(found[name].to_pylist()) == [1, 3] for name in names)
