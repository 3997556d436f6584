"""The folder of a series: which day is next, what may be published, what a kill left undone."""

import dataclasses
import os

import pytest

from data_prep.days.config import LastingIdsConfig
from experiments.daily import progress
from experiments.daily.config import DailyConfig
from experiments.daily.one_day import objections
from experiments.daily.series import Series
from lcn_tf.training import results

CONFIG = DailyConfig(workdir="live", first_day="20240102", first_days=3, last_day="2024-01-06", keep=2)
IDS = {"host": {"known": 5, "admitted": 2, "evicted": 1, "waiting": 0, "rows": 9},
       "topic": {"known": 2, "admitted": 0, "evicted": 0, "waiting": 0, "rows": 9}}
METRICS = {"auc": 0.71, "gauc": None, "logloss": 0.4, "calibration_ratio": 1.1, "impressions": 50.0, "click_rate": 0.1}


@pytest.fixture
def series(tmp_path):
    found = Series(str(tmp_path / "live"), LastingIdsConfig())
    found.tidy(CONFIG.keep)
    return found


def under_way(series, day, refused=(), measured=None):
    """A day that has come as far as its outcome."""
    folder = series.folder(day)
    export = os.path.join(series.export_dir(day), day.replace("-", ""))
    for name in (export, os.path.join(folder, "records"), os.path.join(folder, "checkpoints")):
        os.makedirs(name)
    results.write_json(os.path.join(folder, "day.json"), {"measured": measured, "ids": IDS, "refused": list(refused)})


def test_days_follow_each_other(series):
    first = series.next_day(CONFIG)
    assert (first.day, first.days, first.is_first) == ("2024-01-04", 3, True)
    series.settle({"first_day": "2024-01-02", "first_days": 3, "utc_offset": 3_600, "boundaries": {"price": [1.5]}})
    under_way(series, "2024-01-04")
    series.tidy(CONFIG.keep)
    later = series.next_day(dataclasses.replace(CONFIG, first_day=None, first_days=1))
    assert (later.day, later.days, later.is_first) == ("2024-01-05", 1, False)
    assert (later.utc_offset, later.boundaries) == (3_600, {"price": (1.5,)})
    assert series.next_day(dataclasses.replace(CONFIG, last_day="2024-01-04")) is None


@pytest.mark.parametrize("changed, message", [
    ({"first_days": 2}, "began with 3 days on 2024-01-02, not with 2 on 2024-01-02"),
    ({"first_day": "2024-01-03"}, "began with 3 days on 2024-01-02, not with 3 on 2024-01-03")])
def test_another_beginning_is_refused(series, changed, message):
    series.settle({"first_day": "2024-01-02", "first_days": 3})
    with pytest.raises(ValueError, match=message):
        series.next_day(dataclasses.replace(CONFIG, **changed))


def test_a_new_series_needs_first_days(series):
    with pytest.raises(ValueError, match="--first_day is missing"):
        series.next_day(dataclasses.replace(CONFIG, first_day=None))
    with pytest.raises(ValueError, match="the first 3 days end on 2024-01-04, after --last_day=2024-01-03"):
        series.next_day(dataclasses.replace(CONFIG, last_day="2024-01-03"))


def test_what_a_kill_left_undone_is_done_later(series):
    under_way(series, "2024-01-04")
    series.tidy(keep=2)
    assert sorted(os.listdir(series.folder("2024-01-04"))) == ["day.json", "records"]
    assert os.listdir(os.path.join(series.workdir, "published")) == ["20240104"]
    for day in ("2024-01-05", "2024-01-06", "2024-01-07"):
        under_way(series, day, refused=["AUC"] if day == "2024-01-06" else [])
    os.makedirs(os.path.join(series.workdir, ".leaving", "half"))
    series.tidy(keep=2)
    series.tidy(keep=2)
    assert sorted(os.listdir(os.path.join(series.workdir, "published"))) == ["20240105", "20240107"]
    assert os.listdir(series.folder("2024-01-04")) == os.listdir(series.folder("2024-01-05")) == ["day.json"]
    assert os.listdir(series.export_dir("2024-01-06")) == ["20240106"]  # to look at, and never served
    assert series.done == ["2024-01-04", "2024-01-05", "2024-01-06", "2024-01-07"]


@pytest.mark.parametrize("config, measured, expected", [
    ({}, METRICS, []), ({}, None, []), ({"min_auc": 0.7, "calibration": (0.9, 1.2)}, METRICS, []),
    ({"min_auc": 0.72}, METRICS, ["AUC 0.7100 is below --min_auc=0.72"]),
    ({"min_auc": 0.5}, METRICS | {"auc": None}, ["AUC undefined is below --min_auc=0.5"]),
    ({"calibration": (0.9, 1.05)}, METRICS,
     ["predicted clicks over clicks 1.1000 is not within --calibration=0.9,1.05"]),
    ({"min_auc": 0.6}, None, ["nothing is measured on the first day"])])
def test_floors(config, measured, expected):
    assert objections(dataclasses.replace(CONFIG, **config), measured) == expected


@pytest.mark.parametrize("values, message", [
    ({"workdir": None}, "--workdir is missing"), ({"last_day": None}, "--last_day is missing"),
    ({"last_day": "2024-13-01"}, "last_day must be a date"), ({"last_day": "2024-01-01"}, "must not be before"),
    ({"keep": 0}, "keep must be at least 1"), ({"min_auc": 1.5}, "min_auc must be from 0 to 1"),
    ({"calibration": (1.2, 0.8)}, "calibration must be two rising numbers")])
def test_settings_outside_their_range_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(CONFIG, **values)


def test_the_table_and_the_figures(series):
    under_way(series, "2024-01-04", refused=["nothing is measured on the first day"])
    under_way(series, "2024-01-05", measured=METRICS)
    series.tidy(keep=2)
    progress.write(series)
    table = progress.table(series).splitlines()
    assert table[1].split() == ["2024-01-04", "2", "1", "0", "no:", "nothing", "is", "measured", "on", "the", "first",
                                "day"]
    assert "0.7100" in table[2] and table[2].endswith("20240105")
    with open(os.path.join(series.workdir, "progress.csv"), encoding="utf-8") as file:
        assert file.read().splitlines()[1:] == ["2024-01-04,,,,,,,no", "2024-01-05,50.0,0.1,0.71,,0.4,1.1,yes"]
    assert os.path.getsize(os.path.join(series.workdir, "progress.png")) > 1_000
