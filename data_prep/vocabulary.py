"""Vocabularies: raw value -> id, counted on the training days only.

Ids start at `FIRST_ID` and follow the count, largest first, then the value; so they depend on nothing but the data.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

import ibis
import ibis.expr.types as ir

from data_prep.description import Source
from lcn_tf.schema import FIRST_ID, OOV_ID, Feature


def vocabulary(source: Source, name: str, min_count: int) -> ir.Table:
    """The vocabulary `name` as an expression with the columns `value` and `id`.

    A value's count is the number of training impressions that carry it (as item, candidate, request or user column)
    plus the number of events before the end of the training days; with fewer than `min_count` it gets no id.
    """
    first, end = source.description.splits["train"]
    impressions = source.impressions.filter(
        source.impressions.timestamp >= first, source.impressions.timestamp < end)
    events = source.events.filter(source.events.timestamp < end)
    shown_users = source.users.inner_join(impressions.select("user"), "user")
    columns = [
        (table, feature.name)
        for table, features in ((shown_users, source.description.user),
                                (impressions, source.description.impression_features),
                                (events, source.description.event_features))
        for feature in features if feature.table == name]
    parts = [table.group_by(value=table[column]).agg(rows=table.count()) for table, column in columns]
    counted = parts[0] if len(parts) == 1 else ibis.union(*parts, distinct=False)
    totals = counted.group_by("value").agg(total=counted.rows.sum())
    kept = totals.filter(totals.total >= min_count)
    order = [kept.total.desc(), kept.value.asc()]
    return kept.select("value", id=(ibis.row_number().over(order_by=order) + FIRST_ID).cast("int64"))


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
    os.makedirs(directory)
    rows = {}
    for name, table in vocabularies.items():
        values = table.order_by("id").select("value").to_pyarrow()["value"]
        with open(os.path.join(directory, f"{name}.txt"), "w", encoding="utf-8", newline="\n") as file:
            file.writelines(f"{value}\n" for value in values.to_pylist())
        rows[name] = len(values) + FIRST_ID
    return rows
