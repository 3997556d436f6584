"""What is printed and plotted."""

import dataclasses

import matplotlib.image
import numpy as np
import pytest
from matplotlib import _pylab_helpers

from data_prep.inspect.plots import write_plots
from data_prep.inspect.report import disagreements, format_report
from data_prep.inspect.split_statistics import LengthCounts, SplitStatistics
from tests.synthetic import HISTORIES

FIRST_DAY = 17_292  # 2017-05-06
SPLIT = SplitStatistics(
    groups=1_000, impressions=2_500, positives={"click": 50}, users=300, bytes=1_234_567,
    days={FIRST_DAY: (2_500, 50)},
    lengths={history: LengthCounts(np.array([1_000, 0, 500, 1_000])) for history in HISTORIES},
    known={"impressions": {"user_id": 0.5, "cate": 1.0}, "short_target": {"cate": 0.25, "btag": 1.0}})


def over_days(days, clicks=0):
    return dataclasses.replace(SPLIT, days={FIRST_DAY + day: (10, clicks) for day in days})


def lines(text):
    return [line.split() for line in text.split("\n")]


def test_every_section():
    statistics = {"train": SPLIT, "validation": SPLIT, "test": dataclasses.replace(SPLIT, users=7)}
    text = lines(format_report(statistics, "UTC+8"))
    assert ["train", "1,000", "2,500", "50", "2.00%", "300", "1,234,567", "494"] in text
    assert ["test", "1,000", "2,500", "50", "2.00%", "7", "1,234,567", "494"] in text
    assert ["click", "rate", "(UTC+8)"] in text and ["2017-05-06", "test", "2,500", "50", "2.00%"] in text
    assert ["lifelong_source", "train", "1.6", "40.0%", "0", "0", "2", "3", "3", "3"] in text
    assert ["feature", "impressions", "short_target"] in text
    assert ["user_id", "50.00%"] in text and ["cate", "100.00%", "25.00%"] in text and ["btag", "100.00%"] in text


@pytest.mark.parametrize(("days", "unit", "periods"), [
    (31, "day", ["2017-05-06", "2017-05-07", "2017-05-08"]), (40, "month", ["2017-05", "2017-06"]),
    (4_000, "year", ["2017", "2018", "2019"])])
def test_long_spans_are_listed_by_month_or_year(days, unit, periods):
    statistics = {"train": over_days(range(days - 2)), "validation": over_days([days - 2], 5),
                  "test": over_days([days - 1], 10)}
    text = lines(format_report(statistics, "UTC"))
    start = text.index([unit, "split", "impressions", "clicks", "click", "rate"])
    assert [line[0] for line in text[start + 1:start + 1 + len(periods)]] == periods
    end = text.index([], start)
    assert sum(int(line[2].replace(",", "")) for line in text[start + 1:end]) == 10 * days
    assert text[end - 1][1:] == ["test", "10", "10", "100.00%"] and text[end - 2][4] == "50.00%"


def test_disagreements_with_the_accounting_are_listed():
    facts = {"splits": {"train": {"groups": 1_000, "impressions": 2_501, "click_rate": 0.02}, "test": {"users": 299}}}
    assert disagreements({"train": SPLIT, "validation": SPLIT, "test": SPLIT}, facts) == [
        "preparation.json: train has 2,501 impressions, the records hold 2,500",
        "preparation.json: test has 299 users, the records hold 300"]
    assert disagreements({"train": SPLIT}, {}) == []


def test_plots_are_images_without_global_state(tmp_path):
    statistics = {"train": over_days(range(5), 3), "validation": over_days([5]), "test": over_days([6], 10)}
    before = len(_pylab_helpers.Gcf.figs)
    paths = write_plots(statistics, "UTC+8", str(tmp_path))
    assert len(_pylab_helpers.Gcf.figs) == before
    assert sorted(paths) == sorted(str(path) for path in tmp_path.iterdir()) and len(paths) == 4
    for path in paths:
        pixels = matplotlib.image.imread(path)
        assert len(np.unique(pixels.reshape(-1, pixels.shape[-1]), axis=0)) > 20
    assert write_plots(statistics, "UTC", str(tmp_path)) == paths


def test_a_split_of_records_without_candidates(tmp_path):
    """Foreign records may hold such."""
    nothing = LengthCounts(np.zeros(3, np.int64))
    empty = SplitStatistics(3, 0, {"click": 0}, 1, 10, {}, dict.fromkeys(HISTORIES, nothing), {})
    statistics = dict.fromkeys(("train", "validation", "test"), empty)
    assert ["train", "3", "0", "0", "0.00%", "1", "10", "10"] in lines(format_report(statistics, "UTC"))
    assert len(write_plots(statistics, "UTC", str(tmp_path))) == 4
