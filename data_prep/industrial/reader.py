"""Reads `impressions.csv` or `video_impressions.csv`, `events.csv` and `users.csv`; README.md describes them.

A column `scenario` or `feedback`, where a file has one, is a feature of its own; files without stay what they were.
"""

from __future__ import annotations

import dataclasses
import os

import ibis
import ibis.expr.types as ir
import pyarrow.parquet as pq

from data_prep.description import DOMAINS, Source
from data_prep.errors import InputError
from data_prep.industrial.config import (
    AUTHOR,
    FEEDBACK,
    LONG_STAY,
    PROFILE_FIELDS,
    SCENARIO,
    WATCH_BOUNDARIES,
    IndustrialConfig,
    describe,
)
from data_prep.reading.accounting import REASON, RowCounts, number_of_rows, used_rows
from data_prep.reading.csv_files import Check, CsvColumn, CsvFormat
from data_prep.reading.drop_rules import DropRule, after_days, drop_reason, not_positive, of_1970, outside_days
from data_prep.reading.log_reader import LogReader

# A missing cell is a value of its own.
MISSING = -1
ROLES = {"live": "target", "video": "source"}  # domain of an event -> its role

_CLICKED = Check("clicked", lambda table: ~table.clicked.isin([0, 1]), "0 or 1")
_WATCH_SECONDS = Check("watch_seconds", lambda table: table.watch_seconds < 0, "0 or more seconds")
_SCENARIO = (CsvColumn(SCENARIO, "text", ("tab",), optional=True),)
IMPRESSIONS = CsvFormat(("impressions.csv",), (
    CsvColumn("user", "integer", ("user_id",)), CsvColumn("timestamp", "integer"), CsvColumn("room_id", "integer"),
    CsvColumn("author", "integer", ("author_id",), optional=True), CsvColumn("category", "text", optional=True),
    CsvColumn("page", "text", optional=True), CsvColumn("clicked", "integer"),
    CsvColumn("stay_seconds", "number", optional=True)), (
    _CLICKED, Check("stay_seconds", lambda table: table.stay_seconds < 0, "0 or more seconds")), further=_SCENARIO)
VIDEO_IMPRESSIONS = CsvFormat(("video_impressions.csv",), (
    CsvColumn("user", "integer", ("user_id",)), CsvColumn("timestamp", "integer"),
    CsvColumn("author", "integer", ("author_id",), optional=True), CsvColumn("category", "text", optional=True),
    CsvColumn("page", "text", optional=True), CsvColumn("clicked", "integer"),
    CsvColumn("watch_seconds", "number", optional=True)), (_CLICKED, _WATCH_SECONDS), further=_SCENARIO)
EVENTS = CsvFormat(("events.csv",), (
    CsvColumn("user", "integer", ("user_id",)), CsvColumn("timestamp", "integer"), CsvColumn("domain", "text"),
    CsvColumn("author", "integer", ("author_id",), optional=True), CsvColumn("category", "text", optional=True),
    CsvColumn("watch_seconds", "number", optional=True), CsvColumn("finished", "integer", optional=True)), (
    _WATCH_SECONDS,
    Check("finished", lambda table: ~table.finished.isin([0, 1]), "0, 1 or nothing")),
    further=(CsvColumn(FEEDBACK, "text", optional=True),))
USERS = CsvFormat(("users.csv",), (
    CsvColumn("user", "integer", ("user_id",)), *(CsvColumn(name, "text", optional=True) for name in PROFILE_FIELDS)),
    may_be_empty=True)
ITEM_TEXTS = CsvFormat(("item_texts.csv",), (CsvColumn("id", "integer"), CsvColumn("text", "text", optional=True)),
                       may_be_empty=True)
READ_TEXTS = "texts.parquet"  # in the reader's folder: `id` and `text` of each author, in the order of the file
SHOWN = {"target": IMPRESSIONS, "source": VIDEO_IMPRESSIONS}  # by `row_set`
STAYED = {"target": "stay_seconds", "source": "watch_seconds"}  # by `row_set`, what `long_stay` is made of
_SECONDS = "seconds"  # column: its cells, where there is that label


@dataclasses.dataclass(frozen=True)
class IndustrialFiles:
    """The paths of the files; `impressions` are those of the row set, `item_texts` is None where there is no such file.
    """

    impressions: str
    events: str
    users: str
    item_texts: str | None = None

    @property
    def paths(self) -> list[str]:
        """Of those that there are."""
        return [path for path in dataclasses.astuple(self) if path]


def find_files(input_dir: str, row_set: str) -> IndustrialFiles:
    """Finds the three files that a row set needs, and the authors' texts, and checks their headers.

    Raises:
      InputError: a file is missing, empty or has another header.
    """
    try:
        shown = SHOWN[row_set].find(input_dir)
    except InputError as error:
        raise InputError(f"{error}; row_set={row_set} takes its impressions from there") from error
    texts = ITEM_TEXTS.find(input_dir) if ITEM_TEXTS.is_in(input_dir) else None
    return IndustrialFiles(shown, EVENTS.find(input_dir), USERS.find(input_dir), texts)


def read(logs: LogReader, files: IndustrialFiles, config: IndustrialConfig, deduplicate: bool) -> Source:
    """The canonical tables of the logs.

    Raises:
      InputError: a file that cannot be read, or of which no row is used.
    """
    shown_format, acted_format = SHOWN[config.row_set].of(files.impressions), EVENTS.of(files.events)
    shown, shown_rules = _impressions(logs.load(files.impressions, shown_format, "shown_lines"), config)
    shown_counts = logs.count(files.impressions, shown, shown_rules,
                              f"no impression in the {config.num_days} days from {config.first_day}")
    impressions, facts = used_rows(shown), dict[str, int]()
    if config.long_stay_seconds:
        unknown = impressions.filter(impressions.label == 1, impressions[_SECONDS].isnull())
        facts[f"clicks_without_{STAYED[config.row_set]}"] = number_of_rows(unknown)
        impressions = impressions.drop(_SECONDS)
    shown_users = impressions.select(shown_user="user").distinct()
    acted, acted_rules = _events(logs.load(files.events, acted_format, "acted_lines"), shown_users, config, deduplicate)
    logs.compare_times(files.events, "timestamp", config.splits["train"][0], config.utc_offset)
    if deduplicate:
        acted = logs.store("acted", acted)
    profiles, profile_rules = _profiles(logs.load(files.users, USERS, "profile_lines"), shown_users)
    profiles = logs.store("profiles", profiles)
    profile_counts = logs.count(files.users, profiles, profile_rules, "no user of a used impression")
    counts = [shown_counts, logs.count(files.events, acted, acted_rules, "no event to use"), profile_counts]
    events, described = used_rows(acted), dict[str, ir.Table]()
    if files.item_texts:
        described[AUTHOR], text_counts = _described(logs, files.item_texts, impressions, events)
        counts.append(text_counts)
    return Source(
        description=describe(config, [column.name for file in (shown_format, acted_format) for column in file.columns]),
        impressions=impressions,
        events=events,
        users=_users(shown_users, used_rows(profiles)),
        rows=tuple(counts),
        facts={"users_without_profile": number_of_rows(shown_users) - profile_counts.used, **facts},
        domains=("source",) if config.row_set == "source" else DOMAINS,
        described=described)


def _described(logs: LogReader, path: str, impressions: ir.Table, events: ir.Table) -> tuple[ir.Table, RowCounts]:
    """The authors of whom there are texts, and the account of the file: texts of authors of used rows count."""
    texts = logs.load(path, ITEM_TEXTS, "text_lines")
    texts = texts.mutate(earlier=ibis.row_number().over(group_by="id", order_by="row"))
    seen = ibis.union(impressions.select(seen_author=AUTHOR), events.select(seen_author=AUTHOR), distinct=True)
    seen = logs.store("seen_authors", seen)
    texts = texts.left_join(seen, texts.id == seen.seen_author)
    rules = [DropRule("repeats an earlier author", texts.earlier > 0, "id", "each author once"),
             DropRule("author of no used row", texts.seen_author.isnull(), "id", "an author of a used row",
                      ordinary=True, like=seen.filter(seen.seen_author != MISSING).seen_author.min())]
    texts = logs.store("item_texts", texts.mutate(drop_reason(rules).name(REASON)))
    first = texts.filter(texts.earlier == 0)
    of_file = first.order_by("row").select("id", text=lambda rows: ibis.coalesce(rows.text, ""))
    pq.write_table(of_file.to_pyarrow(), os.path.join(logs.scratch_dir, READ_TEXTS))
    return first.select(value="id"), logs.count(path, texts, rules, "no text of an author of a used row")


def _impressions(table: ir.Table, config: IndustrialConfig) -> tuple[ir.Table, list[DropRule]]:
    """The impressions with the reason why a row is not used, and the rules behind the reasons."""
    first, end = config.splits["train"][0], config.splits["test"][1]
    rules = [not_positive(table.timestamp, "timestamp"),
             outside_days(table.timestamp, "timestamp", first, end, config.utc_offset)]
    features = [feature.name for feature in describe(config).candidate]
    return table.select(
        "user", "timestamp", *features, impression_id="row", label="clicked", author=_id(table.author),
        category=_text(table.category), page=_text(table.page), **_further(table, SCENARIO),
        **_long_stay(table, config), **{REASON: drop_reason(rules)}), rules


def _further(table: ir.Table, name: str) -> dict[str, ir.Value]:
    """A column that the file may have."""
    return {name: _text(table[name])} if name in table.columns else {}


def _long_stay(table: ir.Table, config: IndustrialConfig) -> dict[str, ir.Value]:
    """The columns of the second label, where it is asked for; a click whose cell is missing is no long stay."""
    if not config.long_stay_seconds:
        return {}
    seconds = table[STAYED[config.row_set]]
    is_long = ibis.coalesce(seconds >= config.long_stay_seconds, False)
    return {LONG_STAY.key: ((table.clicked == 1) & is_long).cast("int64"), _SECONDS: seconds}


def _events(table: ir.Table, shown_users: ir.Table, config: IndustrialConfig,
            deduplicate: bool) -> tuple[ir.Table, list[DropRule]]:
    """The events with their domain, context and the reason why a row is not used, and the rules behind the reasons."""
    repeated = ibis.literal(False)
    if deduplicate:
        earlier = ibis.row_number().over(group_by=table.drop("row").columns, order_by="row")
        repeated = earlier > 0
    table = table.mutate(repeated=repeated).left_join(shown_users, table.user == shown_users.shown_user)
    rules = [
        not_positive(table.timestamp, "timestamp"),
        *of_1970(table.timestamp, "timestamp", config.splits["train"][0], config.utc_offset),
        after_days(table.timestamp, "timestamp", config.splits["test"][1], config.utc_offset),
        DropRule("unknown domain", ~table.domain.isin(list(ROLES)), "domain", " or ".join(ROLES)),
        DropRule("user without used impression", table.shown_user.isnull(), "user", "a user of a used impression",
                 ordinary=True, like=shown_users.shown_user.min()),
        DropRule("repeats an earlier row", table.repeated, "user", "a row only once", ordinary=True)]
    if config.row_set == "source":
        rules.append(DropRule("event of the target domain", table.domain != "video", "domain", "video", ordinary=True))
    watch = sum((table.watch_seconds >= boundary).cast("int64") for boundary in WATCH_BOUNDARIES)
    domain = ibis.cases(*((table.domain == name, role) for name, role in ROLES.items()))
    return table.select(
        "row", "user", "timestamp", author=_id(table.author), category=_text(table.category), watch=_id(watch),
        finished=_id(table.finished), domain=domain, **_further(table, FEEDBACK),
        **{REASON: drop_reason(rules)}), rules


def _profiles(table: ir.Table, shown_users: ir.Table) -> tuple[ir.Table, list[DropRule]]:
    """The users with the reason why a row is not used, and the rules behind the reasons."""
    table = table.mutate(earlier=ibis.row_number().over(group_by="user", order_by="row"))
    table = table.left_join(shown_users, table.user == shown_users.shown_user)
    rules = [DropRule("repeats an earlier user", table.earlier > 0, "user", "each user once"),
             DropRule("user of no used impression", table.shown_user.isnull(), "user", "a user of a used impression",
                      ordinary=True, like=shown_users.shown_user.min())]
    return table.select("row", "user", *PROFILE_FIELDS, **{REASON: drop_reason(rules)}), rules


def _users(shown_users: ir.Table, profiles: ir.Table) -> ir.Table:
    """A row for every user of an impression; the cells of those without profile are missing."""
    table = shown_users.left_join(profiles, shown_users.shown_user == profiles.user)
    cells = {name: _text(table[name]) for name in PROFILE_FIELDS}
    return table.select(user="shown_user", user_id="shown_user", **cells)


def _id(cell: ir.Value) -> ir.Value:
    return ibis.coalesce(cell, MISSING).cast("int64")


def _text(cell: ir.Value) -> ir.Value:
    return ibis.coalesce(cell, str(MISSING))
