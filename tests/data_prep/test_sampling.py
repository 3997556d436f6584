"""Draws are the same in plain Python and on the engine, spread evenly, and follow popularity."""

import collections

import ibis
import numpy as np
import pyarrow as pa

from data_prep import sampling
from data_prep.sampling import PRIME


def mixed(value):
    """`sampling.mixed` with Python's integers, which cannot overflow."""
    return pow(value * sampling._FACTOR + sampling._SUMMAND, 3, PRIME)


def engine_mixed(values):
    table = ibis.memtable(pa.table({"value": pa.array(values, pa.int64())}))
    return ibis.duckdb.connect().to_pyarrow(table.mutate(drawn=sampling.mixed(table.value)))["drawn"].to_pylist()


def test_equals_arithmetic_without_overflow():
    values = [0, 1, 2, 17, -1, -PRIME, PRIME - 1, PRIME, PRIME + 1, 2**53, -2**53, 2**63 - 1, -2**63]
    values += np.random.default_rng(1).integers(-2**63, 2**63, 1_000).tolist()
    assert engine_mixed(values) == [mixed(value) for value in values]


def test_the_cube_is_a_permutation():
    assert PRIME % 3 == 2 and all(PRIME % divisor for divisor in range(2, int(PRIME**0.5) + 1))
    assert PRIME < 2**31  # a product of two residues stays below 2^62


def test_neighbours_are_spread_evenly_and_apart():
    drawn = np.array(engine_mixed(list(range(50_000)))) % 100
    counts = np.bincount(drawn)
    assert len(counts) == 100 and counts.min() > 400 and counts.max() < 600  # 500 ± 4.5 standard deviations
    pairs = collections.Counter(zip((drawn[:-1] % 10).tolist(), (drawn[1:] % 10).tolist(), strict=True))
    assert len(pairs) == 100 and min(pairs.values()) > 400 and max(pairs.values()) < 600


def test_a_share_of_the_categories_is_chosen():
    for first, step in ((2_171, 1), (2_171, 546), (0, 1_000), (5_000_000, 3)):
        categories = ibis.memtable(pa.table({"category": first + step * np.arange(9_439)}))
        share = ibis.duckdb.connect().to_pyarrow(sampling.chosen(categories.category, 0.15).mean()).as_py()
        assert 0.135 < share < 0.165


def views(rows=6_000, days=2, items=12, seed=3):
    """Page views of which half the items are much more popular on one day than on the other."""
    rng = np.random.default_rng(seed)
    day = rng.integers(0, days, rows)
    item = rng.zipf(1.5, rows) % items
    item = np.where(day == 1, items - 1 - item, item)
    return pa.table({"row": 7 * np.arange(rows), "user": rng.integers(0, 500, rows), "pool": 86_400 * day,
                     "timestamp": 86_400 * day + rng.integers(0, 86_400, rows), "item_id": item, "category": item % 5})


def drawn(table, negatives):
    positives = ibis.memtable(table)
    result = sampling.with_negatives(positives, positives.drop("user", "timestamp"),
                                     positives.select("user", "timestamp", "item_id"), negatives)
    return ibis.duckdb.connect().to_pyarrow(result).to_pylist()


def test_negatives_follow_the_popularity_of_their_day():
    """Items are drawn as often as they are viewed, and kept unless the drawing view is of the same item."""
    shown = drawn(views(), 3)
    counts = collections.Counter((row["timestamp"] // 86_400, row["item_id"], row["label"]) for row in shown)
    sizes = collections.Counter(row["timestamp"] // 86_400 for row in shown if row["label"])
    popular = [(day, item) for day, item, label in counts if label and counts[day, item, 1] > 200]
    assert len(popular) >= 4
    for day, item in popular:
        share = counts[day, item, 1] / sizes[day]
        assert abs(counts[day, item, 0] / (3 * counts[day, item, 1] * (1 - share)) - 1) < 0.12
    assert counts[0, 1, 0] > 3 * counts[1, 1, 0]


def test_impression_ids_name_row_and_place():
    table = views(rows=500)
    by_row = collections.defaultdict(dict)
    for row in drawn(table, 3):
        assert row["impression_id"] % 4 not in by_row[row["impression_id"] // 4]
        by_row[row["impression_id"] // 4][row["impression_id"] % 4] = row
    assert set(by_row) == set(table["row"].to_pylist())
    for row in table.to_pylist():
        shown = by_row[row["row"]]
        assert all(shown[place]["label"] == (place == 0) for place in shown)
        assert {(entry["user"], entry["timestamp"]) for entry in shown.values()} == {(row["user"], row["timestamp"])}
        assert shown[0]["item_id"] == row["item_id"]
        assert all(entry["item_id"] != row["item_id"] for place, entry in shown.items() if place)
        assert all(entry["category"] == entry["item_id"] % 5 for entry in shown.values())


def test_what_the_user_views_in_that_second_is_no_negative():
    rows = 300
    row, same = np.arange(rows), np.zeros(rows, int)
    table = pa.table({"row": row, "user": same, "pool": same, "timestamp": row // 2, "item_id": row % 4,
                      "category": same})
    for row in drawn(table, 2):
        same_second = {0, 1} if row["timestamp"] % 2 == 0 else {2, 3}
        assert (row["item_id"] in same_second) == row["label"]


def redrawn(rated, pool, negatives, attempts, seed=0):
    """Positives of one user each, whose rated items are refused; the pool has its items as often as it says."""
    rows = [(user, item) for user, items in enumerate(rated) for item in items]
    users, items = map(list, zip(*rows, strict=True))
    same = np.zeros(len(rows), int)
    positives = pa.table({"row": np.arange(len(rows)), "user": users, "timestamp": same, "pool": same,
                          "item_id": items, "category": np.array(items) % 5})
    stock = [item for item, times in pool.items() for _ in range(times)]
    stock = pa.table({"pool": np.zeros(len(stock), int), "row": np.arange(len(stock)), "item_id": stock,
                      "category": np.array(stock) % 5})
    attempts = pa.table({"user": np.arange(len(rated)), "attempts": np.full(len(rated), attempts)})
    result = sampling.with_negatives(
        ibis.memtable(positives), ibis.memtable(stock), ibis.memtable(positives.select(["user", "item_id"])), negatives,
        ibis.memtable(attempts), seed)
    return ibis.duckdb.connect().to_pyarrow(result.order_by("impression_id")).to_pylist()


def test_draws_again_until_there_are_enough_different_items():
    shown = redrawn([(0, 1), (2,)] * 200, {0: 500, 1: 30, 2: 20, 3: 10, 4: 10, 5: 5}, 3, 4_000)
    assert collections.Counter(row["impression_id"] % 4 for row in shown) == {0: 600, 1: 600, 2: 600, 3: 600}
    for row in shown:
        assert row["label"] == (row["impression_id"] % 4 == 0) and row["category"] == row["item_id"] % 5
        assert row["label"] or row["item_id"] not in ((0, 1), (2,))[row["user"] % 2]
    by_row = collections.defaultdict(set)
    for row in shown:
        by_row[row["impression_id"] // 4].add(row["item_id"])
    assert {len(items) for items in by_row.values()} == {4}
    first = collections.Counter(row["item_id"] for row in shown if row["impression_id"] % 4 == 1 and row["user"] % 2)
    assert abs(first[0] / 200 - 500 / 555) < 0.08  # among those not refused, by popularity


def test_too_few_items_give_fewer_negatives_and_a_seed_gives_others():
    rated, pool = [tuple(range(6)), tuple(range(4))], dict.fromkeys(range(6), 10)
    shown = redrawn(rated, pool, 3, 4_000)
    negatives = [(row["user"], row["item_id"]) for row in shown if not row["label"]]
    assert sorted(set(negatives)) == [(1, 4), (1, 5)] and len(negatives) == 2 * 4
    assert shown == redrawn(rated, pool, 3, 4_000)
    many = [redrawn([(0,)] * 50, dict.fromkeys(range(20), 10), 2, 40, seed) for seed in (0, 1, 2)]
    assert many[0] != many[1] != many[2] != many[0]
