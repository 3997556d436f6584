"""Features of a mapping -> columns of the canonical tables: ids as integers or texts, numbers by their boundaries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import ibis
import ibis.expr.types as ir

from data_prep.description import DatasetDescription
from data_prep.errors import InputError
from data_prep.own_logs.feature_columns import ROLES, FeatureColumn, FeaturePart, Features
from data_prep.own_logs.mapping import Mapping as MappingFile
from data_prep.own_logs.tables import Table
from lcn_tf.schema import CLICK, Feature, Label

MISSING = -1  # id of a missing cell, a value of its own
_ABOUT = {"description": "Logs of a mapping file.", "homepage": "", "citation": "", "license": "that of the logs"}
_POWERS = tuple(2.0**power for power in range(-4, 41))


def describe(mapping: MappingFile, splits: Mapping[str, tuple[int, int]], utc_offset: int,
             time_gap: tuple[int, ...]) -> DatasetDescription:
    """Roles, labels and the cut of time, as the preparation wants them."""
    roles = {role: tuple(Feature(name, feature.table or name)
                         for name, feature in getattr(mapping.features, role).items()) for role in ROLES}
    names = mapping.impressions.labels if mapping.impressions else ()
    return DatasetDescription(
        name=mapping.name, **roles, time_gap_boundaries=time_gap, splits=splits, utc_offset=utc_offset, about=_ABOUT,
        labels=(CLICK, *(Label(name, given=CLICK.name) for name in names)), scenario=mapping.scenario,
        means=mapping.features.means)


def integer_features(features: Features, readers: Mapping[str, Sequence[Table]], integer_users: bool) -> set[str]:
    """The features whose ids are integers: those of one table (vocabulary) all are, or none is.

    Args:
      features: of the mapping.
      readers: feature -> the tables that its column was read from; none where it is the user's id itself.
      integer_users: whether these are integers.

    Raises:
      InputError: two features of one table whose types are given and differ.
    """
    found, of_table = set(), dict[str, list[tuple[str, FeatureColumn]]]()
    for role in ROLES:
        for name, feature in getattr(features, role).items():
            of_table.setdefault(feature.table or name, []).append((name, feature))
    for table, members in of_table.items():
        types = {feature.type for _, feature in members} - {None}
        numbers = {feature.is_number for _, feature in members}
        if len(types) > 1 or len(numbers) > 1:
            raise InputError(f"features {', '.join(name for name, _ in members)}: of one table ({table}), but of "
                             "different types")
        if numbers == {True} or (types != {"text"} and all(
                _is_integer(name, feature, readers[name], integer_users) for name, feature in members)):
            found.update(name for name, _ in members)
    return found


def _is_integer(name: str, feature: FeatureColumn, readers: Sequence[Table], integer_users: bool) -> bool:
    if not readers:
        return integer_users
    as_text = isinstance(feature.missing, str)
    return feature.type == "integer" or (not as_text and all(
        table.is_integer(f"feature_{name}") for table in readers))


def boundaries_of(feature: FeatureColumn, values: Iterable[ir.FloatingColumn]) -> tuple[float, ...]:
    """The boundaries that a number is cut at.

    Args:
      feature: a number.
      values: of the training days, by table; evaluated where the boundaries follow from them.
    """
    if feature.boundaries:
        return feature.boundaries
    if feature.buckets == "log2":
        return _POWERS
    tables = [column.name("value").as_table() for column in values]
    known = (ibis.union(*tables) if len(tables) > 1 else tables[0]).filter(lambda table: table.value.notnull())
    counts = known.group_by("value").agg(rows=known.count()).order_by("value").to_pyarrow()
    numbers, rows = counts["value"].to_pylist(), counts["rows"].to_pylist()
    total, seen, last, found = sum(rows), 0, 0, list[float]()
    for number, count in zip(numbers, rows, strict=True):
        place = seen * feature.buckets // max(total, 1)
        if place > last:  # the share of smaller values has passed another boundary
            found.append(number)
            last = place
        seen += count
    return tuple(found)


def settle(boundaries: dict[str, tuple[float, ...]], name: str, feature: FeatureColumn,
           values: Iterable[ir.FloatingColumn]) -> tuple[float, ...]:
    """The boundaries of a feature, () of one that is no number; those not known yet are found and added by its name."""
    if feature.is_number and name not in boundaries:
        boundaries[name] = boundaries_of(feature, values)
    return boundaries.get(name, ())


def value(column: ir.Value, feature: FeatureColumn, integer: bool, boundaries: Sequence[float] = ()) -> ir.Value:
    """A feature's column, without nulls but for parts of several values."""
    if feature.is_number:
        reached = [(column >= boundary).cast("int64") for boundary in boundaries]
        place = _sum(reached) if reached else column.notnull().ifelse(0, ibis.null("int64"))
        return ibis.coalesce(place, MISSING if feature.missing is None else feature.missing).cast("int64")
    if isinstance(feature, FeaturePart):
        return column.cast("int64" if integer else "string")
    missing = MISSING if feature.missing is None else feature.missing
    if integer:
        return ibis.coalesce(column.cast("int64"), missing).cast("int64")
    return ibis.coalesce(column.cast("string"), str(missing))


def _sum(values: list[ir.Value]) -> ir.Value:
    """A sum of many, not deep: engines follow an expression by recursion."""
    if len(values) == 1:
        return values[0]
    middle = len(values) // 2
    return _sum(values[:middle]) + _sum(values[middle:])
