"""The preparation as ibis expressions over the canonical tables: splits, snapshots, ids, and the order of the rows.

Nothing here names an engine. The last step, cutting each group's histories out of the ordered events, is arithmetic on
positions and happens in `data_prep.histories`, so no table of events times impressions ever exists.
"""

from __future__ import annotations

from collections.abc import Mapping

import ibis
import ibis.expr.types as ir

from data_prep import vocabulary
from data_prep.config import PreparationConfig
from data_prep.description import DAY_SECONDS, SPLITS, DatasetDescription, Source


def snapshot_impressions(
        impressions: ir.Table, description: DatasetDescription, preparation: PreparationConfig) -> ir.Table:
    """Adds `split`, `moment` and `cutoff` to the impressions.

    Impressions of one user and `moment` form a group: their own second, or the start of their day. The group may see
    events with a timestamp below `cutoff`, which is `moment` less the gap.
    """
    timestamp = impressions.timestamp
    branches = [((timestamp >= description.splits[split][0]) & (timestamp < description.splits[split][1]), split)
                for split in SPLITS]
    moment = timestamp
    if preparation.snapshot == "day":
        moment = timestamp - (timestamp + description.utc_offset) % DAY_SECONDS
    table = impressions.mutate(split=ibis.cases(*branches), moment=moment.cast("int64"))
    return table.mutate(cutoff=table.moment - preparation.history_gap_seconds)


def encode_impressions(
        source: Source, preparation: PreparationConfig, vocabularies: Mapping[str, ir.Table]) -> ir.Table:
    """The impressions with ids, their users' ids, and their snapshots."""
    description = source.description
    table = snapshot_impressions(source.impressions, description, preparation)
    table = vocabulary.encode(table, description.impression_features, vocabularies)
    users = vocabulary.encode(source.users, description.user, vocabularies)
    return table.inner_join(users, "user")


def encode_events(source: Source, vocabularies: Mapping[str, ir.Table]) -> ir.Table:
    """The events with ids."""
    return vocabulary.encode(source.events, source.description.event_features, vocabularies)


def split_counts(impressions: ir.Table) -> ir.Table:
    """Groups, impressions, clicks, users and the impressions of the largest group of each split."""
    groups = impressions.group_by("split", "user", "moment").agg(
        shown=impressions.count(), clicked=impressions.label.sum())
    return groups.group_by("split").agg(
        groups=groups.count(), impressions=groups.shown.sum(), clicks=groups.clicked.sum(), users=groups.user.nunique(),
        largest_group=groups.shown.max())


def shard_impressions(impressions: ir.Table, shard: int, shards: int) -> ir.Table:
    """The impressions of one shard's users: user by user, group by group, in the order of their file."""
    return _shard(impressions, shard, shards).order_by("user", "moment", "impression_id")


def shard_events(events: ir.Table, domain: str, shard: int, shards: int) -> ir.Table:
    """One domain's events of one shard's users: user by user, most recent first, later rows of a second first."""
    table = _shard(events, shard, shards)
    table = table.filter(table.domain == domain).drop("domain")
    return table.order_by(table.user.asc(), table.timestamp.desc(), table.row.desc())


def _shard(table: ir.Table, shard: int, shards: int) -> ir.Table:
    return table.filter((table.user % shards + shards) % shards == shard)
