"""Hashed ids against hashlib, and where they end."""

import ibis
import pyarrow as pa
import pytest

from data_prep import vocabulary
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
