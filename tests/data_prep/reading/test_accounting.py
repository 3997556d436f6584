"""Row accounting and fingerprints."""


import ibis
import pytest

from data_prep.reading import accounting
from data_prep.reading.accounting import RowCounts


def test_rows_are_counted_by_reason():
    table = ibis.memtable({"value": [1, 2, 3, 4, 5], "drop_reason": ["b", None, "a", "b", None]},
                          schema={"value": "int64", "drop_reason": "string"})
    counts = accounting.count_rows("file.csv", table)
    assert counts == RowCounts("file.csv", 2, {"a": 1, "b": 2})
    assert counts.read == accounting.number_of_rows(table) == 5
    assert counts.to_json() == {"read": 5, "used": 2, "dropped": {"a": 1, "b": 2}}
    used = accounting.used_rows(table)
    assert used.columns == ("value",) and sorted(used.to_pyarrow()["value"].to_pylist()) == [2, 5]


def test_table_shows_every_number():
    text = accounting.format_table({"raw.csv": {"read": 1234, "used": 1000, "dropped": {"old": 200, "odd": 34}},
                                    "b.csv": {"read": 7, "used": 7, "dropped": {}}})
    assert text.splitlines() == [
        "file     rows read   used  dropped",
        "raw.csv      1,234  1,000      234",
        "  old                          200",
        "  odd                           34",
        "b.csv            7      7        0"]


@pytest.mark.parametrize("used", [0, 5])
def test_a_file_without_drops(used):
    assert RowCounts("file", used, {}).read == used
