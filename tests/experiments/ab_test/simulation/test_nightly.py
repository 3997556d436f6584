"""What models that go on learning read."""

import collections
import csv
import os

import numpy as np
import pytest

from experiments.ab_test.outcomes import SPLIT, SPLIT_OWN
from experiments.ab_test.simulation import logs, nightly, traffic
from experiments.ab_test.simulation.nightly import NightlyModels
from tests.experiments.ab_test.small_sites import DAYS, PRE_DAYS, served, small_site


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    site, before = small_site()
    folder = tmp_path_factory.mktemp("nightly")
    logs.write_before(site, before, str(folder / "logs"))
    arm_of_user = traffic.arms_of_users(SPLIT, site.config.users, ["a", "b"], None, "salt")
    cfgs = {"a": "sim.cfg", "b": "lcn_200_50.cfg"}
    models = NightlyModels(str(folder / "series"), site, cfgs, str(folder / "logs"), 1, ())
    return site, served(site, before), arm_of_user, models


def rows_of(folder, kind, name):
    with open(os.path.join(folder, kind, name), newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("kind", ["impressions", "events"])
def test_on_its_own_data_a_model_reads_the_test_of_its_arms_users_alone(night, kind):
    site, places, arm_of_user, models = night
    last = PRE_DAYS + DAYS
    shared = [models.write_logs(SPLIT, arm, last, places, arm_of_user == place) for place, arm in enumerate("ab")]
    own = [models.write_logs(SPLIT_OWN, arm, last, places, arm_of_user == place) for place, arm in enumerate("ab")]
    assert shared[0] == shared[1] and len({*shared, *own}) == 3
    assert sorted(os.listdir(os.path.join(own[0], kind))) == ["before.csv", "day_0004.csv", "day_0005.csv"]
    for day in range(PRE_DAYS, last):
        name = f"day_{day:04d}.csv"
        together, *apart = (rows_of(folder, kind, name) for folder in (shared[0], *own))
        for place, rows in enumerate(apart):
            assert rows and {arm_of_user[int(row["user"]) - 1] for row in rows} == {place}
        assert collections.Counter(map(str, together)) == collections.Counter(map(str, apart[0] + apart[1]))
        moments = [int(row["timestamp"]) for row in together]
        assert site.first_second(day) <= min(moments) and max(moments) < site.first_second(day + 1)
    # Of the days before the test they read everybody's.
    assert {arm_of_user[int(row["user"]) - 1] for row in rows_of(own[0], kind, "before.csv")} == {0, 1}


def test_the_days_logs_are_what_was_shown(night):
    site, places, arm_of_user, models = night
    folder = models.write_logs(SPLIT, "a", PRE_DAYS + 1, places, np.ones(len(arm_of_user), bool))
    rows = rows_of(folder, "impressions", f"day_{PRE_DAYS:04d}.csv")
    requests = np.flatnonzero(site.requests.day == PRE_DAYS)
    clicked = site.requests.clicked(places[requests], requests)
    assert len(rows) == places[requests].size
    assert sum(int(row["clicked"]) for row in rows) == clicked.sum() > 0
    rooms = site.world.room[np.take_along_axis(site.requests.room[requests], places[requests], 1)]
    assert [int(row["room_id"]) for row in rows] == rooms.ravel().tolist()


@pytest.mark.parametrize(("names", "population"), [(("sim", "logs", "series"), SPLIT), (("x", "x_logs"), SPLIT_OWN)])
def test_no_arm_has_a_folder_of_another_or_of_logs(night, tmp_path, monkeypatch, names, population):
    """Every series of the test goes on with that of the days before it."""
    site, places, arm_of_user, models = night
    went_on = {}

    def train(command, workdir):
        flags = dict(flag[2:].split("=", 1) for flag in command if "=" in flag)
        published = os.path.join(workdir, "published")
        assert not set(os.listdir(flags["input_dir"])) & set(names)
        went_on[os.path.relpath(workdir, tmp_path), flags["last_day"]] = os.path.isdir(published)
        os.makedirs(os.path.join(published, flags["last_day"].replace("-", "")))

    monkeypatch.setattr(nightly, "run", train)
    models = NightlyModels(str(tmp_path), site, dict.fromkeys(names, "sim.cfg"), models.logs_before, 1, ())
    for day in (PRE_DAYS, PRE_DAYS + 1, PRE_DAYS + 2):
        for name in names:
            models.version(population, name, day, places, arm_of_user == 0)
    assert list(went_on.values()) == [False] * len(names) + [True] * 2 * len(names)
