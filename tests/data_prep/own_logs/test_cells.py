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
