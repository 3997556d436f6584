"""A model carried on day by day: what is left, whatever is killed, and what each part of it means."""

import csv
import os
import shutil
import subprocess
import time

import pytest
import tensorflow as tf

from data_prep.config import PreparationConfig
from data_prep.days.config import LastingIdsConfig
from data_prep.days.prepare_day import PreparedDay
from data_prep.own_logs.mapping import read_mapping
from experiments.daily import __main__ as daily
from experiments.daily import deciding
from experiments.daily.config import DailyConfig
from experiments.daily.series import Series
from experiments.flags import Experiment
from lcn_tf.data.pipeline import DataConfig
from lcn_tf.schema import FIRST_ID
from lcn_tf.training import StrategyConfig
from tests.experiments.daily import daily_logs
from tests.experiments.daily.daily_logs import DAYS, contents, run
from tests.experiments.daily.test_series import under_way

MAPPING = """
user = "user"
time = "at"
events = { files = "events.csv", domain = { column = "kind", target = ["live"] } }
vectors = { author = "authors.npz" }
[impressions]
files = "shown.csv"
label = "stay >= 10"
labels = { liked = "like" }
[features]
user = { user_id = "user", age = { column = "age", boundaries = [18, 30] } }
item = { author = "author" }
"""
BEGUN = {"first_day": DAYS[0], "first_days": 1}


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    return daily_logs.write_logs(tmp_path_factory.mktemp("logs"))


@pytest.fixture(scope="module")
def series(logs, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("series") / "live"
    process = run(logs, workdir, DAYS[-1])
    assert process.returncode == 0, process.stderr
    return workdir, process.stdout


def tables(workdir, day):
    """Name of each table and slot in a day's checkpoint -> values."""
    reader = tf.train.load_checkpoint(str(workdir / "days" / day / "model"))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map() if "author" in name}


def vocabulary(workdir, day):
    path = workdir / "published" / day.replace("-", "") / "assets.extra" / "vocabularies" / "author.txt"
    return {FIRST_ID + place: value for place, value in enumerate(path.read_text().split("\n")[:-1]) if value}


def test_days_are_measured_trained_and_published(series):
    workdir, printed = series
    assert sorted(os.listdir(workdir / "published")) == ["20240103", "20240104"]  # --keep=2
    assert sorted(os.listdir(workdir / "days")) == list(DAYS)
    assert os.listdir(workdir / "days" / DAYS[0]) == ["day.json"]
    assert sorted(os.listdir(workdir / "days" / DAYS[2])) == ["day.json", "history.csv", "model", "records"]
    with open(workdir / "progress.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["day"] for row in rows] == list(DAYS) and rows[0]["auc"] == ""
    assert all(0 < float(row["auc"]) < 1 and float(row["impressions"]) > 300 for row in rows[1:])
    assert all(row["published"] == "yes" for row in rows) and printed.count("verified: ") == 3


def test_no_id_is_served_as_another(series):
    workdir, _ = series
    before, now = (vocabulary(workdir, day) for day in DAYS[1:])
    assert {number for number in before.keys() & now.keys() if before[number] == now[number]}
    gone = set(before.values()) - set(now.values())
    assert gone  # authors of the first day, and their ids are free or of new ones
    assert all(now.get(number) != value for number, value in before.items() if value in gone)
    reused = [number for number, value in before.items() if value in gone]
    new = set(now.values()) - set(before.values())
    assert new and reused


@pytest.fixture
def killed(logs, tmp_path):
    """A series of which the processes were killed in the second day's work, each as soon as another of its files was
    there."""
    workdir = tmp_path / "live"
    day = workdir / "days" / f".{DAYS[1]}"
    for seen in ("measured.json", "checkpoints/checkpoint", "trained.json", "model/checkpoint"):
        with open(tmp_path / "log.txt", "a", encoding="utf-8") as log:
            process = subprocess.Popen(daily_logs.command(logs, workdir, DAYS[-1]), stdout=log, stderr=log)
        while process.poll() is None and not (day / seen).is_file():
            time.sleep(0.02)
        assert process.poll() is None, (tmp_path / "log.txt").read_text()
        process.kill()
        process.wait()
    assert day.is_dir() and not (day / "day.json").is_file()
    process = run(logs, workdir, DAYS[-1])
    assert process.returncode == 0, process.stderr
    return workdir


def test_a_kill_changes_no_byte(series, killed):
    expected, found = contents(series[0]), contents(killed)
    assert expected.keys() == found.keys()
    assert [name for name in expected if expected[name] != found[name]] == []


def test_other_flags_are_refused(logs, series, tmp_path):
    workdir = shutil.copytree(series[0], tmp_path / "live")
    process = run(logs, workdir, "2024-01-05", "--train.learning_rate=0.1", "--keep=7")
    assert process.returncode == 1
    assert "holds a series with other flags (--train.learning_rate: 0.001 before, 0.1 now); choose" in process.stderr
    assert not (workdir / "days" / ".2024-01-05").exists()  # nothing is prepared with them


def of_text(folder, text):
    (folder / "logs.toml").write_text(text, encoding="utf-8")
    return deciding.of_mapping(read_mapping(str(folder / "logs.toml")))


@pytest.mark.parametrize("old, new, message", [
    ('label = "stay >= 10"', 'label = "stay >= 20"', 'label: "stay >= 10" before, "stay >= 20" now'),
    ("liked = ", "loved = ", 'impressions.labels.liked: "like" before, the default now; impressions.labels.loved: the'),
    ("[features]", 'where = ["age > 3"]\n[features]', r'impressions.where: the default before, \["age > 3"\] now'),
    ('"at"', '"at"\ntime_unit = "ms"', 'events.0.time_unit: the default before, "ms" now'),
    ("[18, 30]", "[18, 31]", r"logs.toml: features.user.age.boundaries: \[18.0, 30.0\] before, \[18.0, 31.0\] now: the "
                             "mapping has changed; give it back, or start another series")])
def test_another_mapping_is_named(tmp_path, old, new, message):
    assert old in MAPPING
    before, now = of_text(tmp_path, MAPPING), of_text(tmp_path, MAPPING.replace(old, new))
    with pytest.raises(ValueError, match=message):
        deciding.check_mapping("logs.toml", before, now)


def test_files_and_splits_may_change(tmp_path):
    moved = MAPPING.replace('.csv"', '.tsv"').replace("authors.npz", "elsewhere.npz") + "[splits]\ntest_share = 0.2\n"
    assert of_text(tmp_path, MAPPING) == of_text(tmp_path, moved)


@pytest.fixture
def begun(tmp_path, monkeypatch):
    """A series' folder, and a step of the command on it that ends where a day would be prepared or trained."""
    (tmp_path / "logs.toml").write_text(MAPPING, encoding="utf-8")
    series = Series(str(tmp_path / "live"), LastingIdsConfig())
    series.tidy(keep=1)

    def stop(what):
        def stopped(*_):
            raise InterruptedError(what)
        return stopped

    monkeypatch.setattr(daily, "prepare_day", stop("prepares"))
    monkeypatch.setattr(daily.one_day, "train_day", stop("trains"))

    def step(ids=series.ids, groups=None, **config):
        run_config = DailyConfig(**{"mapping": str(tmp_path / "logs.toml"), "workdir": series.workdir,
                                    "first_day": DAYS[0], "last_day": DAYS[1], **config})
        given = {"strategy": StrategyConfig(), "prep": PreparationConfig(), "data": DataConfig(), **(groups or {})}
        return daily.step(Experiment(run_config, given, {}), Series(series.workdir, ids))

    return series, step


def test_a_day_of_another_mapping_is_not_prepared(begun, tmp_path):
    series, step = begun
    series.settle({**BEGUN, "mapping": of_text(tmp_path, MAPPING)})
    of_text(tmp_path, MAPPING.replace("stay >= 10", "stay >= 9"))
    with pytest.raises(ValueError, match=r'label: "stay >= 10" before, "stay >= 9" now: the mapping has changed'):
        step()
    series.settle(BEGUN)  # by an earlier version, which did not note it
    with pytest.raises(InterruptedError, match="prepares"):
        step()


@pytest.mark.parametrize("other, message", [
    ({"groups": {"prep": PreparationConfig(min_count=8)}}, "--prep.min_count: 1 before, 8 now"),
    ({"groups": {"data": DataConfig(lifelong_length=7)}}, "--data.lifelong_length: 500 before, 7 now"),
    ({"ids": LastingIdsConfig(max_idle_days=1)}, "--ids.max_idle_days: 30 before, 1 now")])
def test_flags_that_records_depend_on_hold_from_the_first_day_on(begun, monkeypatch, other, message):
    series, step = begun
    monkeypatch.setattr(daily, "_prepare", lambda *_: None)
    monkeypatch.setattr(daily.own_logs, "of_records", lambda *_: {})
    monkeypatch.setattr(PreparedDay, "settled", lambda _: {})
    assert step() and series.settled
    with pytest.raises(ValueError, match=rf"holds a series with other flags \({message}\); choose another --workdir"):
        step(**other)
    assert not os.path.exists(os.path.join(series.workdir, "flags.cfg"))
    monkeypatch.setattr(daily, "is_prepared", lambda _: True)
    with pytest.raises(InterruptedError, match="trains"):
        step(groups={"prep": PreparationConfig(workers=3)})  # which changes no record


@pytest.mark.parametrize("other", [
    {"first_days": 2}, {"first_day": DAYS[1]}, {"groups": {"prep": PreparationConfig(min_count=8)}},
    {"ids": LastingIdsConfig(rows=9)}])
def test_what_a_kill_left_of_another_beginning_is_prepared_anew(begun, other):
    series, step = begun
    days = os.path.join(series.workdir, "days")
    halves = [os.path.join(days, f".{DAYS[0]}", ".records.partial"), os.path.join(days, f".{DAYS[1]}", "records")]
    with pytest.raises(InterruptedError):
        step()
    os.makedirs(halves[0])
    with pytest.raises(InterruptedError):
        step()
    assert os.path.isdir(halves[0])  # the same command goes on
    os.makedirs(os.path.join(days, f".{DAYS[0]}", "records"))
    os.makedirs(halves[1])
    with pytest.raises(InterruptedError, match="prepares"):
        step(**other)
    assert not any(map(os.path.exists, (*halves, os.path.join(days, f".{DAYS[0]}", "records"))))


def test_a_finished_series_is_not_shown_as_one_of_other_flags(begun):
    series, step = begun
    series.settle(BEGUN)
    with pytest.raises(InterruptedError):
        step()  # writes flags.cfg
    for day in DAYS[:2]:
        under_way(series, day)
    series.tidy(keep=1)
    assert not step() and not step(min_auc=0.9)
    with pytest.raises(ValueError, match=r"other flags \(--prep.min_count: 1 before, 8 now\); choose another"):
        step(groups={"prep": PreparationConfig(min_count=8)})


def test_a_first_command_can_be_put_right_until_something_is_trained(begun):
    series, step = begun
    usual = Experiment(None, {"prep": PreparationConfig(), "data": DataConfig()}, {})
    series.settle({**BEGUN, "flags": deciding.of_flags(usual, series.ids)})
    mistaken = {"groups": {"strategy": StrategyConfig("mirrored")}}
    for given in ({}, mistaken, {}):
        with pytest.raises(InterruptedError):
            step(**given)
    checkpoint = tf.train.Checkpoint(value=tf.Variable(1.0))
    checkpoint.save(os.path.join(series.folder(DAYS[0]), "checkpoints", "model"))
    with pytest.raises(ValueError, match=r"other flags \(--strategy.name: default before, mirrored now\); choose"):
        step(**mistaken)
    with pytest.raises(InterruptedError):
        step()
