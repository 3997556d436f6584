"""Draws that depend on nothing but the data and a seed: integer arithmetic that every engine evaluates alike.

Logs that say what users did and not what they were shown get impressions that were not clicked from here
(`with_negatives`).
"""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

# Modulo a prime p with p % 3 == 2, x -> x^3 is a permutation; below 2^31 no product of two residues leaves int64.
PRIME = 2_147_483_579
_FACTOR, _SUMMAND = 1_327_217_885, 971_215_073
_SEED_STEP = 1_103_515_245  # seeds are this far apart, so that neighbouring rows do not share their draws
# Bounds the draws of a positive whose user knows nearly all of the pool.
MOST_ATTEMPTS = 4_095
# Draws of a positive for each of its negatives, beyond those that fall on items the user knows: some repeat others.
_DRAWS_PER_NEGATIVE = 4


def mixed(value: ir.IntegerValue) -> ir.IntegerValue:
    """Integers spread evenly over 0 to `PRIME - 1`: (factor * value + summand)^3 modulo `PRIME`."""
    residue = (value % PRIME + PRIME) % PRIME
    residue = (residue * _FACTOR + _SUMMAND) % PRIME
    return residue * residue % PRIME * residue % PRIME


def chosen(value: ir.IntegerValue, share: float) -> ir.BooleanValue:
    """Whether a value belongs to a share of all values."""
    return mixed(value) < round(share * PRIME)


def with_negatives(
        positives: ir.Table, pool: ir.Table, refused: ir.Table, negatives: int, attempts: ir.Table | None = None,
        seed: int = 0, item: str | None = None) -> ir.Table:
    """Positives and what else their users might have been shown, drawn by popularity.

    A draw takes one row of the positive's pool, each with the same chance, by a hash of the positive's row and the
    draw's number. So an item is drawn as often as it is in the pool, and its popularity hardly tells positives from
    negatives. Draws that are among the `refused` are left out.

    Args:
      positives: `row` (unique), `user`, `timestamp`, `pool` (which one is drawn from) and the item columns. Evaluated
        more than once, as are the others.
      pool: `pool`, `row` (unique) and the item columns, which are all others.
      refused: some of `user`, `timestamp` and item columns: a draw that equals one of its rows in these is refused.
      negatives: of a positive.
      attempts: `user`, perhaps `pool`, and how many `attempts` (int64, 1 to `MOST_ATTEMPTS`) its positives have: the
        first `negatives` different items that are not refused are its negatives, fewer if there are no more. None: as
        many draws as negatives; those refused are not drawn again, and an item may come twice.
      seed: other draws for another seed.
      item: name of the column that tells items apart; None: all item columns together do.

    Returns:
      `impression_id` (`row * (negatives + 1)` for a positive, plus j for its negative j, from 1), `user`, `timestamp`,
      the item columns and `label` (1 for a positive, 0 for a negative).
    """
    items = [name for name in pool.columns if name not in ("pool", "row")]
    if attempts is None:
        draws = positives.mutate(place=ibis.range(1, negatives + 1).unnest())
    else:
        draws = positives.inner_join(attempts, [name for name in ("user", "pool") if name in attempts.columns])
        draws = draws.mutate(place=ibis.range(1, draws.attempts + 1).unnest())
    stride = (negatives if attempts is None else MOST_ATTEMPTS) + 1
    draws = draws.select("row", "user", "timestamp", "pool", "place")
    sizes = pool.group_by("pool").agg(size=pool.count())
    draws = draws.inner_join(sizes, "pool")
    draws = draws.mutate(number=mixed(draws.row * stride + draws.place + seed * _SEED_STEP) % draws["size"])
    number = ibis.row_number().over(group_by="pool", order_by="row").cast("int64")
    drawn = draws.inner_join(pool.select("pool", *items, number=number), ["pool", "number"])
    drawn = drawn.anti_join(refused, refused.columns)
    if attempts is not None:
        again = ibis.row_number().over(group_by=["row", *([item] if item else items)], order_by="place")
        drawn = drawn.mutate(again=again).filter(lambda table: table.again == 0)
        drawn = drawn.mutate(place=1 + ibis.row_number().over(group_by="row", order_by="place").cast("int64"))
        drawn = drawn.filter(drawn.place <= negatives)
    parts = ((positives.mutate(place=ibis.literal(0, "int64")), 1), (drawn, 0))
    return ibis.union(*(
        part.select("user", "timestamp", *items, impression_id=part.row * (negatives + 1) + part.place,
                    label=ibis.literal(label, "int64")) for part, label in parts))


def attempts_by_user(pool: ir.Table, known: ir.Table, item: str, negatives: int) -> ir.Table:
    """`user`, `pool` and `attempts`, for `with_negatives`: the more of a pool a user knows, the more is refused.

    Args:
      pool: `pool`, `item` and others.
      known: `user` and `item`, each pair once: what is refused.
      item: name of the column that tells items apart.
      negatives: of a positive.
    """
    weights = pool.group_by("pool", item).agg(weight=pool.count())
    refused = known.inner_join(weights, item)
    refused = refused.group_by("user", "pool").agg(known=refused.weight.sum())
    every = known.select("user").distinct().cross_join(pool.group_by("pool").agg(size=pool.count()))
    every = every.left_join(refused, ["user", "pool"]).select("user", "pool", "size", known=refused.known.fill_null(0))
    wanted = negatives * _DRAWS_PER_NEGATIVE * every["size"] // (every["size"] - every.known).clip(lower=1)
    return every.select("user", "pool", attempts=wanted.clip(lower=1, upper=MOST_ATTEMPTS).cast("int64"))
