"""Vocabularies: raw value -> id, counted on the training days only or hashed.

Counted ids start at `FIRST_ID` and follow the count, largest first, then the value; so they depend on nothing but the
data. A hashed id is `FIRST_ID` + the first 52 bits of the MD5 of the value's text, modulo the bins.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import ibis
import ibis.expr.types as ir

from data_prep.config import PreparationConfig
from data_prep.description import Source
from data_prep.engines import Engine
from lcn_tf.data.prepared_folder import VOCABULARIES
from lcn_tf.schema import FIRST_ID, OOV_ID, PADDING_ID, Feature

if TYPE_CHECKING:
    import pyarrow as pa

_HASH_DIGITS = 13  # hexadecimal: 52 bits

# (engine, source, settings, folder of the records) -> vocabularies by name, `value` and `id`; rows of their tables,
# padding and out of vocabulary included. What belongs beside the records is written there.
Assign: TypeAlias = Callable[[Engine, Source, PreparationConfig, str], tuple[dict[str, ir.Table], dict[str, int]]]


def assign(engine: Engine, source: Source, preparation: PreparationConfig,
           folder: str) -> tuple[dict[str, ir.Table], dict[str, int]]:
    """The vocabularies of a data set that is prepared once; see `Assign`."""
    names = source.description.vocabulary_names
    if preparation.vocabulary == "hashed":
        vocabularies = {name: engine.store(f"vocabulary_{name}", hashed_ids(source, name, preparation.hash_bins))
                        for name in names}
        return vocabularies, dict.fromkeys(vocabularies, FIRST_ID + preparation.hash_bins)
    tallies = tally(engine, source, *source.training_rows())
    vocabularies = {name: engine.store(f"vocabulary_{name}", counted_ids(source, name, tallies, preparation.min_count))
                    for name in names}
    values = {name: table.order_by("id").select("value").to_pyarrow()["value"] for name, table in vocabularies.items()}
    return vocabularies, {name: write(os.path.join(folder, VOCABULARIES), name, found)
                          for name, found in values.items()}


def hashed_ids(source: Source, name: str, bins: int) -> ir.Table:
    """`value` and hashed `id` of every value of every day."""
    columns = _columns(source, name, source.users, source.impressions, source.events)
    values = _union([table.select(value=table[column]).distinct() for table, column in columns]).distinct()
    return values.select("value", id=hashed(values.value, bins))


def counted_ids(source: Source, name: str, tallies: Tallies, min_count: int) -> ir.Table:
    """`value` and `id` of the values of a vocabulary that are counted `min_count` times or more.

    A value's count is the number of training impressions that carry it (as item, candidate, request or user column)
    plus the number of events before the end of the training days. Those of `source.described` get an id however often
    they are counted.
    """
    totals = counts(source, name, tallies)
    kept = totals.filter(totals.total >= min_count)
    if name in source.described:
        described = source.described[name].select("value").distinct().anti_join(kept, "value")
        kept = _union([kept.select("value", total=kept.total.cast("int64")),
                       described.select("value", total=ibis.literal(0, "int64"))])
    order = [kept.total.desc(), kept.value.asc()]
    return kept.select("value", id=(ibis.row_number().over(order_by=order) + FIRST_ID).cast("int64"))


class Tallies(NamedTuple):
    """Impressions by their users' features, impressions and events by their own, each combination once.

    Beside the features are `tallied_rows`, how many impressions or events have them, and `tallied_moment`, the newest
    one's second.
    """

    users: ir.Table
    impressions: ir.Table
    events: ir.Table


def tally(engine: Engine, source: Source, impressions: ir.Table, events: ir.Table) -> Tallies:
    """Counts some impressions and events once, for all vocabularies."""
    description = source.description
    moments = impressions.group_by("user").agg(**_tallied(impressions))
    users = engine.store("tallied_users", source.users.inner_join(moments, "user"))
    own = (("impressions", impressions, description.impression_features),
           ("events", events, description.event_features))
    return Tallies(users, *(
        engine.store(f"tallied_{name}", table.group_by(*(feature.name for feature in features)).agg(**_tallied(table)))
        for name, table, features in own))


def _tallied(table: ir.Table) -> dict[str, ir.Value]:
    return {"tallied_rows": table.count(), "tallied_moment": table.timestamp.max()}


def counts(source: Source, name: str, tallies: Tallies) -> ir.Table:
    """Of a vocabulary `value`, `total` (how many impressions and events carry it) and `last` (the newest's second)."""
    counted = _union([table.select(value=table[column], rows=table.tallied_rows, moment=table.tallied_moment)
                      for table, column in _columns(source, name, *tallies)])
    return counted.group_by("value").agg(total=counted.rows.sum(), last=counted.moment.max())


def hashed(value: ir.Value, bins: int) -> ir.IntegerValue:
    """Ids of values, the same on every engine: `FIRST_ID` to `FIRST_ID + bins - 1`."""
    digits = value.cast("string").hexdigest("md5").lower()
    # As float64, exact below 2^53: Spark's positions are 32-bit integers, whatever they are cast to.
    number = sum(ibis.literal("0123456789abcdef").find(digits.substr(place, 1)).cast("float64")
                 * 16.0 ** (_HASH_DIGITS - 1 - place) for place in range(_HASH_DIGITS))
    return (number.cast("int64") % bins + FIRST_ID).cast("int64")


def encode(table: ir.Table, features: tuple[Feature, ...], vocabularies: Mapping[str, ir.Table],
           means: Mapping[str, Sequence[str]] | None = None) -> ir.Table:
    """Replaces the raw values of `features`' columns by ids; one without an id becomes `OOV_ID`.

    Among the features of `means` (`lcn_tf.schema.FeatureSchema`), null becomes `PADDING_ID`, and so does an id that one
    before it has: several unknown values are one.
    """
    several = {member for members in (means or {}).values() for member in members}
    joined = table = table.select(*table.columns)
    for feature in features:  # one chain of joins: queries within queries have a limit, which many features reach
        value = f"value of {feature.name}"
        ids = vocabularies[feature.table].select(**{value: "value", f"id of {feature.name}": "id"})
        joined = joined.left_join(ids, joined[feature.name] == ids[value])
    encoded = {}
    for feature in features:
        ids = ibis.coalesce(joined[f"id of {feature.name}"], OOV_ID)
        if feature.name in several:
            ids = joined[feature.name].isnull().ifelse(PADDING_ID, ids)
        encoded[feature.name] = ids.cast("int64")
    table = joined.mutate(**encoded).select(*table.columns)
    own = {feature.name for feature in features}
    once = {name: table[name].isin([table[before] for before in members[:place]]).ifelse(PADDING_ID, table[name])
            for members in (means or {}).values() if own.issuperset(members)
            for place, name in enumerate(members) if place}
    return table.mutate(**{name: ids.cast("int64") for name, ids in once.items()}) if once else table


def write(directory: str, name: str, values: pa.ChunkedArray) -> int:
    """Writes `{directory}/{name}.txt`, line i holding the value of id `FIRST_ID + i`, an empty line where none has it.

    Returns:
      Rows of the embedding table, padding and out of vocabulary included.
    """
    os.makedirs(directory, exist_ok=True)
    with open(os.path.join(directory, f"{name}.txt"), "w", encoding="utf-8", newline="\n") as file:
        for chunk in values.chunks:
            file.writelines("\n" if value is None else f"{value}\n" for value in chunk.to_pylist())
    return FIRST_ID + len(values)


def _columns(source: Source, name: str, users: ir.Table, impressions: ir.Table,
             events: ir.Table) -> list[tuple[ir.Table, str]]:
    """(table, column) of everything that reads the vocabulary `name`."""
    description = source.description
    several = description.several
    return [(table.filter(table[feature.name].notnull()) if feature.name in several else table, feature.name)
            for table, features in ((users, description.user), (impressions, description.impression_features),
                                    (events, description.event_features))
            for feature in features if feature.table == name]


def _union(parts: list[ir.Table]) -> ir.Table:
    return parts[0] if len(parts) == 1 else ibis.union(*parts, distinct=False)
