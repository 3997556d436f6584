"""Reads `UserBehavior.csv` of Tianchi data set 649 as canonical tables.

The file has no header; its columns are user, item, category, behaviour (pv, cart, fav, buy) and second. It knows what
users did and not what they were shown. So a page view of a target-domain category counts as an impression that was
clicked, and the impressions that were not clicked are sampled (`data_prep.sampling`) from the views of the same day,
without what the user viewed in that very second: only for items with a large share of a day's views is that many. Click
rate, log loss and calibration are therefore those of the sampling, and there are no profiles and no request features.
Days are cut in UTC+8, and the few rows outside the selected days are dropped.
"""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from data_prep.description import DAY_SECONDS, Source
from data_prep.reading.accounting import REASON, number_of_rows, used_rows
from data_prep.reading.csv_files import CsvColumn, CsvFormat
from data_prep.reading.drop_rules import DropRule, drop_reason, outside_days
from data_prep.reading.log_reader import LogReader
from data_prep.sampling import chosen, with_negatives
from data_prep.taobao_behaviors import BEHAVIORS, PAGE_VIEW
from data_prep.userbehavior.config import UTC_OFFSET, UserBehaviorConfig, describe

LOG = CsvFormat(("UserBehavior.csv",), (
    CsvColumn("user", "integer"), CsvColumn("item_id", "integer"), CsvColumn("category", "integer"),
    CsvColumn("behaviour", "text"), CsvColumn("timestamp", "integer")), header=False)


def read(logs: LogReader, path: str, config: UserBehaviorConfig, deduplicate: bool) -> Source:
    """The canonical tables: an event is a row, an impression a page view of the target domain or a sampled negative.

    Raises:
      InputError: a file that cannot be read, or no page view of a target-domain category.
    """
    raw = logs.load(path, LOG, "raw_log")
    accounted, rules = _rows(raw, config, deduplicate)
    accounted = logs.store("accounted_log", accounted)
    events = used_rows(accounted)
    counts = logs.count(
        path, accounted, rules, f"no page view of a target-domain category in the {config.num_days} days from "
        f"{config.first_day} (target domain: {config.target_category_share:g} of the categories)")
    views = events.filter(events.domain == "target", events.behaviour == PAGE_VIEW)
    views = views.select("row", "user", "timestamp", "item_id", "category",
                         pool=views.timestamp - (views.timestamp + UTC_OFFSET) % DAY_SECONDS)
    views = logs.store("target_views", views)
    impressions = logs.store("impressions", with_negatives(
        views, views.drop("user", "timestamp"), views.select("user", "timestamp", "item_id"),
        config.negatives_per_positive))
    return Source(
        description=describe(config),
        impressions=impressions,
        events=events,
        users=views.select("user", user_id="user").distinct(),
        rows=(counts,),
        facts={"target_page_views": number_of_rows(views),
               "sampled_negatives": number_of_rows(impressions.filter(impressions.label == 0))})


def _rows(raw: ir.Table, config: UserBehaviorConfig, deduplicate: bool) -> tuple[ir.Table, list[DropRule]]:
    """The rows with their domain and the reason why a row is not used, and the rules behind the reasons."""
    splits = describe(config).splits
    first, end = splits["train"][0], splits["test"][1]
    table = raw.mutate(domain=chosen(raw.category, config.target_category_share).ifelse("target", "source"))
    viewers = table.filter(table.timestamp >= first, table.timestamp < end, table.domain == "target",
                           table.behaviour == PAGE_VIEW)
    viewers = viewers.select(viewer="user").distinct()
    table = table.left_join(viewers, table.user == viewers.viewer)
    position = ibis.row_number().over(
        group_by=["user", "item_id", "category", "behaviour", "timestamp"],
        order_by="row") if deduplicate else ibis.literal(0)
    rules = [
        outside_days(table.timestamp, "timestamp", first, end, UTC_OFFSET),
        DropRule("unknown behaviour", ~table.behaviour.isin(BEHAVIORS), "behaviour", f"one of {', '.join(BEHAVIORS)}"),
        DropRule("behaviour not selected", ~table.behaviour.isin(config.behaviors), "behaviour",
                 f"one of {', '.join(config.behaviors)}", ordinary=True),
        DropRule("user without page view of the target domain", table.viewer.isnull(), "user",
                 "a user who views an item of the target domain", ordinary=True),
        DropRule("repeats an earlier row", position > 0, "user", "a row only once", ordinary=True)]
    return table.mutate(drop_reason(rules).name(REASON)).drop("viewer"), rules
