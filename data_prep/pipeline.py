"""The preparation as ibis expressions over the canonical tables: splits, snapshots, ids, and parts of the work.

Nothing here names an engine. The last step, cutting each group's histories out of the ordered events, is arithmetic on
positions and happens in `data_prep.writing.bucket_writer`, part by part, so no table of events times impressions ever
exists.
"""

from __future__ import annotations

from collections.abc import Mapping

import ibis
import ibis.expr.types as ir

from data_prep import vocabulary
from data_prep.config import PreparationConfig
from data_prep.description import DAY_SECONDS, DOMAINS, DatasetDescription, Source
from data_prep.engines.engine import BUCKET
from lcn_tf.data.prepared_folder import SPLITS
from lcn_tf.schema import OOV_ID


def snapshot_impressions(
        impressions: ir.Table, description: DatasetDescription, preparation: PreparationConfig) -> ir.Table:
    """Adds `split` (position in `SPLITS`), `moment` and `cutoff` to the impressions.

    Impressions of one user, split and `moment` form a group: their own second, the start of their day, or 0 where a
    group is the user. An impression may see events with a timestamp below `cutoff`: its own second, or the start of
    its day, less the gap.
    """
    timestamp = impressions.timestamp
    branches = [((timestamp >= first) & (timestamp < end), SPLITS.index(split))
                for split, (first, end) in description.splits.items()]
    split = impressions.split if "split" in impressions.columns else ibis.cases(*branches).cast("int64")
    day = timestamp - (timestamp + description.utc_offset) % DAY_SECONDS
    moment = {"request": timestamp, "day": day, "user": ibis.literal(0)}[preparation.snapshot]
    snapshot = day if preparation.snapshot == "day" else timestamp
    return impressions.mutate(split=split, moment=moment.cast("int64"),
                              cutoff=snapshot - preparation.history_gap_seconds)


def encode_impressions(
        source: Source, preparation: PreparationConfig, vocabularies: Mapping[str, ir.Table], buckets: int) -> ir.Table:
    """The impressions with ids, their users' ids, their snapshots and their buckets."""
    description = source.description
    table = snapshot_impressions(source.impressions, description, preparation)
    table = vocabulary.encode(table, description.impression_features, vocabularies, description.means)
    users = vocabulary.encode(source.users, description.user, vocabularies, description.means)
    return _with_bucket(table.inner_join(users, "user"), buckets)


def encode_events(source: Source, vocabularies: Mapping[str, ir.Table], buckets: int) -> ir.Table:
    """The events with ids, `is_target` in place of `domain`, and their buckets."""
    table = vocabulary.encode(source.events, source.description.event_features, vocabularies)
    return _with_bucket(table.mutate(is_target=table.domain == "target").drop("domain"), buckets)


def training_items(source: Source, vocabularies: Mapping[str, ir.Table]) -> ir.Table:
    """Items that were shown on the training days or had events before their end, once each: ids, `domain` and `count`.

    `domain` is a place in `DOMAINS`, `count` that of impressions and events. Items without any known id are left out.
    """
    description, names = source.description, [feature.name for feature in source.description.item]
    shown, seen = source.training_rows()
    rows = ibis.union(shown.select(*names, domain=ibis.literal(DOMAINS[0])), seen.select(*names, "domain"))
    items = vocabulary.encode(rows.group_by(*names, "domain").agg(rows=rows.count()), description.item, vocabularies)
    known = items.filter(ibis.or_(*(items[name] != OOV_ID for name in names)))
    domain = ibis.cases(*((known.domain == name, place) for place, name in enumerate(DOMAINS))).cast("int64")
    numbered = known.mutate(domain=domain)
    return numbered.group_by(*names, "domain").agg(count=numbered.rows.sum().cast("int64"))


def split_counts(impressions: ir.Table, description: DatasetDescription) -> ir.Table:
    """`split` and `impressions` of each split that has any."""
    table = snapshot_impressions(impressions, description, PreparationConfig())
    return table.group_by("split").agg(impressions=table.count())


def _with_bucket(table: ir.Table, buckets: int) -> ir.Table:
    """A user's rows are in one bucket."""
    return table.mutate(((table.user % buckets + buckets) % buckets).cast("int64").name(BUCKET))
