"""The tables of a mapping as tables of an engine: files found, columns resolved, cells typed once."""

from __future__ import annotations

import dataclasses
import datetime
import os
import zlib
from collections.abc import Mapping as MappingType
from collections.abc import Sequence
from zoneinfo import ZoneInfo

import ibis.expr.types as ir
import pyarrow as pa

from data_prep.description import DOMAINS
from data_prep.errors import InputError
from data_prep.own_logs import cells, log_files
from data_prep.own_logs.feature_columns import FeatureColumn
from data_prep.own_logs.log_files import LogFile, TextFormat
from data_prep.own_logs.mapping import Domain, Impressions, LogTable, Lookup, Mapping
from data_prep.own_logs.rules import Rule
from data_prep.own_logs.staging import Staged, Wanted, stage
from data_prep.reading.log_reader import LogReader

IMPRESSIONS, ON_ITEMS = "impressions", "on_items"
_SHOWN = 10  # file names in a warning
_ALL_DIGITS = "numbers with all their digits"
_WORDS = ("true", "false")  # of a boolean column
SHOWN_ROLES, ACTED_ROLES = ("item", "candidate", "request"), ("item", "context")  # of impressions, and of events


@dataclasses.dataclass
class Table:
    """A table of the mapping.

    Attributes:
      label: its key in the mapping.
      spec: what the mapping says of it.
      files: its files.
      skipped: names of files that its folders and patterns have beside them.
      types: column -> Arrow type, of the first file.
      wanted: name -> column that will be read.
      staged: what was read.
      rows: the same as a table of the engine.
    """

    label: str
    spec: LogTable | Lookup
    files: list[LogFile]
    skipped: list[str]
    types: MappingType[str, pa.DataType]
    wanted: dict[str, Wanted] = dataclasses.field(default_factory=dict)
    staged: Staged | None = None
    rows: ir.Table | None = None

    @property
    def text(self) -> TextFormat:
        """How its CSV files are written."""
        return _format(self.spec)

    @property
    def domain_column(self) -> str:
        """Name of the column that tells its rows' domain; items may have those of several tables."""
        return f"domain_of_{self.name}"

    @property
    def name(self) -> str:
        """Its label as a name for files and columns."""
        return self.label.replace("[", "_").replace("]", "")

    def want(self, name: str, key: str, column: str, parse: cells.Parse, expected: str, required: bool = False) -> None:
        """Asks for a column."""
        self.wanted[name] = Wanted(f"{self.label}.{key}" if key else self.label, column, parse, expected, required)

    def is_integer(self, name: str) -> bool:
        """Whether the values of a column that was read are integers, or texts written as such."""
        return name in self.staged.as_integers or pa.types.is_integer(self.rows.schema()[name].to_pyarrow())


class Tables:
    """All tables of a mapping.

    Args:
      mapping: says which.
      folder: from which files are named.

    Attributes:
      events: those of the mapping, in its order.
      impressions, items, users: those of the mapping, or None.
      readers: feature -> the tables that have its column.

    Raises:
      InputError: a file or a column that is not there.
    """

    def __init__(self, mapping: Mapping, folder: str):
        self._mapping = mapping
        several = len(mapping.events) > 1
        self.events = [_found(f"events[{place}]" if several else "events", spec, folder)
                       for place, spec in enumerate(mapping.events)]
        self.impressions, self.items, self.users = (
            _found(label, spec, folder) if spec else None
            for label, spec in ((IMPRESSIONS, mapping.impressions), ("items", mapping.items), ("users", mapping.users)))
        zone = zone_of(mapping)
        for table in self.logs:
            self._want_log(table, zone)
        for lookup in filter(None, (self.items, self.users)):
            lookup.want("key", "key", lookup.spec.key, cells.ids, f"a text, {_ALL_DIGITS}", required=True)
        self.readers: dict[str, list[Table]] = {}
        self._want_features()

    @property
    def logs(self) -> list[Table]:
        """The impressions, where there are any, and the events."""
        return [*([self.impressions] if self.impressions else []), *self.events]

    @property
    def domains(self) -> tuple[str, ...]:
        """Those that events can be of."""
        given = {table.spec.domain for table in self.events}
        return tuple(given) if len(given) == 1 and given <= set(DOMAINS) else DOMAINS

    @property
    def all(self) -> list[Table]:
        """Every table."""
        return [*self.logs, *filter(None, (self.items, self.users))]

    @property
    def paths(self) -> list[str]:
        """Every file."""
        return list(dict.fromkeys(file.path for table in self.all for file in table.files))

    def resolve(self, table: Table, columns: Sequence[str], key: str) -> tuple[Table, str]:
        """The first of some columns that a table has, or the items joined to it; and which of the two has it.

        Raises:
          InputError: neither has any.
        """
        for owner in (table, *([self.items] if self.items and table is not self.items else [])):
            for column in columns:
                if column in owner.types:
                    if owner is not table:
                        self._want_item_of(table)
                    return owner, column
        others = f"; items have {', '.join(self.items.types)}" if self.items else ""
        raise InputError(f"{key}: no column {' or '.join(map(repr, columns))} in {table.label} "
                         f"({_files(table.files)}), which have {', '.join(table.types)}{others}")

    def _want_item_of(self, table: Table) -> None:
        """Asks a table of logs for the column that leads to its items."""
        on = self.items.spec.on or self.items.spec.key
        if on not in table.types:
            raise InputError(f"items.on: no column {on!r} in {table.label} ({_files(table.files)}), which have "
                             f"{', '.join(table.types)}")
        table.want(ON_ITEMS, "", on, cells.ids, f"UTF-8 text, {_ALL_DIGITS}")

    def can_be_shown(self, table: Table) -> bool:
        """Whether rows of a table become impressions."""
        if self.impressions:
            return table is self.impressions
        return table.spec.domain != "source" or self.domains == ("source",)

    def _want_features(self) -> None:
        """Asks for the columns of all features."""
        found = self._mapping.features
        if found.request and not self.impressions:
            raise InputError(f"features.request: without impressions there are no requests to have "
                             f"{', '.join(found.request)}")
        for table in self.logs:
            # Where clicks are events, the events have what the candidates have.
            roles = SHOWN_ROLES if table is self.impressions else ACTED_ROLES
            if not self.impressions and self.can_be_shown(table):
                roles = (*ACTED_ROLES, "candidate")
            for role in roles:
                for name, feature in getattr(found, role).items():
                    key = f"features.{role}.{name}"
                    self._want_feature(*self.resolve(table, feature.column, key), name, feature, key)
        for name, feature in found.user.items():
            self._want_user_feature(name, feature)

    def _want_user_feature(self, name: str, feature: FeatureColumn) -> None:
        """Asks for a user's feature: of the users, the logs, or the user's id itself."""
        first, key = self.logs[0], f"features.user.{name}"
        if first.spec.user in feature.column:
            if feature.is_number or feature.separator:
                raise InputError(f"{key}: column {first.spec.user!r} is the users' own id, which has neither "
                                 "boundaries nor buckets nor separator")
            self.readers[name] = []
            return
        for owner in (*([self.users] if self.users else []), first):
            for column in feature.column:
                if column in owner.types:
                    self._want_feature(owner, column, name, feature, key)
                    return
        users = f"; users have {', '.join(self.users.types)}" if self.users else ""
        raise InputError(f"{key}: no column {' or '.join(map(repr, feature.column))} in {first.label} "
                         f"({_files(first.files)}), which have {', '.join(first.types)}{users}")

    def _want_feature(self, owner: Table, column: str, name: str, feature: FeatureColumn, key: str) -> None:
        """Asks a table for a feature's column."""
        if feature.is_number:
            parse, expected = cells.numbers, "a number"
        elif feature.separator:
            parse, expected = cells.value_of(feature.separator, feature.without, feature.place), "UTF-8 text"
        elif feature.type == "integer" or (feature.type is None and pa.types.is_integer(owner.types[column])):
            parse, expected = cells.integers, "an integer of 64 bits"
        else:
            parse, expected = (cells.texts, "UTF-8 text") if feature.type == "text" else (
                cells.ids, f"UTF-8 text, {_ALL_DIGITS}")
        owner.wanted[f"feature_{name}"] = Wanted(key, column, parse, expected)
        self.readers.setdefault(name, []).append(owner)

    def want_rule(self, table: Table, rule: Rule, key: str) -> None:
        """Asks for the column that a rule is about."""
        owner, column = self.resolve(table, [rule.column], key)
        if rule.is_text:
            _check_words(owner, column, rule.values, key)
            parse, expected = cells.words, "UTF-8 text"
        else:
            parse, expected = cells.meets(rule.is_met_by) if rule.needs_all_digits else cells.numbers, "a number"
        owner.wanted[rule_column(rule)] = Wanted(key, column, parse, expected)

    def load(self, logs: LogReader) -> None:
        """Reads what was asked for, and hands it to the engine."""
        for table in self.all:
            if len(table.wanted) == 1 and isinstance(table.spec, Lookup):
                raise InputError(f"{table.label}: no feature, rule or domain reads a column of them: leave them out")
        for table in self.all:
            path = os.path.join(logs.scratch_dir, f"{table.name}.parquet")
            table.staged = stage(table.label, table.files, table.text, table.wanted, path, logs.rejects,
                                 may_be_empty=isinstance(table.spec, Lookup))
            logs.warnings += [*_skipped(table), *table.staged.warnings]
            logs.fingerprints.update(table.staged.fingerprints)
            columns = {name: entry.column for name, entry in table.wanted.items()}
            if isinstance(table.spec, LogTable):
                columns |= {"second": table.spec.time}
            table.rows = logs.load_parquet(table.label, path, table.staged.rejected, table.staged.where, columns,
                                           f"staged_{table.name}")

    def _want_log(self, table: Table, zone: datetime.tzinfo) -> None:
        spec = table.spec
        for key in ("user", "time"):
            if getattr(spec, key) not in table.types:
                raise InputError(f"{table.label}.{key}: no column {getattr(spec, key)!r} in {_files(table.files)}, "
                                 f"which have {', '.join(table.types)}")
        parse, expected = (cells.integers, "a user, an integer of 64 bits") if pa.types.is_integer(
            table.types[spec.user]) else (cells.ids, f"a user, {_ALL_DIGITS}")
        table.want("user", "user", spec.user, parse, expected, required=True)
        expected = {"text": "a time of ISO 8601", "day": "a day"}.get(spec.time_unit or "", "a time")
        table.want("time", "time", spec.time, cells.seconds(spec.time_unit, zone), expected, required=True)
        for text in spec.where:
            self.want_rule(table, Rule.parse(text), f"{table.label}.where")
        if isinstance(spec.domain, Domain):
            owner, column = self.resolve(table, [spec.domain.column], f"{table.label}.domain.column")
            parse = cells.words
            _check_words(owner, column, spec.domain.target + spec.domain.source, f"{table.label}.domain")
            if spec.domain.separator:
                parse = cells.domain_of(spec.domain.separator, spec.domain.target, spec.domain.source)
            owner.wanted[table.domain_column] = Wanted(f"{table.label}.domain", column, parse, "UTF-8 text")
        if isinstance(spec, Impressions):
            for name, text in {"label": spec.label, **{f"labels.{name}": text for name, text in spec.labels.items()}
                               }.items():
                self._want_label(table, name, text)
        negatives = self._mapping.negatives
        if negatives and self.can_be_shown(table):
            for text in negatives.clicks:
                self.want_rule(table, Rule.parse(text), "negatives.clicks")

    def _want_label(self, table: Table, name: str, text: str) -> None:
        key = f"{table.label}.{name}"
        if text in table.types:
            table.wanted[label_column(name)] = Wanted(key, text, cells.flags, "0 or 1", required=True)
            return
        try:
            self.want_rule(table, Rule.parse(text), key)
        except ValueError as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{key}: no column {text!r} in {_files(table.files)}, which have "
                             f"{', '.join(table.types)}, and no rule: {error}") from error


def rule_column(rule: Rule) -> str:
    """Name of the column that a rule is about; engines do not tell names apart by case."""
    if rule.needs_all_digits:
        return f"meets_{zlib.crc32(repr(rule).encode()):08x}"
    return f"{'text' if rule.is_text else 'number'}_{zlib.crc32(rule.column.encode()):08x}"


def label_column(name: str) -> str:
    """Name of the column of a label that is one of the files'."""
    return name.replace(".", "_")


def zone_of(mapping: Mapping) -> datetime.tzinfo:
    """The time zone of a mapping."""
    text = mapping.time_zone
    if text == "UTC":
        return datetime.UTC
    if text[0] not in "+-":
        return ZoneInfo(text)
    sign = -1 if text[0] == "-" else 1
    return datetime.timezone(sign * datetime.timedelta(hours=int(text[1:3]), minutes=int(text[4:6])))


def _found(label: str, spec: LogTable | Lookup, folder: str) -> Table:
    files = log_files.find_files(spec.files, folder, f"{label}.files")
    types = log_files.column_types(files[0], _format(spec))
    if isinstance(spec, Lookup) and spec.key not in types:
        raise InputError(f"{label}.key: no column {spec.key!r} in {_files(files)}, which have {', '.join(types)}")
    return Table(label, spec, files, log_files.skipped_files(spec.files, folder), types)


def _skipped(table: Table) -> list[str]:
    """A warning where files beside those of a table are of another kind."""
    if not table.skipped:
        return []
    more = f" and {len(table.skipped) - _SHOWN} more" if len(table.skipped) > _SHOWN else ""
    return [f"{table.label}.files: not read, by their names: {', '.join(table.skipped[:_SHOWN])}{more} (files are "
            f"{', '.join(log_files.SUFFIXES)})"]


def _format(spec: LogTable | Lookup) -> TextFormat:
    return TextFormat(spec.delimiter, spec.quote, spec.columns)


def _check_words(table: Table, column: str, values: Sequence[str], key: str) -> None:
    """Refuses texts that no cell of a column of true and false is."""
    wrong = next((value for value in values if value not in _WORDS), None)
    if wrong is not None and pa.types.is_boolean(table.types[column]):
        raise InputError(f"{key}: column {column!r} of {_files(table.files)} holds {' and '.join(_WORDS)}, compared "
                         f"with {wrong!r}")


def _files(files: list[LogFile]) -> str:
    more = f" and {len(files) - 1} more" if len(files) > 1 else ""
    return f"{files[0].path}{more}"
