"""A draft of a mapping file, guessed from the names and the first values of files; every guess has a comment."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Callable, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from data_prep.errors import InputError
from data_prep.own_logs import cells, log_files
from data_prep.own_logs.log_files import TextFormat
from data_prep.own_logs.names import is_reserved
from data_prep.reading import archives

_ROWS = 20_000  # of a table, that guesses are made from
_FEW = 12  # different values that a domain may have
_EXAMPLES, _LONGEST = 3, 60
_USER = re.compile(r"(^|_)(user|uid|userid|member|customer|visitor|account|device|buyer|viewer)(_?id)?($|_)", re.I)
_TIME = re.compile(r"(^|_)(time|timestamp|ts|date|day|datetime|at|ms)($|_)|time(_?stamp)?$", re.I)
_CLICK = re.compile(r"click|label|entered|is_target|like|purchase|convert", re.I)
_LATER = re.compile(r"click|label|like|purchase|conver|exit|reason|stay|dwell|watch|finish|time|result|reward", re.I)
_DOMAIN = re.compile(r"domain|kind|type|channel|scene|source|btag|behaviou?r", re.I)
_ID = re.compile(r"(^|_)(id|item|movie|video|room|product|article|author|creator|seller|brand|sku)($|_)|id$", re.I)
_SEPARATOR = "|"
_UNITS = ((10**17, "ns"), (10**14, "us"), (10**11, "ms"), (10**8, "s"))


@dataclasses.dataclass
class _Column:
    """What the first values of a column say."""

    name: str
    texts: list[str]
    distinct: int
    is_time: bool
    is_number: bool
    is_flag: bool

    @property
    def example(self) -> str:
        """Its commonest values, for a comment."""
        return " ".join(", ".join(self.texts[:_EXAMPLES]).split())[:_LONGEST]


@dataclasses.dataclass
class _Found:
    """A table of files."""

    name: str
    delimiter: str
    columns: list[_Column]
    rows: int

    def first(self, wanted: Callable[[_Column], object], without: Sequence[str] = ()) -> _Column | None:
        return next((column for column in self.columns if column.name not in without and wanted(column)), None)


def suggest(names: Sequence[str], folder: str = ".") -> str:
    """The text of a mapping file for files, folders or patterns, each of them a table.

    Args:
      names: from `folder`.
      folder: where the mapping file will be.

    Raises:
      InputError: a file that is not there or cannot be read.
    """
    tables = [_look(name, folder) for name in names]
    logs = [table for table in tables if _time_of(table) and _user_of(table)]
    lookups = [table for table in tables if table not in logs]
    shown = next((table for table in logs if _click_of(table)), None)
    acted = [table for table in logs if table is not shown] or logs[:1]
    items = next((table for table in lookups if not _user_of(table)), None)
    users = next((table for table in lookups if _user_of(table)), None)
    lines = ["# A draft: look at every line. Guesses follow from the columns' names and the first values of the files.",
             f"name = {_quoted(_name(names))}", 'time_zone = "UTC"  # in which days are cut, such as "Asia/Shanghai"']
    if not logs:
        return "\n".join([*lines, "# No file has both a user and a time: name their columns yourself.", "user = \"\"",
                          "time = \"\"", ""])
    lines += ["splits = { validation_share = 0.1, test_share = 0.1 }  # or { first_day = 2024-01-31, num_days = 7 }",
              ""]
    if shown:
        click = _click_of(shown)
        lines += ["[impressions]", *_log_lines(shown), f"label = {_quoted(click.name)}  # 0 and 1; or a rule such as "
                  "\"stay_seconds >= 10\"", ""]
    for table in acted:
        lines += ["[[events]]", *_log_lines(table), *_domain_lines(table)]
        if table is shown:
            click = _click_of(table)
            value = '"true"' if "true" in click.texts else "1"
            lines.append(f"where = {_quoted(f'{click.name} == {value}')}  # what was clicked is history")
        lines.append("")
    if not shown:
        lines += ["# Without impressions, the target domain's events are clicks, and what was not clicked is drawn.",
                  "[negatives]", "per_positive = 4", ""]
    lines += _lookup_lines("items", items, acted[0]) + _lookup_lines("users", users, acted[0])
    return "\n".join([*lines, *_feature_lines(shown, acted, items, users)]) + "\n"


def _log_lines(table: _Found) -> list[str]:
    user, time = _user_of(table), _time_of(table)
    unit = _unit_of(time)
    lines = [f"files = {_quoted(table.name)}", f"user = {_quoted(user.name)}  # {user.example}",
             f"time = {_quoted(time.name)}  # {time.example}"]
    if unit:
        lines.append(f"time_unit = {_quoted(unit)}")
    if table.delimiter not in (",", "\t" if ".tsv" in table.name else ","):
        lines.append(f"delimiter = {json.dumps(table.delimiter)}")
    return lines


def _domain_lines(table: _Found) -> list[str]:
    column = _domain_of(table)
    if column is None:
        return ["domain = \"source\"  # or \"target\", or { column = \"...\", target = [\"...\"] }"]
    target, *others = column.texts[:_FEW]
    return [f"domain = {{ column = {_quoted(column.name)}, target = [{_quoted(target)}] }}  # which of "
            f"{', '.join([target, *others])}?"]


def _lookup_lines(key: str, table: _Found | None, log: _Found) -> list[str]:
    if table is None:
        return []
    wanted = _user_of(table) if key == "users" else None
    column = wanted or table.first(lambda column: column.distinct == table.rows and _ID.search(column.name)) or (
        table.columns[0])
    lines = [f"[{key}]", f"files = {_quoted(table.name)}", f"key = {_quoted(column.name)}  # one row for each"]
    if key == "items" and column.name not in {other.name for other in log.columns}:
        lines.append('on = ""  # the column of the logs that has its values')
    return [*lines, ""]


def _feature_lines(shown: _Found | None, acted: list[_Found], items: _Found | None, users: _Found | None) -> list[str]:
    roles: dict[str, list[_Column]] = {"user": [_user_of(acted[0])], "item": [], "candidate": [], "request": [],
                                       "context": []}
    roles["user"] += [column for column in (users.columns if users else ()) if not _user_of_name(column.name)]
    used = {column.name for table in filter(None, (shown, *acted)) for column in (
        _user_of(table), _time_of(table), _click_of(table), _domain_of(table)) if column}
    in_events = {column.name for column in acted[0].columns}
    in_both = {column.name for column in shown.columns} & in_events if shown else in_events
    for column in acted[0].columns:
        if column.name not in used:
            of_item = column.name in in_both and (_ID.search(_words(column.name)) or not column.is_number)
            roles["item" if of_item else "context"].append(column)
    roles["item"] += [column for column in (items.columns if items else ()) if column.name not in in_events]
    for column in shown.columns if shown else ():
        if column.name not in used | in_events:
            roles["candidate" if _ID.search(_words(column.name)) else "request"].append(column)
    lines, names = list[str](), set[str]()
    for role, columns in roles.items():
        if columns or role == "item":
            lines += [f"[features.{role}]", *(_feature_line(column, role, names) for column in columns),
                      *([] if columns else ["# name = \"column\"  # of what was shown and of what was done"]), ""]
    return lines


def _feature_line(column: _Column, role: str, names: set[str]) -> str:
    name = re.sub(r"\W", "_", column.name, flags=re.ASCII)
    name = name if re.match(r"[A-Za-z]", name) else f"f_{name}"
    name = f"{name}_id" if is_reserved(name) else name
    name = next(found for found in (name, f"{role}_{name}", *(f"{role}_{name}_{number}" for number in range(2, 999)))
                if found.lower() not in names)
    names.add(name.lower())
    if column.is_number and not column.is_flag and not _ID.search(_words(column.name)) and role != "user":
        line = f"{name} = {{ column = {_quoted(column.name)}, buckets = 10 }}  # {column.example}"
        return f"# {line}; was it known before the click?" if role == "request" else line
    shown = role in ("item", "candidate", "request")
    if shown and (column.is_flag or column.is_time or _LATER.search(_words(column.name))):
        return f"# {name} = {_quoted(column.name)}  # {column.example}; was it known before the click?"
    if sum(_SEPARATOR in text for text in column.texts) * 2 > len(column.texts):
        return f"{name} = {{ column = {_quoted(column.name)}, separator = \"{_SEPARATOR}\" }}  # {column.example}"
    return f"{name} = {_quoted(column.name)}  # {column.example}"


def _look(name: str, folder: str) -> _Found:
    """The first rows of the first file of a name."""
    file = log_files.find_files([name], folder, "suggest")[0]
    text = TextFormat(_delimiter(file))
    types = log_files.column_types(file, text)
    parts, rows = [], 0
    for batch in log_files.batches(file, text, list(types), log_files.FileNotes()):
        parts.append(batch)
        rows += len(batch)
        if rows >= _ROWS:
            break
    table = pa.Table.from_batches(parts)
    try:
        columns = [_column(column, table[column].combine_chunks(), types[column]) for column in types]
    except pa.ArrowException as error:
        raise InputError(f"{file.path}: {error}; columns: {table.schema.to_string()}") from error
    return _Found(name, text.delimiter, columns, table.num_rows)


def _column(name: str, values: pa.Array, kind: pa.DataType) -> _Column:
    is_time = pa.types.is_timestamp(kind) or pa.types.is_date(kind)
    if pa.types.is_nested(kind):
        return _Column(name, [f"({kind})"], 0, False, False, False)
    texts, _ = cells.words(values)
    counts = pc.value_counts(texts.drop_null())
    order = sorted(counts.to_pylist(), key=lambda entry: (-entry["counts"], entry["values"]))
    _, bad = (None, pa.array([True])) if is_time else cells.numbers(values)
    is_number = len(order) > 0 and not pc.any(bad).as_py()
    distinct = [entry["values"] for entry in order]
    return _Column(name, distinct[:max(_FEW, _EXAMPLES)], len(distinct), is_time, is_number,
                   bool(distinct) and set(distinct) <= {"0", "1", "true", "false"})


def _delimiter(file: log_files.LogFile) -> str:
    if file.is_parquet:
        return ","
    line = archives.first_line(file.path)
    return max((",", "\t", ";", "|"), key=lambda mark: line.count(mark.encode()))


def _user_of(table: _Found) -> _Column | None:
    return table.first(lambda column: _user_of_name(column.name))


def _user_of_name(name: str) -> bool:
    return bool(_USER.search(_words(name)))


def _time_of(table: _Found) -> _Column | None:
    return table.first(lambda column: column.is_time) or table.first(
        lambda column: _TIME.search(_words(column.name)) and (not column.is_number or _unit_of(column)))


def _click_of(table: _Found) -> _Column | None:
    return table.first(lambda column: column.is_flag and _CLICK.search(column.name))


def _domain_of(table: _Found) -> _Column | None:
    return table.first(lambda column: _DOMAIN.search(column.name) and 2 <= column.distinct <= _FEW)


def _unit_of(column: _Column) -> str:
    if column.is_time or column.is_flag or not column.is_number:
        return ""
    largest = max(abs(float(text)) for text in column.texts)
    return next((unit for least, unit in _UNITS if largest >= least), "")


def _words(name: str) -> str:
    """`userId` as `user_Id`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name)


def _name(names: Sequence[str]) -> str:
    base = re.sub(r"\W", "_", os.path.basename(os.path.abspath(os.path.dirname(names[0]) or "."))) or "own_logs"
    return base if re.match(r"[A-Za-z]", base) else "own_logs"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
