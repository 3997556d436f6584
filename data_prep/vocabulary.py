"""Vocabularies: raw value -> id, counted on the training days only or hashed.

Counted ids start at `FIRST_ID` and follow the count, largest first, then the value; so they depend on nothing but the
data. A hashed id is `FIRST_ID` + the first 52 bits of the MD5 of the value's text, modulo the bins.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

import ibis
import ibis.expr.types as ir

from data_prep.config import PreparationConfig
from data_prep.description import Source
from lcn_tf.schema import FIRST_ID, OOV_ID, Feature

_HASH_DIGITS = 13  # hexadecimal: 52 bits


def vocabulary(source: Source, name: str, preparation: PreparationConfig) -> ir.Table:
    """The vocabulary `name` as an expression with the columns `value` and `id`.

    A value's count is the number of training impressions that carry it (as item, candidate, request or user column)
    plus the number of events before the end of the training days; with fewer than `min_count` it gets no id. With
    hashed ids every value of every day has one.
    """
    if preparation.vocabulary == "hashed":
        columns = _columns(source, name, source.users, source.impressions, source.events)
        parts = [table.select(value=table[column]).distinct() for table, column in columns]
        values = _union(parts).distinct()
        return values.select("value", id=hashed(values.value, preparation.hash_bins))
    impressions, events = source.training_rows()
    shown_users = source.users.inner_join(impressions.select("user"), "user")
    parts = [table.group_by(value=table[column]).agg(rows=table.count())
             for table, column in _columns(source, name, shown_users, impressions, events)]
    counted = _union(parts)
    totals = counted.group_by("value").agg(total=counted.rows.sum())
    kept = totals.filter(totals.total >= preparation.min_count)
    order = [kept.total.desc(), kept.value.asc()]
    return kept.select("value", id=(ibis.row_number().over(order_by=order) + FIRST_ID).cast("int64"))


def hashed(value: ir.Value, bins: int) -> ir.IntegerValue:
    """Ids of values, the same on every engine: `FIRST_ID` to `FIRST_ID + bins - 1`."""
    digits = value.cast("string").hexdigest("md5").lower()
    # As float64, exact below 2^53: Spark's positions are 32-bit integers, whatever they are cast to.
    number = sum(ibis.literal("0123456789abcdef").find(digits.substr(place, 1)).cast("float64")
                 * 16.0 ** (_HASH_DIGITS - 1 - place) for place in range(_HASH_DIGITS))
    return (number.cast("int64") % bins + FIRST_ID).cast("int64")


def encode(table: ir.Table, features: tuple[Feature, ...], vocabularies: Mapping[str, ir.Table]) -> ir.Table:
    """Replaces the raw values of `features`' columns by ids; a value without an id becomes `OOV_ID`."""
    for feature in features:
        ids = vocabularies[feature.table].select(encoded_value="value", encoded_id="id")
        joined = table.left_join(ids, table[feature.name] == ids.encoded_value)
        encoded = ibis.coalesce(joined.encoded_id, OOV_ID).cast("int64")
        table = joined.mutate(encoded.name(feature.name)).drop("encoded_value", "encoded_id")
    return table


def write(vocabularies: Mapping[str, ir.Table], directory: str) -> dict[str, int]:
    """Writes `{directory}/{name}.txt`, line i holding the value of id `FIRST_ID + i`.

    Returns:
      Vocabulary name -> rows of its embedding table, padding and out of vocabulary included.
    """
    os.makedirs(directory, exist_ok=True)
    rows = {}
    for name, table in vocabularies.items():
        values = table.order_by("id").select("value").to_pyarrow()["value"]
        with open(os.path.join(directory, f"{name}.txt"), "w", encoding="utf-8", newline="\n") as file:
            for chunk in values.chunks:
                file.writelines(f"{value}\n" for value in chunk.to_pylist())
        rows[name] = FIRST_ID + len(values)
    return rows


def _columns(source: Source, name: str, users: ir.Table, impressions: ir.Table,
             events: ir.Table) -> list[tuple[ir.Table, str]]:
    """(table, column) of everything that reads the vocabulary `name`."""
    description = source.description
    return [(table, feature.name)
            for table, features in ((users, description.user), (impressions, description.impression_features),
                                    (events, description.event_features))
            for feature in features if feature.table == name]


def _union(parts: list[ir.Table]) -> ir.Table:
    return parts[0] if len(parts) == 1 else ibis.union(*parts, distinct=False)
