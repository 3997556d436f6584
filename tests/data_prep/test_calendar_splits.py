"""Days are cut in the data set's time zone; the last two are validation and test."""

import pytest

from data_prep.calendar_splits import calendar_day, calendar_splits
from tests.data_prep.taobao_logs import second


def test_days_of_another_time_zone():
    splits = calendar_splits("2017-05-06", 7, 8 * 3600)
    assert splits == {"train": (second(6), second(11)), "validation": (second(11), second(12)),
                      "test": (second(12), second(13))}
    assert calendar_splits("1970-01-01", 3, 0) == {
        "train": (0, 86_400), "validation": (86_400, 172_800), "test": (172_800, 259_200)}


@pytest.mark.parametrize("text", ["2017-08-02", "20170802", "2017-W31-3", "2017W313", "2017-8-2"])
def test_days_are_written_in_one_way(text):
    assert calendar_day("first_day", text) == "2017-08-02"
    assert calendar_splits(text, 7, 0) == calendar_splits("2017-08-02", 7, 0)


@pytest.mark.parametrize("text", [
    "", "02.08.2017", "2017-02-30", "2017-08", "2017-08-02T10:00", "today", 20170802, None])
def test_what_is_no_day(text):
    with pytest.raises(ValueError, match="test_from must be a date like 2017-05-06, got"):
        calendar_day("test_from", text)


@pytest.mark.parametrize(("first_day", "num_days", "message"), [
    ("2017-5", 7, "first_day must be a date like 2017-05-06, got '2017-5'"),
    ("2017-05-06", 2, r"num_days must be at least 3 \(train, validation, test\), got 2"),
    ("2024-01-01", 9_999_999, "num_days must end before the year 10000, got 9999999 from 2024-01-01"),
    ("9999-12-29", 3, "num_days must end before the year 10000, got 3 from 9999-12-29"),
    ("2024-01-01", 10**12, "num_days must end before the year 10000, got 1000000000000 from 2024-01-01")])
def test_refusals(first_day, num_days, message):
    with pytest.raises(ValueError, match=message):
        calendar_splits(first_day, num_days, 0)
