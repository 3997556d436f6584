"""Splits by each user's own order: the last moment is test, the one before it validation.

For logs whose users share no clock. What others did later is known in training, so figures flatter a model that will
have to predict tomorrow.
"""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

_LEAST_MOMENTS = 3  # a user with fewer is for training alone


def with_split(impressions: ir.Table) -> ir.Table:
    """Adds `split` (place in `SPLITS`, int64) to rows with `user` and `timestamp`."""
    moments = impressions.select("user", "timestamp").distinct()
    later = ibis.row_number().over(group_by="user", order_by=ibis.desc("timestamp"))
    moments = moments.mutate(later=later, number=moments.count().over(group_by="user"))
    split = ibis.cases((moments.number < _LEAST_MOMENTS, 0), (moments.later == 0, 2), (moments.later == 1, 1), else_=0)
    moments = moments.select("user", "timestamp", split=split.cast("int64"))
    return impressions.inner_join(moments, ["user", "timestamp"])


def with_training(table: ir.Table, impressions: ir.Table) -> ir.Table:
    """Adds `in_training`: whether a row is from before its user's validation.

    Args:
      table: with `user` and `timestamp`.
      impressions: with `split`.
    """
    held_out = impressions.filter(impressions.split > 0)
    ends = held_out.group_by(held_out_user="user").agg(training_end=held_out.timestamp.min())
    joined = table.left_join(ends, table.user == ends.held_out_user)
    before = joined.training_end.isnull() | (joined.timestamp < joined.training_end)
    return joined.mutate(in_training=before).drop("held_out_user", "training_end")


def ranges(impressions: ir.Table, names: tuple[str, ...]) -> dict[str, tuple[int, int]]:
    """Split -> the first second of its impressions and the second after the last; they overlap."""
    found = impressions.group_by("split").agg(first=impressions.timestamp.min(), last=impressions.timestamp.max())
    by_split = {entry["split"]: (entry["first"], entry["last"] + 1) for entry in found.to_pyarrow().to_pylist()}
    whole = (min(first for first, _ in by_split.values()), max(end for _, end in by_split.values()))
    return {name: by_split.get(place, whole) for place, name in enumerate(names)}
