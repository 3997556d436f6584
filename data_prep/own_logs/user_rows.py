"""The users of a mapping: a row for each user of an impression, with the user's features."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from data_prep.own_logs import features
from data_prep.own_logs.feature_columns import Features
from data_prep.own_logs.matches import warn_of_unmatched
from data_prep.own_logs.tables import Tables
from data_prep.reading.accounting import REASON, RowCounts, used_rows
from data_prep.reading.drop_rules import DropRule, drop_reason
from data_prep.reading.log_reader import LogReader


def user_rows(logs: LogReader, tables: Tables, found: Features, users: ir.Table, numbers: ir.Table | None,
              log: ir.Table, trained: ir.Table, integers: set[str], boundaries: dict[str, tuple[float, ...]]
              ) -> tuple[ir.Table, tuple[RowCounts, ...]]:
    """The users with their features, and the account of the users' table.

    Args:
      logs: reads and keeps account.
      tables: of the mapping.
      found: features of the mapping.
      users: `shown_user` of each user of an impression, once.
      numbers: `name` and `number` of each user whose id is a text, or None.
      log: rows of the first table of logs that are used; a feature that the users' table does not have is that of the
        user's first row there that has it.
      trained: the impressions of the training split.
      integers: features whose ids are integers.
      boundaries: of numbers, by feature; those that are not in it are added.
    """
    rows, counts = users.select(user="shown_user", own_id="shown_user"), tuple[RowCounts, ...]()
    if numbers is not None:
        named = users.inner_join(numbers, users.shown_user == numbers.number)
        rows = named.select(user="shown_user", own_id="name")
    if tables.users:
        profiles, count = _profiles(logs, tables, rows)
        rows, counts = rows.left_join(profiles, rows.own_id.cast("string") == profiles.key).drop("key"), (count,)
    in_log = [f"feature_{name}" for name in found.user if f"feature_{name}" in log.columns]
    for column in in_log:
        known = log.filter(log[column].notnull())
        earlier = ibis.row_number().over(group_by="user", order_by=["timestamp", "row"])
        first = known.mutate(earlier=earlier).filter(lambda table: table.earlier == 0)
        first = first.select(column, logged_user="user")
        rows = rows.left_join(first, rows.user == first.logged_user).drop("logged_user")
    rows = logs.store("user_rows", rows)
    in_training = rows.semi_join(trained, rows.user == trained.user)
    values = {}
    for name, feature in found.user.items():
        column = f"feature_{name}"
        if column not in rows.columns:  # the user's id itself
            values[name] = features.value(rows.own_id, feature, name in integers)
            continue
        cut_at = features.settle(boundaries, name, feature, [in_training[column]])
        values[name] = features.value(rows[column], feature, name in integers, cut_at)
    return rows.select("user", **values), counts


def _profiles(logs: LogReader, tables: Tables, users: ir.Table) -> tuple[ir.Table, RowCounts]:
    """The rows of the users' table that are used, and their account."""
    table = tables.users
    rows = table.rows.mutate(earlier=ibis.row_number().over(group_by="key", order_by="row"))
    own = users.select(own_key=users.own_id.cast("string"))
    rows = rows.left_join(own, rows.key == own.own_key)
    rules = [DropRule("repeats an earlier user", rows.earlier > 0, "key", "each user once"),
             DropRule("user of no used impression", rows.own_key.isnull(), "key", "a user of a used impression",
                      ordinary=True)]
    rows = logs.store("profiles", rows.mutate(drop_reason(rules).name(REASON)))
    count = logs.count(table.label, rows, rules, "no user of a used impression")
    warn_of_unmatched(logs, table, own.select(value="own_key", uses=ibis.literal(1)), "the users of impressions")
    return used_rows(rows).drop("row", "earlier", "own_key"), count
