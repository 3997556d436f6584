"""Cells -> typed values: what each kind of column accepts, batch by batch.

Every function takes the cells of a batch as an Arrow array, `[n]` (those of text files as bytes), and returns the
values, null where a cell is missing, and where the cell is none of its kind, `[n]` bool.
"""

from __future__ import annotations

import contextlib
import datetime
import decimal
import re
from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

MISSING = ("", "NULL", "null", "\\N")

_LINE_BREAKS = r"[\n\r\v\f\x1c-\x1e\x{85}\x{2028}\x{2029}]+"
_INTEGER = r"^[+-]?[0-9]{1,18}(\.0*)?$"
_ANY_INTEGER = re.compile(r"[+-]?[0-9]+(\.0*)?")
_AS_WRITTEN = r"^(0|-?[1-9][0-9]{0,17})$"
_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
_ROUNDED = r"^[+-]?[0-9](\.[0-9]+[eE]\+?|[eE]\+)[0-9]+$"
_DIGITS = {pa.float16(): 11, pa.float32(): 24, pa.float64(): 53}  # binary ones
_COUNT, _PLAIN_DATE = r"^[+-]?[0-9]+(\.[0-9]*)?$", r"^[0-9]{8}$"
_ZONED = r":\d.*(Z|[+-]\d\d(:?\d\d)?)$"
_MICROS = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}  # units of a second
_DATE = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
_DAY_SECONDS = 86_400
WHOLE_DAY = -1

Typed = tuple[pa.Array, pa.Array]
Parse = Callable[[pa.Array], Typed]


def texts(cells: pa.Array) -> Typed:
    """Any cell as text, without spaces around it; integers as they are, whole floats as integers.

    Floats that are too large to tell one integer from the next are none.
    """
    if pa.types.is_dictionary(cells.type):
        cells = cells.dictionary_decode()
    if pa.types.is_fixed_size_binary(cells.type):
        cells = cells.cast(pa.binary())
    if pa.types.is_binary(cells.type) or pa.types.is_large_binary(cells.type):
        found, bad = _decoded(cells)
    elif pa.types.is_string(cells.type) or pa.types.is_large_string(cells.type):
        found, bad = cells.cast(pa.string()), _none(cells)
    elif pa.types.is_boolean(cells.type):
        found, bad = cells.cast(pa.int64()).cast(pa.string()), _none(cells)
    elif pa.types.is_floating(cells.type):
        wide = cells.cast(pa.float32()) if cells.type == pa.float16() else cells  # Arrow has no abs of float16
        exact = pc.less(pc.abs(wide), 2.0**_DIGITS[cells.type])
        whole = pc.fill_null(pc.and_(pc.equal(pc.floor(wide), wide), exact), False)
        as_integer = pc.if_else(whole, wide, pa.scalar(None, wide.type)).cast(pa.int64()).cast(pa.string())
        found = pc.coalesce(as_integer, _shortest(cells))
        bad = pc.fill_null(pc.and_(pc.is_finite(wide), pc.invert(exact)), False)
    else:
        found, bad = cells.cast(pa.string()), _none(cells)
    found = pc.utf8_trim_whitespace(found)
    found = pc.replace_substring_regex(found, _LINE_BREAKS, " ")  # a vocabulary has a value a line
    missing = pc.is_in(found, pa.array(MISSING))
    return pc.if_else(missing, pa.scalar(None, pa.string()), found), bad


def words(cells: pa.Array) -> Typed:
    """Texts, of true and false as text files write them."""
    if pa.types.is_boolean(cells.type):
        return cells.cast(pa.string()), _none(cells)
    return texts(cells)


def ids(cells: pa.Array) -> Typed:
    """Texts, in which `7.0` is `7`: whole numbers get decimals where a writer knows no missing integers.

    `1.38297E+18` is none: it stands for many ids, whose last digits a spreadsheet or a float has lost.
    """
    found, bad = texts(cells)
    bad = pc.or_(bad, pc.fill_null(pc.match_substring_regex(found, _ROUNDED), False))
    return pc.replace_substring_regex(found, r"^(-?[0-9]+)\.0+$", r"\1"), bad


def integers(cells: pa.Array) -> Typed:
    """Integers of 64 bits: `7`, `07` and `7.0` are one."""
    if pa.types.is_integer(cells.type) and (cells.type != pa.uint64() or (pc.max(cells).as_py() or 0) < 2**63):
        return cells.cast(pa.int64()), _none(cells)
    found, bad = texts(cells)
    short = pc.fill_null(pc.match_substring_regex(found, _INTEGER), False)
    digits = pc.replace_substring_regex(pc.if_else(short, found, None), r"^\+|\.0*$", "").cast(pa.int64())
    left = pc.and_(pc.is_valid(found), pc.invert(short))
    if pc.any(left).as_py():
        others = [_long(value) if is_left else None for value, is_left in zip(
            found.to_pylist(), left.to_pylist(), strict=True)]
        digits = pc.coalesce(digits, pa.array(others, pa.int64()))
    return digits, pc.or_(bad, pc.and_(pc.is_valid(found), pc.is_null(digits)))


def numbers(cells: pa.Array) -> Typed:
    """Finite numbers, float64: those that a text file with the same decimals gives, whatever their width."""
    if pa.types.is_integer(cells.type) or pa.types.is_boolean(cells.type):
        return cells.cast(pa.float64(), safe=False), _none(cells)
    if pa.types.is_decimal(cells.type):
        return cells.cast(pa.string()).cast(pa.float64()), _none(cells)
    if pa.types.is_floating(cells.type):
        values = _without_nan(cells) if cells.type == pa.float64() else _shortest(cells).cast(pa.float64())
        return values, pc.fill_null(pc.is_inf(values), False)
    found, bad = texts(cells)
    good = pc.fill_null(pc.match_substring_regex(found, _NUMBER), False)
    values = pc.if_else(good, found, None).cast(pa.float64())
    is_bad = pc.or_(pc.and_(pc.is_valid(found), pc.invert(good)), pc.fill_null(pc.is_inf(values), False))
    return values, pc.or_(bad, is_bad)


def meets(holds: Callable[[decimal.Decimal], bool]) -> Parse:
    """Whether numbers meet a condition, without rounding one."""
    def parse(cells: pa.Array) -> Typed:
        if pa.types.is_boolean(cells.type):
            cells = cells.cast(pa.int64())
        bad = numbers(cells)[1]
        coded = pc.if_else(bad, pa.scalar(None, pa.string()), texts(cells)[0]).dictionary_encode()
        values = pa.array([holds(decimal.Decimal(text)) for text in coded.dictionary.to_pylist()], pa.bool_())
        return values.take(coded.indices), bad

    return parse


def flags(cells: pa.Array) -> Typed:
    """0 or 1, also written as true and false."""
    found, bad = ids(cells)
    lower = pc.utf8_lower(found)
    values = pc.if_else(pc.is_in(lower, pa.array(["1", "true"])), 1, pc.if_else(
        pc.is_in(lower, pa.array(["0", "false"])), 0, None)).cast(pa.int64())
    return values, pc.or_(bad, pc.and_(pc.is_valid(found), pc.is_null(values)))


def seconds(unit: str | None, zone: datetime.tzinfo) -> Parse:
    """Times as struct of `second` since 1970 (int64) and `micro` within it (int32).

    Days have midnight UTC as their second and `WHOLE_DAY` in place of a microsecond: the clock that cuts days decides
    when they begin.

    Args:
      unit: a `TimeUnit`; None: columns of times speak for themselves, numbers are seconds, anything else is text.
      zone: of texts and dates without one.
    """
    def parse(cells: pa.Array) -> Typed:
        if pa.types.is_dictionary(cells.type):
            cells = cells.dictionary_decode()
        if pa.types.is_timestamp(cells.type):
            return _split(_instants(cells, zone)), pc.is_null(cells)
        if pa.types.is_date(cells.type):
            return _days(cells.cast(pa.timestamp("us"))), pc.is_null(cells)
        if pa.types.is_integer(cells.type) or pa.types.is_floating(cells.type):
            if unit != "day":
                return _counted(cells, unit or "s")
            cells = ids(cells)[0]  # 20240131 is a date
        found, bad = texts(cells)
        counted = pc.fill_null(pc.match_substring_regex(found, _COUNT), False)
        if unit == "text":
            counted = _none(found)
        elif unit == "day":
            counted = pc.and_(counted, pc.invert(pc.fill_null(pc.match_substring_regex(found, _PLAIN_DATE), False)))
        elif unit is not None:
            counted = pc.is_valid(found)
        by_number, no_number = _counted(pc.if_else(counted, found, None), unit or "s")
        if pc.all(counted).as_py():
            return by_number, pc.or_(bad, no_number)
        instants = _from_text(pc.if_else(counted, None, found), datetime.UTC if unit == "day" else zone)
        by_text = _marked(_split(instants), found) if unit != "day" else _days(pc.floor_temporal(instants, unit="day"))
        parts = [pc.if_else(counted, *(side.field(part) for side in (by_number, by_text))) for part in (0, 1)]
        return _struct(*parts), pc.or_(bad, pc.if_else(counted, no_number, pc.is_null(instants)))

    return parse


def value_of(separator: str, without: Sequence[str], place: int) -> Parse:
    """The first (`place` 1), second ... of a cell's values that are not among `without`, each counted once."""
    def chosen(text: str) -> str | None:
        parts = dict.fromkeys(part.strip() for part in text.split(separator))
        counted = [part for part in parts if part and part not in without]
        return counted[place - 1] if place <= len(counted) else None

    return _by_distinct(chosen, pa.string())


def domain_of(separator: str, target: Sequence[str], source: Sequence[str]) -> Parse:
    """The domain of a cell with several values: "target", "source", or null where `source` names others."""
    def domain(text: str) -> str | None:
        parts = {part.strip() for part in text.split(separator)}
        if parts & set(target):
            return "target"
        return "source" if not source or parts & set(source) else None

    return _by_distinct(domain, pa.string())


def written_as_integers(values: pa.Array) -> bool:
    """Whether every text is what its integer is written as, so that texts and integers tell the same ids apart."""
    return pc.all(pc.match_substring_regex(values, _AS_WRITTEN)).as_py() is not False


def _without_nan(cells: pa.Array) -> pa.Array:
    return pc.if_else(pc.is_nan(cells), pa.scalar(None, cells.type), cells)


def _shortest(cells: pa.Array) -> pa.Array:
    """Floats as the shortest texts that tell them apart in their own width: 0.7 of 32 bits is not 0.699999988."""
    found = _without_nan(cells)
    if cells.type != pa.float16():
        return found.cast(pa.string())
    values = found.to_numpy(zero_copy_only=False).astype(np.float16)
    return pa.array(values.astype(str), pa.string(), mask=np.isnan(values))


def _by_distinct(function: Callable[[str], object], kind: pa.DataType) -> Parse:
    def parse(cells: pa.Array) -> Typed:
        found, bad = texts(cells)
        coded = found.dictionary_encode()
        values = pa.array([function(text) for text in coded.dictionary.to_pylist()], kind)
        return values.take(coded.indices), bad

    return parse


def _long(text: str) -> int | None:
    """Integers of 19 digits, which may not fit."""
    if not _ANY_INTEGER.fullmatch(text):
        return None
    value = int(text.partition(".")[0])
    return value if -2**63 <= value < 2**63 else None


def _counted(cells: pa.Array, unit: str) -> Typed:
    """Numbers of a unit since 1970."""
    whole, bad = integers(cells)
    if unit == "day":
        fits = pc.fill_null(pc.less(pc.abs(whole), 2**40), False)
        whole = pc.multiply(pc.if_else(fits, whole, None), _DAY_SECONDS)
        return _struct(whole, _whole_days(whole)), pc.or_(bad, pc.is_null(whole))
    per_second = _MICROS["s" if unit == "text" else unit]
    second = pc.divide(whole, per_second)
    rest = pc.subtract(whole, pc.multiply(second, per_second))
    micro = pc.divide(pc.multiply(rest, 1_000_000), per_second)
    if not pc.any(bad).as_py():
        return _struct(second, micro), pc.is_null(whole)
    # Those with decimals; whole ones are not rounded for them.
    values, _ = numbers(cells)
    scaled = pc.multiply(values, 1_000_000.0 / per_second)
    fits = pc.fill_null(pc.less(pc.abs(scaled), 2.0**63), False)
    decimal = _split(pc.if_else(fits, pc.floor(scaled), None).cast(pa.int64()).cast(pa.timestamp("us")))
    second, micro = (pc.if_else(bad, decimal.field(name), found) for name, found in (
        ("second", second), ("micro", micro.cast(pa.int32()))))
    return _struct(second, micro), pc.is_null(second)


def _from_text(found: pa.Array, zone: datetime.tzinfo) -> pa.Array:
    """ISO 8601 -> instants, null where a text is none."""
    zoned = pc.match_substring_regex(found, _ZONED)
    if pc.any(pc.match_substring_regex(found, _DATE)).as_py():
        dates = pc.fill_null(pc.match_substring_regex(found, _DATE), False)
        others = _from_text(pc.if_else(dates, None, found), zone)
        return pc.if_else(dates, _from_text(pc.if_else(dates, pc.binary_join_element_wise(found, "T00:00Z", ""), None),
                                            zone), others)
    with contextlib.suppress(pa.ArrowInvalid):  # a text that Arrow does not read or that is none
        if not pc.any(zoned).as_py():
            return _instants(found.cast(pa.timestamp("us")), zone)
        if pc.all(zoned).as_py():
            return _instants(found.cast(pa.timestamp("us", "UTC")), zone)
    coded = found.dictionary_encode()
    return pa.array([_instant(text, zone) for text in coded.dictionary.to_pylist()], pa.timestamp("us")).take(
        coded.indices)


def _instant(text: str, zone: datetime.tzinfo) -> datetime.datetime | None:
    try:
        moment = datetime.datetime.fromisoformat(text)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=zone)
        return moment.astimezone(datetime.UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        return None


def _instants(cells: pa.Array, zone: datetime.tzinfo) -> pa.Array:
    """Column of times -> instants of UTC without a zone, microseconds."""
    if cells.type.tz is not None:
        return cells.cast(pa.timestamp("us", "UTC"), safe=False).cast(pa.timestamp("us"))
    plain = cells.cast(pa.timestamp("us"), safe=False)
    fixed = zone.utcoffset(None)
    if fixed is not None:
        return pc.subtract(plain, pa.scalar(fixed, pa.duration("us")))
    aware = pc.assume_timezone(plain, str(zone), ambiguous="earliest", nonexistent="earliest")
    return aware.cast(pa.timestamp("us", "UTC")).cast(pa.timestamp("us"))


def _split(instants: pa.Array) -> pa.Array:
    micros = instants.cast(pa.int64())
    second = pc.divide(micros, 1_000_000)
    return _struct(second, pc.subtract(micros, pc.multiply(second, 1_000_000)))


def _days(midnights: pa.Array) -> pa.Array:
    second = pc.divide(midnights.cast(pa.int64()), 1_000_000)
    return _struct(second, _whole_days(second))


def _marked(times: pa.Array, texts_: pa.Array) -> pa.Array:
    """Times of texts, those of dates marked as days."""
    is_date = pc.fill_null(pc.match_substring_regex(texts_, _DATE), False)
    return _struct(times.field("second"), pc.if_else(is_date, _whole_days(texts_), times.field("micro")))


def _struct(second: pa.Array, micro: pa.Array) -> pa.Array:
    return pa.StructArray.from_arrays([second.cast(pa.int64()), micro.cast(pa.int32())], ["second", "micro"])


def _whole_days(like: pa.Array) -> pa.Array:
    return pa.repeat(pa.scalar(WHOLE_DAY, pa.int32()), len(like))


def _none(cells: pa.Array) -> pa.Array:
    return pa.repeat(pa.scalar(False), len(cells))


def _decoded(cells: pa.Array) -> Typed:
    """Bytes as UTF-8, and where they are none."""
    try:
        found = cells.cast(pa.string())
        return found, _none(cells)
    except pa.ArrowInvalid:
        values = [None if cell is None else _text(cell) for cell in cells.to_pylist()]
        bad = [cell is not None and value is None for cell, value in zip(cells.to_pylist(), values, strict=True)]
        return pa.array(values, pa.string()), pa.array(bad)


def _text(cell: bytes) -> str | None:
    try:
        return cell.decode("utf-8")
    except UnicodeDecodeError:
        return None
