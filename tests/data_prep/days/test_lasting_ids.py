"""Ids that keep their meaning while values come and go."""

import numpy as np
import pyarrow as pa
import pytest

from data_prep.days.config import LastingIdsConfig
from data_prep.days.lasting_ids import WAITING, LastingIds
from data_prep.errors import InputError
from lcn_tf.schema import FIRST_ID


def counts(day, **seen):
    return pa.table({"value": pa.array(list(seen), pa.string()), "total": pa.array(seen.values(), pa.int64()),
                     "last_day": np.full(len(seen), day)})


def known(ids):
    return dict(zip(ids.known.value, ids.known.id, strict=True))


def test_the_most_frequent_come_first_and_keep_their_ids():
    first = LastingIds.empty("item", 10).with_day(1, counts(1, b=2, a=2, c=5), min_count=1)
    assert known(first) == {"c": 2, "a": 3, "b": 4}
    second = first.with_day(2, counts(2, d=9, b=1), min_count=1)
    assert known(second) == {"c": 2, "a": 3, "b": 4, "d": 5}
    assert second.admitted(2).tolist() == [5] and second.admitted(1).tolist() == [2, 3, 4]
    assert second.texts().to_pylist() == ["c", "a", "b", "d", None, None, None, None]


def test_a_value_waits_until_it_is_seen_often_enough():
    ids = LastingIds.empty("item", 10).with_day(1, counts(1, a=2, b=1), min_count=2)
    assert known(ids) == {"a": 2}
    ids = ids.with_day(2, counts(2, b=1), min_count=2)
    assert known(ids) == {"a": 2, "b": 3} and ids.admitted(2).tolist() == [3]


def test_idle_values_leave_and_their_ids_are_given_away():
    ids = LastingIds.empty("item", 10).with_day(1, counts(1, a=3, b=2), min_count=1)
    ids = ids.with_day(2, counts(2, b=1), min_count=1)
    assert known(ids.without_idle(2, 2)) == {"a": 2, "b": 3}
    left = ids.with_day(3, counts(3, b=1), min_count=1).without_idle(3, 2)
    assert known(left) == {"b": 3} and left.texts().to_pylist()[0] is None
    later = left.with_day(4, counts(4, a=1, z=7), min_count=1)
    assert known(later) == {"b": 3, "z": 2, "a": 4}  # who returns is new
    assert later.admitted(4).tolist() == [2, 4]


def test_a_full_table_lets_values_wait_for_rows_that_become_free():
    ids = LastingIds.empty("item", FIRST_ID + 2).with_day(1, counts(1, a=3, b=2, c=1), min_count=1)
    assert known(ids) == {"a": 2, "b": 3} and len(ids.values) == 3
    ids = ids.with_day(2, counts(2, b=1, c=1), min_count=1).without_idle(2, 1).with_day(3, counts(3, d=1), min_count=1)
    assert known(ids) == {"b": 3, "c": 2} and set(ids.values.value[ids.values.id == WAITING]) == {"d"}


def test_random_days_never_give_an_id_two_meanings(tmp_path):
    rng, ids, config = np.random.default_rng(3), LastingIds.empty("item", 30), LastingIdsConfig()
    for day in range(1, 60):
        drawn = rng.integers(day, day + 25, size=60)
        values, seen = np.unique(drawn, return_counts=True)
        before = known(ids)
        today = pa.table({"value": values, "total": seen, "last_day": np.full(len(seen), day)})
        ids = ids.with_day(day, today, min_count=2)
        now = known(ids)
        assert now.items() >= before.items() and len(set(now.values())) == len(now)
        assert all(FIRST_ID <= number < 30 for number in now.values())
        ids.write(tmp_path / f"{day}.parquet")
        read = LastingIds.read(tmp_path / f"{day}.parquet", "item", 30)
        assert known(read) == now
        ids = read.without_idle(day, 4)
    assert config.rows_of("item") == 100_000 and len(known(ids)) > 10


def test_another_type_is_refused():
    ids = LastingIds.empty("item", 10).with_day(1, pa.table({"value": [7], "total": [1], "last_day": [1]}), min_count=1)
    with pytest.raises(InputError, match="vocabulary item: its values were integers and are now texts, such as 'a': "):
        ids.with_day(2, counts(2, a=1), min_count=1)


def test_sizes_of_tables():
    config = LastingIdsConfig(rows=50, table_rows=("room:7", "a:b:9"))
    assert [config.rows_of(name) for name in ("room", "a:b", "other")] == [7, 9, 50]
    with pytest.raises(ValueError, match="table_rows names room; known: item"):
        LastingIdsConfig(table_rows=("room:7",)).check(["item"])
    for entry in ("room", "room:2", ":5", "room:x"):
        with pytest.raises(ValueError, match="table_rows must be like room:20000"):
            LastingIdsConfig(table_rows=(entry,))
    with pytest.raises(ValueError, match="twice"):
        LastingIdsConfig(table_rows=("room:7", "room:8"))
