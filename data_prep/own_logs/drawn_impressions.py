"""Impressions for logs that do not say what was shown: clicks, and items drawn beside each (`data_prep.sampling`)."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from data_prep.description import DAY_SECONDS
from data_prep.own_logs.mapping import Negatives
from data_prep.reading.log_reader import LogReader
from data_prep.sampling import attempts_by_user, with_negatives


def first_clicks(clicks: ir.Table, item: str) -> ir.Table:
    """The first click of each user on each item: a later one would find the item in the history, where no negative is.

    Args:
      clicks: `row`, `user`, `timestamp`, the item.
      item: name of the column that tells items apart.
    """
    earlier = ibis.row_number().over(group_by=["user", item], order_by=["timestamp", "row"])
    return clicks.mutate(earlier=earlier).filter(lambda table: table.earlier == 0).drop("earlier")


def latest_clicks(clicks: ir.Table, most: int) -> ir.Table:
    """The latest clicks of each user, `most` of them."""
    later = ibis.row_number().over(group_by="user", order_by=[ibis.desc("timestamp"), ibis.desc("row")])
    return clicks.mutate(later=later).filter(lambda table: table.later < most).drop("later")


def drawn_impressions(logs: LogReader, clicks: ir.Table, chosen: ir.Table, training: ir.Table, item: str,
                      negatives: Negatives, utc_offset: int) -> ir.Table:
    """Clicks and sampled negatives.

    Args:
      logs: keeps tables that are evaluated more than once.
      clicks: all of them, stored: `row`, `user`, `timestamp` and the columns of an impression's item.
      chosen: those that become impressions, stored: the same columns, and `split` where that is no matter of time.
      training: those of `clicks` that belong to the training days.
      item: name of the column that tells items apart.
      negatives: how many, and how they are drawn.
      utc_offset: seconds to add to UTC before cutting days.

    Returns:
      `impression_id`, `user`, `timestamp`, `label`, the item's columns, and `split` where `chosen` has it.
    """
    def with_pool(table: ir.Table) -> ir.Table:
        day = table.timestamp - (table.timestamp + utc_offset) % DAY_SECONDS
        return table.mutate(pool=day if negatives.pool == "day" else ibis.literal(0, "int64"))

    pool = with_pool(clicks if negatives.pool == "day" else training).drop("user", "timestamp")
    if negatives.weights == "uniform":
        earlier = ibis.row_number().over(group_by=["pool", item], order_by="row")
        pool = pool.mutate(earlier=earlier).filter(lambda table: table.earlier == 0).drop("earlier")
    pool = logs.store("negative_pool", pool)
    positives = with_pool(chosen)
    splits = positives.select("row", "split") if "split" in positives.columns else None
    positives = logs.store("positives", positives.drop("split") if splits is not None else positives)
    if negatives.without == "moment":
        refused, attempts = logs.store("refused", clicks.select("user", "timestamp", item).distinct()), None
    else:
        refused = logs.store("refused", clicks.select("user", item).distinct())
        attempts = attempts_by_user(pool, refused, item, negatives.per_positive)
    impressions = with_negatives(positives, pool, refused, negatives.per_positive, attempts, negatives.seed, item)
    if splits is not None:
        splits = splits.rename(click="row")
        click = impressions.impression_id // (negatives.per_positive + 1)
        impressions = impressions.mutate(click=click).inner_join(splits, "click").drop("click")
    return logs.store("impressions", impressions)
