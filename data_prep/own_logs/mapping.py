"""The mapping file of own logs: which files there are, what their columns mean, and how time is cut.

docs/own_logs.md explains every key with an example.
"""

from __future__ import annotations

import dataclasses
import re
import tomllib
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from data_prep.calendar_splits import calendar_day, calendar_splits
from data_prep.errors import InputError
from data_prep.own_logs import toml_fields
from data_prep.own_logs.feature_columns import ROLES, Features
from data_prep.own_logs.names import RESERVED, check_name, is_reserved
from data_prep.own_logs.rules import Rule

TimeUnit = Literal["s", "ms", "us", "ns", "text", "day"]

_OFFSET = re.compile(r"[+-]\d\d:\d\d")
_MOST_NEGATIVES = 1_000
_LINE_ENDS = ("\n", "\r")


@dataclasses.dataclass(frozen=True)
class Domain:
    """Which rows are of the target domain.

    Attributes:
      column: of the logs or of the items.
      target: its values in the target domain.
      source: its values in the source domain; none: all others. Rows of neither are dropped.
      separator: between the values of a cell that holds several; one of `target` among them makes the row a target.
    """

    column: str
    target: tuple[str, ...]
    source: tuple[str, ...] = ()
    separator: str = ""


@dataclasses.dataclass(frozen=True)
class LogTable:
    """Files of rows with a user and a time; keys that are not given are those of the mapping itself.

    Attributes:
      files: names, folders or patterns, from the folder of the mapping file.
      user, time: columns.
      time_unit: seconds, milliseconds, microseconds or nanoseconds since 1970 (UTC), text or dates (ISO 8601; without a
        zone in `time_zone`), or days (numbers or dates). Not given: columns of times speak for themselves, numbers are
        seconds, anything else is text.
      domain: of all rows, or how to tell.
      where: rules that a row must meet; other rows are dropped.
      delimiter: between the cells of CSV files; not given: a tab in `.tsv`, else a comma.
      quote: around cells that hold a delimiter; "": none.
      columns: names of the columns of CSV files that have no header.
    """

    files: tuple[str, ...]
    user: str = ""
    time: str = ""
    time_unit: TimeUnit | None = None
    domain: Literal["target", "source"] | Domain | None = None
    where: tuple[str, ...] = ()
    delimiter: str = ""
    quote: str = '"'
    columns: tuple[str, ...] = ()

    def __post_init__(self):
        _check_files(self)
        for text in self.where:
            Rule.parse(text)


@dataclasses.dataclass(frozen=True)
class Impressions(LogTable):
    """What was shown.

    Attributes:
      label: a column of 0 and 1, or a rule that says what a click is.
      labels: further labels of what was clicked: name -> column or rule.
    """

    label: str = ""
    labels: dict[str, str] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        super().__post_init__()
        if not self.label:
            raise ValueError("label is missing: a column of 0 and 1, or a rule such as 'stay_seconds >= 10'")
        for name in self.labels:
            check_name("labels", name)
            if is_reserved(name) or name.startswith("feature_"):
                raise ValueError(f"labels.{name}: the name is taken, as are {', '.join(RESERVED)}; choose another")


@dataclasses.dataclass(frozen=True)
class Lookup:
    """Files with a row for each item or user.

    Attributes:
      files, delimiter, quote, columns: as of the logs.
      key: the column that is unique.
      on: the column of the logs that has its values; not given: of the same name, or that of the users.
    """

    files: tuple[str, ...]
    key: str
    on: str = ""
    delimiter: str = ""
    quote: str = '"'
    columns: tuple[str, ...] = ()

    def __post_init__(self):
        _check_files(self)


@dataclasses.dataclass(frozen=True)
class Splits:
    """How impressions become training, validation and test: in one of four ways.

    Attributes:
      first_day, num_days: the last of so many days is test, the one before it validation.
      validation_from, test_from: first days of validation and test; `first_day` and `last_day`: of all, else those of
        the files.
      validation_share, test_share: of the impressions, cut between days (the default, a tenth each).
      by: `user`: each user's last moment is test, the one before it validation. For logs without a common clock: what
        others did later is known in training.
    """

    first_day: str | None = None
    num_days: int | None = None
    validation_from: str | None = None
    test_from: str | None = None
    last_day: str | None = None
    validation_share: float = 0.1
    test_share: float = 0.1
    by: Literal["time", "user"] = "time"

    def __post_init__(self):
        for name in ("first_day", "validation_from", "test_from", "last_day"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, calendar_day(name, getattr(self, name)))
        if self.num_days is not None and (self.first_day is None or self.num_days < 3):
            raise ValueError(f"num_days must be at least 3 and needs first_day, got {self.num_days} from "
                             f"{self.first_day}")
        if self.num_days is not None:
            calendar_splits(self.first_day, self.num_days, 0)  # refuses days that no calendar has
        if (self.validation_from is None) != (self.test_from is None):
            raise ValueError("validation_from and test_from need each other")
        if self.num_days is not None and (self.test_from or self.last_day):
            raise ValueError("num_days excludes validation_from, test_from and last_day")
        if self.by == "user" and (self.num_days is not None or self.test_from):
            raise ValueError("by = \"user\" excludes num_days, validation_from and test_from")
        if self.validation_from and not self.validation_from < self.test_from:
            raise ValueError(f"test_from must be after validation_from {self.validation_from}, got {self.test_from}")
        if not (self.validation_share > 0 and self.test_share > 0 and self.validation_share + self.test_share < 1):
            raise ValueError("validation_share and test_share must be above 0 and below 1 together, got "
                             f"{self.validation_share} and {self.test_share}")


@dataclasses.dataclass(frozen=True)
class Negatives:
    """What was not clicked, drawn, for logs that say what users did and not what they were shown.

    Attributes:
      per_positive: items drawn beside each click.
      clicks: rules that make a target-domain event a click; none: every one is.
      item: the item feature that tells items apart; not given: the first.
      pool: items of the training days, or of the click's own day.
      weights: how often an item is drawn: as often as it is clicked, or all alike.
      without: what is not drawn: items that the user ever clicks (then only the first click of an item counts), or
        only those of the click's own second.
      max_positives: clicks of a user at most, the latest; 0: all.
      seed: of the draws.
    """

    per_positive: int = 4
    clicks: tuple[str, ...] = ()
    item: str = ""
    pool: Literal["training", "day"] = "training"
    weights: Literal["popularity", "uniform"] = "popularity"
    without: Literal["clicked", "moment"] = "clicked"
    max_positives: int = 0
    seed: int = 1

    def __post_init__(self):
        for text in self.clicks:
            Rule.parse(text)
        if not 1 <= self.per_positive <= _MOST_NEGATIVES:
            raise ValueError(f"per_positive must be from 1 to {_MOST_NEGATIVES}, got {self.per_positive}")
        for name in ("max_positives", "seed"):
            if not 0 <= getattr(self, name) < 2**31:
                raise ValueError(f"{name} must be between 0 and 2^31 - 1, got {getattr(self, name)}")


@dataclasses.dataclass(frozen=True)
class Mapping:
    """A mapping file.

    Attributes:
      features: columns by role.
      events: what users did, files of one or of both domains.
      name: of the data set.
      time_zone: in which days are cut, and texts without a zone are read: UTC, an offset such as +08:00, or a name such
        as Asia/Shanghai (its offset at the end of the logs cuts the days).
      impressions: what was shown; none: clicks are the target domain's events, and `negatives` are drawn.
      items, users: further columns by id.
      splits: of the impressions.
      negatives: only without impressions.
      time_gap: seconds at which the time between an event and the impression is cut; not given: powers of four from a
        minute to the length of the logs.
      scenario: the request feature that tells surfaces or markets apart.
      vectors: table of features -> file of frozen content vectors for its values (`data_prep.content_vectors`).
      user, time, time_unit, domain, delimiter: of all tables of logs that do not say otherwise.
    """

    features: Features
    events: tuple[LogTable, ...]
    name: str = "own_logs"
    time_zone: str = "UTC"
    impressions: Impressions | None = None
    items: Lookup | None = None
    users: Lookup | None = None
    splits: Splits = Splits()
    negatives: Negatives | None = None
    time_gap: tuple[int, ...] = ()
    scenario: str | None = None
    vectors: dict[str, str] = dataclasses.field(default_factory=dict)
    user: str = ""
    time: str = ""
    time_unit: TimeUnit | None = None
    domain: Literal["target", "source"] | Domain | None = None

    def __post_init__(self):
        check_name("", self.name)
        if _OFFSET.fullmatch(self.time_zone):
            if int(self.time_zone[1:3]) > 14 or int(self.time_zone[4:6]) > 59:
                raise ValueError(f"time_zone must be from -14:00 to +14:00, got {self.time_zone!r}")
        else:
            try:
                ZoneInfo(self.time_zone)
            except (ZoneInfoNotFoundError, ValueError, OSError) as error:
                raise ValueError("time_zone must be a name such as Asia/Shanghai or an offset such as +08:00, got "
                                 f"{self.time_zone!r}") from error
        if not self.events:
            raise ValueError("events must have a table")
        if self.impressions and self.negatives:
            raise ValueError("negatives are drawn only where there are no impressions: leave out one of them")
        if list(self.time_gap) != sorted(set(self.time_gap)) or any(gap <= 0 for gap in self.time_gap):
            raise ValueError(f"time_gap must be rising seconds above 0, got {list(self.time_gap)}")
        if self.scenario is not None and self.scenario not in self.features.request:
            raise ValueError(f"scenario must be a request feature, one of "
                             f"{', '.join(self.features.request) or 'none'}, got {self.scenario!r}")
        tables = {feature.table or name for role in ROLES for name, feature in getattr(self.features, role).items()}
        if unknown := sorted(self.vectors.keys() - tables):
            raise ValueError(f"vectors.{unknown[0]}: no feature reads this table, they read "
                             f"{', '.join(sorted(tables))}")
        for name in self.impressions.labels if self.impressions else ():
            taken = {feature.lower() for role in ROLES for feature in getattr(self.features, role)}
            if name.lower() in taken:
                raise ValueError(f"impressions.labels.{name}: the name is taken by a feature")
        shared = {key: getattr(self, key) for key in ("user", "time", "time_unit", "domain")}
        object.__setattr__(self, "events", tuple(
            _filled(table, shared, f"events[{place}]" if len(self.events) > 1 else "events")
            for place, table in enumerate(self.events)))
        if self.impressions:
            columns = {**shared, "domain": self.domain if isinstance(self.domain, Domain) else None}
            object.__setattr__(self, "impressions", _filled(self.impressions, columns, "impressions"))
        elif self.negatives is None:
            object.__setattr__(self, "negatives", Negatives())
        if self.negatives and self.negatives.item and self.negatives.item not in self.features.item:
            raise ValueError(f"negatives.item must be an item feature, one of {', '.join(self.features.item)}, got "
                             f"{self.negatives.item!r}")


def read_mapping(path: str) -> Mapping:
    """The mapping of a file.

    Raises:
      InputError: it cannot be read, or a key or value is wrong; the message names file, key and value.
    """
    try:
        with open(path, encoding="utf-8-sig") as file:  # some editors write a byte order mark
            values = tomllib.loads(file.read())
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"mapping {path}: {error}") from error
    try:
        return toml_fields.read(Mapping, values, "")
    except InputError as error:
        raise InputError(f"{path}, {error}") from error


def _check_files(table: LogTable | Lookup) -> None:
    if not table.files:
        raise ValueError("files must name a file")
    for key in ("delimiter", "quote"):
        mark = getattr(table, key)
        if len(mark) > 1 or not mark.isascii() or mark in _LINE_ENDS:
            raise ValueError(f"{key} must be one ASCII character and no line end, got {mark!r}")


def _filled(table: LogTable, shared: dict[str, Any], where: str) -> Any:
    """A table with the mapping's own keys in place of those that it lacks."""
    filled = dataclasses.replace(table, **{key: getattr(table, key) or value for key, value in shared.items()})
    for key in ("user", "time"):
        if not getattr(filled, key):
            raise ValueError(f"{where}.{key} is missing: the column of the {key}")
    if filled.domain is None:
        if not isinstance(table, Impressions):
            raise ValueError(f"{where}.domain is missing: target, source, or how a column tells them apart, such as "
                             '{ column = "kind", target = ["live"], source = ["video"] }')
        filled = dataclasses.replace(filled, domain="target")
    return filled
