"""Draws that depend on nothing but the data: integer arithmetic that every engine evaluates alike."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

# Modulo a prime p with p % 3 == 2, x -> x^3 is a permutation; below 2^31 no product of two residues leaves int64.
PRIME = 2_147_483_579
_FACTOR, _SUMMAND = 1_327_217_885, 971_215_073


def mixed(value: ir.IntegerValue) -> ir.IntegerValue:
    """Integers spread evenly over 0 to `PRIME - 1`: (factor * value + summand)^3 modulo `PRIME`."""
    residue = (value % PRIME + PRIME) % PRIME
    residue = (residue * _FACTOR + _SUMMAND) % PRIME
    return residue * residue % PRIME * residue % PRIME


def chosen(value: ir.IntegerValue, share: float) -> ir.BooleanValue:
    """Whether a value belongs to a share of all values."""
    return mixed(value) < round(share * PRIME)


def with_negatives(views: ir.Table, negatives: int) -> ir.Table:
    """Page views and what else their users might have been shown, drawn by popularity.

    Negative j of a view is the item of a view of the same day, chosen by a hash of the row of the first and of j. So an
    item is drawn as often as it is viewed that day, and its popularity hardly tells views from negatives. Draws that
    the user viewed in that very second are left out: only for items with a large share of a day's views is that many.

    Args:
      views: `row` (unique), `user`, `timestamp`, `day`, `item_id`, `category`, all int64; evaluated more than once.
      negatives: draws per view.

    Returns:
      `impression_id` (`row * (negatives + 1)` for a view, plus j for its negative j), `user`, `timestamp`, `item_id`,
      `category` and `label` (1 for a view, 0 for a negative).
    """
    draws = views.mutate(place=ibis.range(1, negatives + 1).unnest())
    draws = draws.select("user", "timestamp", "day", impression_id=draws.row * (negatives + 1) + draws.place)
    sizes = views.group_by("day").agg(size=views.count())
    draws = draws.inner_join(sizes, "day")
    draws = draws.mutate(number=mixed(draws.impression_id) % draws["size"])
    number = ibis.row_number().over(group_by="day", order_by="row").cast("int64")
    pool = views.select("day", "item_id", "category", number=number)
    negative = draws.inner_join(pool, ["day", "number"]).anti_join(views, ["user", "timestamp", "item_id"])
    columns = ("impression_id", "user", "timestamp", "item_id", "category")
    return ibis.union(
        views.mutate(impression_id=views.row * (negatives + 1)).select(*columns, label=ibis.literal(1, "int64")),
        negative.select(*columns, label=ibis.literal(0, "int64")))
