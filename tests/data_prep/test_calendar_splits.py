"""Days are cut in the data set's time zone; the last two are validation and test."""

import pytest

from data_prep.calendar_splits import calendar_splits
from tests.data_prep.taobao_logs import second


def test_days_of_another_time_zone():
    splits = calendar_splits("2017-05-06", 7, 8 * 3600)
    assert splits == {"train": (second(6), second(11)), "validation": (second(11), second(12)),
                      "test": (second(12), second(13))}
    assert calendar_splits("1970-01-01", 3, 0) == {
        "train": (0, 86_400), "validation": (86_400, 172_800), "test": (172_800, 259_200)}


@pytest.mark.parametrize(("first_day", "num_days", "message"), [
    ("2017-5", 7, "first_day must be a date like 2017-05-06, got '2017-5'"),
    ("2017-05-06", 2, r"num_days must be at least 3 \(train, validation, test\), got 2")])
def test_refusals(first_day, num_days, message):
    with pytest.raises(ValueError, match=message):
        calendar_splits(first_day, num_days, 0)
