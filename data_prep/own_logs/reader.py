"""The tables of a mapping as canonical tables (`data_prep.description.Source`)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import ibis
import ibis.expr.types as ir

from data_prep.description import DAY_SECONDS, DatasetDescription, Source
from data_prep.errors import InputError
from data_prep.own_logs import drawn_impressions, features, log_rules, splitting, user_splits
from data_prep.own_logs.cells import WHOLE_DAY
from data_prep.own_logs.feature_columns import ROLES
from data_prep.own_logs.log_rules import YEAR_2100
from data_prep.own_logs.mapping import Domain, Mapping, Splits
from data_prep.own_logs.matches import warn_of_unmatched
from data_prep.own_logs.rules import Rule
from data_prep.own_logs.splitting import OneDay, SplitRanges
from data_prep.own_logs.tables import (
    ACTED_ROLES,
    ON_ITEMS,
    SHOWN_ROLES,
    Table,
    Tables,
    label_column,
    rule_column,
    zone_of,
)
from data_prep.own_logs.user_rows import user_rows
from data_prep.reading.accounting import REASON, RowCounts, number_of_rows, used_rows
from data_prep.reading.drop_rules import YEAR_1990, DropRule, after_days, drop_reason, outside_days
from data_prep.reading.log_reader import LogReader
from lcn_tf.schema import CLICK

_POSITION_BITS = 43  # of an event's place within its second, below its microsecond
_SHOWN_VALUES = 5
_DATED_SHARE = 0.1  # of times in this age, from which on others are wrong and not of a clock that begins with 0


def read(logs: LogReader, mapping: Mapping, tables: Tables, deduplicate: bool, one_day: OneDay | None = None) -> Source:
    """The canonical tables.

    Args:
      logs: reads and keeps account.
      mapping: what the files are and mean.
      tables: of the mapping.
      deduplicate: drop events that repeat an earlier row in every column that is read.
      one_day: in place of the mapping's splits. Then the events of that day, or of all days up to the first one, are
        of all users, so that values are counted once, whoever's they are.

    Raises:
      InputError: a file that cannot be read, a key of the mapping that does not fit it, or no row to use.
    """
    return _Reading(logs, mapping, tables, one_day or mapping.splits).source(deduplicate)


class _Reading:
    """One reading of the tables; `utc_offset` cuts the days, `boundaries` the numbers."""

    def __init__(self, logs: LogReader, mapping: Mapping, tables: Tables, splits: Splits | OneDay):
        self.logs, self.mapping, self.tables, self.splits = logs, mapping, tables, splits
        self.one_day = splits if isinstance(splits, OneDay) else None
        self.boundaries = dict(self.one_day.boundaries) if self.one_day else {}
        tables.load(logs)
        self.integers = features.integer_features(
            mapping.features, tables.readers, all(table.is_integer("user") for table in tables.logs))
        self.utc_offset, self.shown_at = self._offset(), self._shown_at()
        self.coarse = {table.label for table in tables.logs if self._knows_days_alone(table)}
        self.numbers = self._user_numbers()
        self._check_clocks()
        self.rows = {}
        for place, table in enumerate(tables.logs):
            rows, joined = self._log(table), self.numbers is not None or ON_ITEMS in table.wanted
            self.rows[table.label] = logs.store(f"log_{place}", rows) if joined else rows

    def source(self, deduplicate: bool) -> Source:
        """The canonical tables."""
        events = {table.label: self._marked(self.rows[table.label], deduplicate) for table in self.tables.events}
        counts: tuple[RowCounts, ...] = ()
        if self.tables.impressions:
            shown, splits, count = self._impressions(self.tables.impressions)
            counts, facts = (count,), dict[str, Any]()
        else:
            shown, splits, facts = self._drawn(events)
        users = shown.select(shown_user="user").distinct()
        used = []
        for table in self.tables.events:
            found, count = self._used_events(table, events[table.label], users, splits)
            used.append(found)
            counts += (count,)
        events_features = {f"feature_{name}" for role in ACTED_ROLES for name in getattr(self.mapping.features, role)}
        parts = [rows.drop([name for name in _feature_columns(rows) if name not in events_features]) for rows in used]
        acted = ibis.union(*parts) if len(parts) > 1 else parts[0]
        if "split" in shown.columns:
            acted = user_splits.with_training(acted, shown)
        acted = self.logs.store("acted", acted)
        logged = shown.rename(row="impression_id") if self.tables.impressions else used[0]
        item_counts = self._item_counts(users)
        shown, acted = self._with_features(shown, acted, splits)
        first = acted.timestamp.min().name("first").as_table().to_pyarrow()["first"][0].as_py()
        description = self._description(splits, first)
        trained = Source(description, shown, acted, shown, (), {}).training_rows()[0]
        profiles, profile_counts = user_rows(self.logs, self.tables, self.mapping.features, users, self.numbers,
                                             logged, trained, self.integers, self.boundaries)
        if self.boundaries:
            facts = {**facts, "boundaries": {name: list(found) for name, found in self.boundaries.items()}}
        return Source(description=description, impressions=shown, events=acted, users=profiles,
                      rows=(*counts, *item_counts, *profile_counts), facts=facts, domains=self.tables.domains,
                      coarse_clock=self.tables.logs[0].label in self.coarse)

    def _offset(self) -> int:
        """Seconds that the mapping's clock is ahead of UTC at the end of the logs."""
        if self.one_day and self.one_day.utc_offset is not None:
            return self.one_day.utc_offset
        latest = [table.rows.filter(table.rows.second < YEAR_2100).second.max().name("latest").as_table()
                  for table in self.tables.logs]
        moments = [entry["latest"] for table in latest for entry in table.to_pyarrow().to_pylist()]
        last = datetime.fromtimestamp(max((moment for moment in moments if moment), default=0), UTC)
        return int(last.astimezone(zone_of(self.mapping)).utcoffset().total_seconds())

    def _shown_at(self) -> int:
        """The latest time of what can be shown; 0 where hardly any is of the years 1990 to 2099."""
        total, dated, latest = 0, 0, 0
        for table in filter(self.tables.can_be_shown, self.tables.logs):
            usual = table.rows.filter(table.rows.second.between(YEAR_1990, YEAR_2100 - 1))
            found, = usual.agg(rows=usual.count(), latest=usual.second.max()).to_pyarrow().to_pylist()
            total, dated = total + table.staged.rows, dated + found["rows"]
            latest = max(latest, found["latest"] or 0)
        return latest if dated >= _DATED_SHARE * total else 0

    def _knows_days_alone(self, table: Table) -> bool:
        """Whether all times of a table are days."""
        rows = table.rows
        return not number_of_rows(rows.filter(rows.micro != WHOLE_DAY))

    def _check_clocks(self) -> None:
        """Refuses clicks of which only the day is known beside events of which more is: which were first?"""
        days = [table.label for table in self.tables.events
                if table.label in self.coarse and self.tables.can_be_shown(table)]
        if not self.tables.impressions and days and len(self.coarse) < len(self.tables.events):
            finer = next(table.label for table in self.tables.events if table.label not in self.coarse)
            raise InputError(f"{days[0]}.time: these clicks have days, and {finer} finer times: what a click saw "
                             f"cannot be told; give {finer} time_unit = \"day\", or {days[0]} a finer time")

    def _user_numbers(self) -> ir.Table | None:
        """Number of each user whose id is a text, in the order of the texts; None where ids are integers."""
        tables = self.tables.logs
        if all(table.is_integer("user") for table in tables):
            return None
        names = [table.rows.select(name=table.rows.user.cast("string")) for table in tables]
        names = (ibis.union(*names) if len(names) > 1 else names[0]).distinct()
        return self.logs.store("user_numbers", names.mutate(
            number=ibis.row_number().over(order_by="name").cast("int64")))

    def _numbered(self, rows: ir.Table) -> ir.Table:
        """Rows with `user` as an integer."""
        if self.numbers is None:
            return rows.mutate(user=rows.user.cast("int64"))
        named = rows.mutate(user_name=rows.user.cast("string")).drop("user")
        joined = named.inner_join(self.numbers, named.user_name == self.numbers.name)
        return joined.rename(user="number").drop("name", "user_name")

    def _log(self, table: Table) -> ir.Table:
        """A table of logs with its items' columns, `user` as an integer, `timestamp`, and `domain` in our words."""
        rows = self._numbered(table.rows)
        if ON_ITEMS in table.wanted:
            rows = self._with_items(rows)
        domain = table.spec.domain
        if not isinstance(domain, Domain):
            role = ibis.literal(domain)
        elif domain.separator:
            role = rows[table.domain_column]
        else:
            cell = rows[table.domain_column]
            is_source = cell.isin(domain.source) if domain.source else cell.notnull()
            role = ibis.cases((cell.isin(domain.target), "target"), (is_source, "source"))
        # One type in all tables: files may write the same ids as numbers and as texts.
        typed = {column: rows[column].cast(self._type_of(column)) for column in _feature_columns(rows)}
        # A day begins where days are cut. What happened at some time of it did not happen before a finer time of it.
        is_day, finer = rows.micro == WHOLE_DAY, len(self.coarse) < len(self.tables.logs)
        shift = DAY_SECONDS - 1 if finer and table is not self.tables.impressions else 0
        timestamp = rows.second + is_day.ifelse(shift - self.utc_offset, 0)
        return rows.mutate(timestamp=timestamp.cast("int64"), domain=role, **typed)

    def _type_of(self, column: str) -> str:
        """The type of a feature's column before it becomes an id."""
        name = column.removeprefix("feature_")
        role = next(role for role in ROLES if name in getattr(self.mapping.features, role))
        if getattr(self.mapping.features, role)[name].is_number:
            return "float64"
        return "int64" if name in self.integers else "string"

    def _with_items(self, rows: ir.Table) -> ir.Table:
        """The rows with the columns of their items that they do not have themselves."""
        items = _first_of_each(self.tables.items.rows, "key")
        added = items.select("key", *(name for name in items.columns if name not in ("row", "key", *rows.columns)))
        return rows.left_join(added, rows.on_items == added.key).drop("key")

    def _marked(self, rows: ir.Table, deduplicate: bool) -> ir.Table:
        """Events with `repeated`."""
        repeated = ibis.literal(False)
        if deduplicate:
            repeated = ibis.row_number().over(group_by=rows.drop("row").columns, order_by="row") > 0
        return rows.mutate(repeated=repeated)

    def _impressions(self, table: Table) -> tuple[ir.Table, SplitRanges, RowCounts]:
        """The impressions that are used, with labels; the splits; and the account."""
        rows = self.rows[table.label]
        rules = [*log_rules.row_rules(table, rows, self.shown_at, self.utc_offset),
                 log_rules.not_target(table, rows, ordinary=True)]
        rules[1:1] = self._outside(rows)
        accounted = self.logs.store("accounted_impressions", rows.mutate(drop_reason(rules).name(REASON)))
        count = self.logs.count(table.label, accounted, rules, "no impression to use")
        shown = used_rows(accounted)
        self._check_clicks(table, shown)
        labels = {CLICK.key: self._label(table, shown, "label", table.spec.label)}
        for name, text in table.spec.labels.items():
            clicked, found = labels[CLICK.key], self._label(table, shown, f"labels.{name}", text)
            labels[name] = ((clicked == 1) & (found == 1)).cast("int64")
        # A label's name may be that of a column that made it.
        shown = shown.select("row", "user", "timestamp", *_feature_columns(shown),
                             **{f"label of {name}": column for name, column in labels.items()})
        shown = shown.rename({name: f"label of {name}" for name in labels}).rename(impression_id="row")
        return (*splitting.split(self.logs, shown, self.splits, self.utc_offset), count)

    def _outside(self, rows: ir.Table) -> list[DropRule]:
        """The rule that leaves out other days than those that are selected, if any are."""
        days = splitting.days_of(self.splits, self.utc_offset)
        if days is None:
            return []
        return [outside_days(rows.timestamp, "second", *days, self.utc_offset, ordinary=self.one_day is not None)]

    def _check_clicks(self, table: Table, shown: ir.Table) -> None:
        """Refuses impressions of which all are clicks, or none: the label is not what was meant."""
        text = table.spec.label
        clicks = number_of_rows(shown.filter(self._label(table, shown, "label", text) == 1))
        if 0 < clicks < number_of_rows(shown):
            return
        column = label_column("label") if label_column("label") in table.wanted else rule_column(Rule.parse(text))
        counts = shown.group_by(column).agg(rows=shown.count())
        counts = counts.order_by(ibis.desc("rows"), column).limit(_SHOWN_VALUES)
        values = ", ".join(f"{entry[column]!r} ({entry['rows']:,} rows)" for entry in counts.to_pyarrow().to_pylist())
        raise InputError(f"{table.label}.label: {'every' if clicks else 'no'} impression is a click by {text!r}; the "
                         f"column's values are {values}")

    def _label(self, table: Table, rows: ir.Table, name: str, text: str) -> ir.IntegerValue:
        if label_column(name) in table.wanted:
            return rows[label_column(name)].cast("int64")
        rule = Rule.parse(text)
        return rule.holds(rows[rule_column(rule)]).cast("int64")

    def _drawn(self, events: dict[str, ir.Table]) -> tuple[ir.Table, SplitRanges, dict[str, Any]]:
        """Impressions made of the events: clicks and negatives."""
        negatives, item, parts = self.mapping.negatives, self.item, []
        for table in filter(self.tables.can_be_shown, self.tables.events):
            rows = events[table.label]
            found = rows.filter(drop_reason(self._click_rules(table, rows)).isnull())
            start = self._first_row(table)
            shown = [name for name in _feature_columns(rows) if self._is_shown(name)]
            parts.append(found.select("user", "timestamp", *shown, row=found.row + start))
        clicks = self.logs.store("clicks", ibis.union(*parts) if len(parts) > 1 else parts[0])
        if not number_of_rows(clicks):
            self._refuse_no_click(events)
        chosen = clicks
        if negatives.without == "clicked":
            chosen = drawn_impressions.first_clicks(chosen, item)
        if negatives.max_positives:
            chosen = drawn_impressions.latest_clicks(chosen, negatives.max_positives)
        chosen, splits = splitting.split(self.logs, self.logs.store("chosen_clicks", chosen), self.splits,
                                         self.utc_offset)
        training = clicks.filter(clicks.timestamp >= splits["train"][0], clicks.timestamp < splits["train"][1])
        if "split" in chosen.columns:
            training = user_splits.with_training(clicks, chosen).filter(lambda rows: rows.in_training)
            training = training.drop("in_training")
        impressions = drawn_impressions.drawn_impressions(
            self.logs, clicks, chosen, training, item, negatives, self.utc_offset)
        positives = number_of_rows(chosen)
        sampled = number_of_rows(impressions) - positives
        return impressions, splits, {"clicks": positives, "sampled_negatives": sampled,
                                     "missing_negatives": negatives.per_positive * positives - sampled}

    def _click_rules(self, table: Table, rows: ir.Table) -> list[DropRule]:
        """Why an event is no click; where all events are of the source domain, that is the only one there is."""
        return [*log_rules.row_rules(table, rows, self.shown_at, self.utc_offset), *self._outside(rows),
                *([] if self.tables.domains == ("source",) else [log_rules.not_target(table, rows)]),
                log_rules.without_item(table, rows, self.item),
                *log_rules.unmet(table, rows, self.mapping.negatives.clicks),
                log_rules.repeats(rows)]

    def _refuse_no_click(self, events: dict[str, ir.Table]) -> None:
        """Says why no event is a click, by the account of the first table of events."""
        table = next(filter(self.tables.can_be_shown, self.tables.events), self.tables.events[0])
        rows = events[table.label]
        rules = self._click_rules(table, rows)
        self.logs.count(table.label, rows.mutate(drop_reason(rules).name(REASON)), rules,
                        "no event of the target domain is a click")

    @property
    def item(self) -> str:
        """The column that tells items apart where they are drawn."""
        return f"feature_{self.mapping.negatives.item or next(iter(self.mapping.features.item))}"

    def _first_row(self, table: Table) -> int:
        """Number of the first row of a table of events among the rows of all."""
        return sum(other.staged.rows for other in self.tables.events[:self.tables.events.index(table)])

    def _is_shown(self, column: str) -> bool:
        """Whether a column is of a feature that impressions have."""
        found = self.mapping.features
        return column.removeprefix("feature_") in {*found.item, *found.candidate, *found.request}

    def _used_events(self, table: Table, rows: ir.Table, users: ir.Table, splits: SplitRanges
                     ) -> tuple[ir.Table, RowCounts]:
        """The events that are used, and the account of their table."""
        end = max(last for _, last in splits.values())
        rows = rows.left_join(users, rows.user == users.shown_user)
        of_nobody = rows.shown_user.isnull()
        if self.one_day:
            of_nobody &= rows.timestamp < (0 if self.one_day.is_first else splits["train"][0])
        rules = [*log_rules.row_rules(table, rows, self.shown_at, self.utc_offset),
                 after_days(rows.timestamp, "second", end, self.utc_offset, ordinary=self.one_day is not None),
                 DropRule("user without used impression", of_nobody, "user",
                          "a user of a used impression", ordinary=True), log_rules.repeats(rows)]
        accounted = rows.mutate(drop_reason(rules).name(REASON))
        count = self.logs.count(table.label, accounted, rules, "no event to use")
        self.logs.compare_times(table.label, "second", min(first for first, _ in splits.values()), self.utc_offset)
        used = used_rows(accounted)
        micro = (used.micro == WHOLE_DAY).ifelse(0, used.micro).cast("int64")
        row = micro * 2**_POSITION_BITS + used.row + self._first_row(table)
        return used.select("user", "timestamp", "domain", *_feature_columns(used), row=row), count

    def _with_features(self, shown: ir.Table, acted: ir.Table, splits: SplitRanges) -> tuple[ir.Table, ir.Table]:
        """Both tables with features in place of the columns that they come from."""
        found, parts = self.mapping.features, {"shown": shown, "acted": acted}
        roles = {"shown": SHOWN_ROLES, "acted": ACTED_ROLES}
        trained = Source(self._description(splits), shown, acted, users=shown, rows=(), facts={}).training_rows()
        in_training = dict(zip(parts, trained, strict=True))
        for part, table in parts.items():
            values = {}
            for role in roles[part]:
                for name, feature in getattr(found, role).items():
                    column = f"feature_{name}"
                    cut_at = features.settle(self.boundaries, name, feature, [
                        rows[column] for key, rows in in_training.items() if role in roles[key]])
                    values[name] = features.value(table[column], feature, name in self.integers, cut_at)
            kept = [name for name in table.columns if name not in _feature_columns(table)]
            parts[part] = table.select(*kept, **values)
        return parts["shown"], parts["acted"]

    def _description(self, splits: SplitRanges, first: int | None = None) -> DatasetDescription:
        """Roles, splits and the cut of time."""
        mapping = self.mapping
        end = max(last for _, last in splits.values())
        length = end - (min(start for start, _ in splits.values()) if first is None else first)
        length = splitting.YEAR_SECONDS if self.one_day else length  # the same on every day
        return features.describe(mapping, splits, self.utc_offset, mapping.time_gap or splitting.time_gaps(length))

    def _item_counts(self, users: ir.Table) -> tuple[RowCounts, ...]:
        """The account of the items' table: those of rows of users of impressions are used."""
        table = self.tables.items
        if not table:
            return ()
        seen = [rows.semi_join(users, rows.user == users.shown_user).select("on_items") for rows in self.rows.values()
                if ON_ITEMS in rows.columns]
        seen = (ibis.union(*seen) if len(seen) > 1 else seen[0]).filter(lambda rows: rows.on_items.notnull())
        seen = self.logs.store("items_seen", seen.group_by("on_items").agg(uses=seen.count()))
        warn_of_unmatched(self.logs, table, seen.select("uses", value="on_items"), "the rows of users of impressions")
        rows = table.rows.mutate(earlier=ibis.row_number().over(group_by="key", order_by="row"))
        rows = rows.left_join(seen, rows.key == seen.on_items)
        rules = [DropRule("repeats an earlier item", rows.earlier > 0, "key", "each item once"),
                 DropRule("item of no used row", rows.on_items.isnull(), "key", "an item of a used row", ordinary=True)]
        return (self.logs.count(table.label, rows.mutate(drop_reason(rules).name(REASON)), rules,
                                "no item of a used row"),)


def _feature_columns(table: ir.Table) -> list[str]:
    return [name for name in table.columns if name.startswith("feature_")]


def _first_of_each(table: ir.Table, key: str) -> ir.Table:
    """The first row of each value of a column."""
    earlier = ibis.row_number().over(group_by=key, order_by="row")
    return table.mutate(earlier=earlier).filter(lambda rows: rows.earlier == 0).drop("earlier")
