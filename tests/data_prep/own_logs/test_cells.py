"""Cells of every kind: what is read, what is missing, what is refused."""

import datetime
import decimal
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest

from data_prep.own_logs import cells

BERLIN, AHEAD = ZoneInfo("Europe/Berlin"), datetime.timezone(datetime.timedelta(hours=8))
NEW_YEAR = 1_704_067_200  # 2024-01-01, UTC


def both(typed):
    values, bad = typed
    assert len(values) == len(bad) and bad.null_count == 0
    return values.to_pylist(), bad.to_pylist()


def test_texts():
    assert both(cells.texts(pa.array([b" a ", b"", b"NULL", None, b"\xff", "ä".encode()]))) == (
        ["a", None, None, None, None, "ä"], [False] * 4 + [True, False])
    assert both(cells.texts(pa.array([7.0, 7.5, None, float("nan")])))[0] == ["7", "7.5", None, None]
    assert both(cells.texts(pa.array([True, None])))[0] == ["1", None]
    assert both(cells.texts(pa.array(["x", "y", "x"]).dictionary_encode()))[0] == ["x", "y", "x"]
    assert both(cells.texts(pa.array([2**63 - 1], pa.uint64())))[0] == [str(2**63 - 1)]


def test_ids_and_flags():
    assert both(cells.ids(pa.array([b"7.0", b"7", b"7.50", b"v1.0", b"a\nb"])))[0] == ["7", "7", "7.50", "v1.0", "a b"]
    assert both(cells.ids(pa.array([decimal.Decimal("10.00")])))[0] == ["10"]
    assert both(cells.flags(pa.array([b"1", b"true", b"False", b"0.0", b"", b"2"]))) == (
        [1, 1, 0, 0, None, None], [False] * 5 + [True])


@pytest.mark.parametrize("kind, last", [(pa.float64(), 2.0**53), (pa.float32(), 2.0**24)])
def test_floats_that_do_not_tell_neighbours_apart_are_no_ids(kind, last):
    array = pa.array([last - 1, last, -last, 0.5, None, float("inf")], pa.float64()).cast(kind)
    for parse in (cells.texts, cells.ids):
        values, bad = both(parse(array))
        assert values[0] == str(int(last) - 1) and bad == [False, True, True, False, False, False]


def test_ids_that_a_spreadsheet_has_rounded_are_none():
    rounded = [b"1.38297E+18", b"1.38297e+18", b"-1.3829718392812938E18", b"1E+12", b"1.2345678E7"]
    assert both(cells.ids(pa.array(rounded)))[1] == [True] * len(rounded)
    others = [b"5e10", b"12E4", b"1382971839281293825", b"1.5E-3", b"v1.2E+3", None]
    assert both(cells.ids(pa.array(others)))[1] == [False] * len(others)
    assert not any(both(cells.texts(pa.array(rounded)))[1])  # texts are what they are


def test_words_are_those_of_text_files():
    assert both(cells.words(pa.array([True, False, None])))[0] == ["true", "false", None]
    assert both(cells.words(pa.array([b"True", b""])))[0] == ["True", None]


def test_bytes_of_one_length_are_texts_or_none():
    assert both(cells.texts(pa.array([b"cat1", b"\xff\xfe\x00\x01", None], pa.binary(4)))) == (
        ["cat1", None, None], [False, True, False])


@pytest.mark.parametrize("array", [
    pa.array([2**53 + 1, 2**53, 2**53 + 2, None]), pa.array([b"9007199254740993.0", b"9007199254740992", b"-1e3", b""]),
    pa.array([2**53 + 1, 5, 2**64 - 1, None], pa.uint64()), pa.array([2**53 + 1, 1, 0, None], pa.decimal128(20, 0))])
def test_numbers_that_meet_a_condition_exactly(array):
    values, bad = both(cells.meets(lambda number: number == 2**53 + 1)(array))
    assert values == [True, False, False, None] and bad == [False] * 4


def test_what_meets_no_condition():
    parse = cells.meets(lambda number: number > 2**53)
    assert both(parse(pa.array([b"x", b"1e30", b"1."]))) == ([None, True, False], [True, False, False])
    assert both(parse(pa.array([1e300, float("nan"), float("inf")]))) == ([True, None, None], [False, False, True])
    assert both(parse(pa.array([True])))[0] == [False]


def test_integers():
    values, bad = both(cells.integers(pa.array(
        [b"7", b"+07", b"7.0", b"-3", b"", b"x", b"1.5", b"9223372036854775807", b"9223372036854775808", b"1e3"])))
    assert values == [7, 7, 7, -3, None, None, None, 2**63 - 1, None, None]
    assert bad == [False] * 5 + [True, True, False, True, True]
    assert both(cells.integers(pa.array([1, 2**64 - 1], pa.uint64()))) == ([1, None], [False, True])
    assert both(cells.integers(pa.array([4.0, 4.5, None]))) == ([4, None, None], [False, True, False])


def test_numbers():
    values, bad = both(cells.numbers(pa.array([b"7", b"-.5", b"1e3", b"", b"nan", b"1e999", b"1.2.3", b"0x1", b"1_0"])))
    assert values[:4] == [7.0, -0.5, 1_000.0, None] and bad == [False] * 4 + [True] * 5
    assert both(cells.numbers(pa.array([1.5, float("nan"), float("inf")]))) == (
        [1.5, None, float("inf")], [False, False, True])


@pytest.mark.parametrize("kind", ["float16", "float32", "float64", "decimal"])
def test_numbers_of_any_width_are_those_that_a_text_file_gives(kind):
    written = ["0.7", "0.1", "2.5", "-1.3", "40", "0.29"]
    array = pa.array([*map(decimal.Decimal, written), None], pa.decimal128(10, 2)) if kind == "decimal" else (
        pa.array(np.array([*written, "nan"], kind)))
    expected = both(cells.numbers(pa.array([text.encode() for text in [*written, ""]])))
    assert both(cells.numbers(array)) == expected == ([0.7, 0.1, 2.5, -1.3, 40.0, 0.29, None], [False] * 7)
    assert both(cells.meets(lambda number: number >= decimal.Decimal("0.7"))(array)) == (
        [True, False, True, False, True, False, None], [False] * 7)
    whole = pa.array([decimal.Decimal(7), None], pa.decimal128(10, 0)) if kind == "decimal" else (
        pa.array(np.array(["7", "nan"], kind)))
    assert both(cells.ids(whole)) == (["7", None], [False] * 2)


@pytest.mark.parametrize("unit, zone, array, second, micro", [
    ("s", AHEAD, pa.array([NEW_YEAR]), NEW_YEAR, 0),
    (None, AHEAD, pa.array([str(NEW_YEAR).encode()]), NEW_YEAR, 0),
    (None, AHEAD, pa.array([f"{NEW_YEAR}.25".encode()]), NEW_YEAR, 250_000),
    ("ms", AHEAD, pa.array([NEW_YEAR * 1_000 + 17]), NEW_YEAR, 17_000),
    ("us", AHEAD, pa.array([str(NEW_YEAR * 10**6 + 17).encode()]), NEW_YEAR, 17),
    ("ns", AHEAD, pa.array([NEW_YEAR * 10**9 + 17_999]), NEW_YEAR, 17),
    (None, AHEAD, pa.array([NEW_YEAR + 0.5]), NEW_YEAR, 500_000),
    (None, AHEAD, pa.array([b"2024-01-01 08:00:00"]), NEW_YEAR, 0),
    (None, AHEAD, pa.array([b"2024-01-01T00:00:00.5Z"]), NEW_YEAR, 500_000),
    (None, AHEAD, pa.array(["2024-01-01 02:00:00+02:00"]), NEW_YEAR, 0),
    ("text", AHEAD, pa.array([b"20240101T080000"]), NEW_YEAR, 0),
    ("text", BERLIN, pa.array([b"2024-01-01 01:00"]), NEW_YEAR, 0),
    ("text", BERLIN, pa.array([b"2024-07-01 02:00"]), NEW_YEAR + 182 * 86_400, 0),
    ("day", AHEAD, pa.array([b"2024-01-01"]), NEW_YEAR, -1),
    ("day", AHEAD, pa.array([b"20240101"]), NEW_YEAR, -1),
    ("day", AHEAD, pa.array([20240101]), NEW_YEAR, -1),
    ("day", BERLIN, pa.array([b"2024-07-01T23:00:00"]), NEW_YEAR + 182 * 86_400, -1),
    ("day", AHEAD, pa.array([3]), 3 * 86_400, -1),
    (None, BERLIN, pa.array([b"2024-07-01"]), NEW_YEAR + 182 * 86_400, -1),
    (None, AHEAD, pa.array([NEW_YEAR * 10**6], pa.timestamp("us", "UTC")), NEW_YEAR, 0),
    (None, AHEAD, pa.array([(NEW_YEAR + 8 * 3_600) * 1_000], pa.timestamp("ms")), NEW_YEAR, 0),
    (None, BERLIN, pa.array([(NEW_YEAR + 3_600) * 10**9], pa.timestamp("ns")), NEW_YEAR, 0),
    (None, AHEAD, pa.array([NEW_YEAR // 86_400], pa.date32()), NEW_YEAR, -1),
])
def test_times(unit, zone, array, second, micro):
    assert both(cells.seconds(unit, zone)(array)) == ([{"second": second, "micro": micro}], [False])


def test_whole_times_are_exact_beside_those_with_decimals():
    exact = 1_704_067_200_123_456_999
    values, bad = both(cells.seconds("ns", AHEAD)(pa.array([str(exact).encode(), b"1500000000.5", b"x"])))
    assert values[0] == {"second": NEW_YEAR, "micro": 123_456} and bad == [False, False, True]
    assert values[1] == {"second": 1, "micro": 500_000}


def test_times_that_are_none():
    parse = cells.seconds(None, datetime.UTC)
    values, bad = both(parse(pa.array([b"5", b"soon", b"2024-02-30", b"2024-01-01", b"", b"-5", b"1e9",
                                       b"9999-12-31T23:59:59-05:00", b"2024-01-01 00:00:01"])))
    assert bad == [False, True, True, False, True, False, True, True, False]
    assert [value["micro"] for value in values][3] == -1 and values[8] == {"second": NEW_YEAR + 1, "micro": 0}
    assert [values[index]["second"] for index in (0, 3, 5)] == [5, NEW_YEAR, -5]
    assert both(cells.seconds("ms", datetime.UTC)(pa.array([b"2024-01-01", None])))[1] == [True, True]


def test_a_cell_with_several_values():
    genres = pa.array([b"Horror|Sci-Fi", b"Sci-Fi|Drama", b"Sci-Fi", b"| Sci-Fi |x", b"", None])
    assert both(cells.value_of("|", ["Sci-Fi"], 1)(genres))[0] == ["Horror", "Drama", None, "x", None, None]
    assert both(cells.value_of("|", [], 2)(genres))[0] == ["Sci-Fi", "Drama", None, "x", None, None]
    assert both(cells.domain_of("|", ["Drama"], [])(genres))[0] == ["source", "target", *["source"] * 2, None, None]
    assert both(cells.domain_of("|", ["Drama"], ["x", "Horror"])(genres))[0] == [
        "source", "target", None, "source", None, None]


@pytest.mark.parametrize("texts, known", [
    (["0", "-7", None, "12"], True), (["07"], False), (["7.0"], False), (["-0"], False), (["a", "1"], False),
    ([None], True), ([], True), (["1" * 19], False)])
def test_written_as_integers(texts, known):
    assert cells.written_as_integers(pa.array(texts, pa.string())) == known


def test_large_batches_are_read_as_small_ones():
    rng = np.random.default_rng(1)
    moments = rng.integers(0, 2 * 10**9, 5_000)
    written = [f"{moment}".encode() if moment % 3 else datetime.datetime.fromtimestamp(
        int(moment), datetime.UTC).isoformat().encode() for moment in moments]
    values, bad = cells.seconds(None, AHEAD)(pa.array(written))
    assert not any(bad.to_pylist()) and values.field("second").to_pylist() == moments.tolist()
