"""The command: from nothing, killed and started again, and with settings that make no sense."""

import os
import subprocess
import sys
import time

import pandas as pd
import pytest

from experiments.ab_test import honesty
from experiments.ab_test.outcomes import OUTCOME_COLUMNS
from experiments.ab_test.replications import Settings
from experiments.ab_test.run import run
from experiments.ab_test.settings import ABTestConfig
from experiments.ab_test.settled import settle
from experiments.ab_test.simulation import trained_arms
from experiments.ab_test.simulation.config import WorldConfig

ARMS, DAYS, SEED = ("random=random", "popular=popularity", "best=oracle"), 40, 3
WORLD = WorldConfig("tiny", 1_500, 4, 12, 4)


def config(folder, **settings):
    return ABTestConfig(**{"arms": ARMS, "days": DAYS, "seed": SEED, "output_dir": str(folder), **settings})


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of a test that nobody stopped."""
    folder = tmp_path_factory.mktemp("whole") / "ab"
    run(config(folder), WORLD, (), "the command")
    return folder


def test_killed_and_started_again_it_writes_the_same(whole, tmp_path):
    folder = tmp_path / "ab"
    command = [sys.executable, "-m", "experiments.ab_test", f"--output_dir={folder}", f"--arms={','.join(ARMS)}",
               f"--days={DAYS}", f"--seed={SEED}", "--preset=tiny", "--num_users=1500", "--pre_days=4",
               "--candidates=12", "--shown=4"]
    killed = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    while killed.poll() is None and not (folder / "days" / "all_random" / "0005.npy").exists():
        time.sleep(0.002)
    assert killed.poll() is None, killed.stdout.read()
    killed.kill()
    killed.communicate()
    assert not (folder / "outcomes.parquet").exists()
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    todo = int(again.stdout.split(" days of 4 populations to serve")[0].split()[-1])
    assert 0 < todo < 4 * DAYS - 1
    for name in ("outcomes.parquet", "report.png", "report.json"):
        assert (folder / name).read_bytes() == (whole / name).read_bytes()
    words = " ".join(["python -m experiments.ab_test", *command[3:]])
    assert (folder / "report.md").read_text().replace(words, "the command") == (whole / "report.md").read_text()


def test_outcomes_are_those_of_every_user_and_day(whole):
    outcomes = pd.read_parquet(whole / "outcomes.parquet")
    assert list(outcomes.columns) == list(OUTCOME_COLUMNS)
    assert set(outcomes.population) == {"split", "all:random", "all:popular", "all:best"}
    assert (outcomes.groupby("population").size() == WORLD.users * DAYS).all()
    assert (outcomes.impressions == 4 * outcomes.requests).all() and (outcomes.clicks <= outcomes.impressions).all()
    assert ((outcomes.stay_seconds > 0) == (outcomes.clicks > 0)).all()
    before = outcomes.groupby("user")[["before_impressions", "before_clicks", "before_stay_seconds"]]
    assert (before.nunique() == 1).all().all()
    # Where arms do not depend on others, a user does in the traffic what the user does where that arm serves all.
    split = outcomes[outcomes.population == "split"]
    alone = outcomes[outcomes.population == "all:" + outcomes.arm].merge(split[["user", "day", "arm"]])
    names = ["user", "day", "clicks", "stay_seconds"]
    for arm, same in (("random", True), ("best", True), ("popular", False)):
        one, other = (table[table.arm == arm][names].reset_index(drop=True) for table in (split, alone))
        assert one.equals(other) == same
    rates = outcomes.groupby("population")[["clicks", "impressions"]].sum()
    rates = rates.clicks / rates.impressions
    assert rates["all:best"] > 1.3 * rates["all:popular"] > 1.3 * rates["all:random"]


def test_a_folder_holds_one_test(whole):
    with pytest.raises(ValueError, match=r"holds a test with other settings \(seed: 3 -> 4\)"):
        run(config(whole, seed=4), WORLD, (), "")


@pytest.mark.parametrize(("arm", "flags", "error", "message"), [
    ("b=simm.cfg", (), FileNotFoundError, "simm.cfg: no such file, and not one of experiments/configs"),
    ("b=sim.cfg", ("--train.epochz=1",), ValueError, r"sim.cfg with the flags \[--train.epochz=1\]: Unknown .*epochz"),
    ("b=sim.cfg", ("--train.epochs=-1",), ValueError, "epochs"),
    ("b=sim.cfg", ("other",), ValueError, r"unexpected arguments \['other'\]")])
@pytest.mark.parametrize("training", ["frozen", "nightly"])
def test_a_wrong_flag_is_told_before_anything_is_written(tmp_path, arm, flags, error, message, training):
    with pytest.raises(error, match=message):
        run(config(tmp_path, arms=("a=random", arm), training=training), WORLD, flags, "")
    assert os.listdir(tmp_path) == ["run.lock"]


@pytest.mark.parametrize("training", ["frozen", "nightly"])
def test_what_a_flag_file_includes_is_part_of_the_settings(tmp_path, training):
    """Until there is more in the folder than the settings, others take their place."""
    (tmp_path / "inner.cfg").write_text("--train.epochs=1\n")
    (tmp_path / "outer.cfg").write_text("--flagfile=sim.cfg\n--flagfile=inner.cfg\n")
    folder = tmp_path / "ab"
    folder.mkdir()
    one = config(folder, arms=("a=random", f"b={tmp_path / 'outer.cfg'}"), training=training)
    settle(config(folder), WORLD, ())
    settle(one, WORLD, ())
    (folder / "logs").mkdir()
    (tmp_path / "inner.cfg").write_text("# the same\n--train.epochs=1\n")
    settle(one, WORLD, ())
    (tmp_path / "inner.cfg").write_text("--train.epochs=2\n")
    with pytest.raises(ValueError, match=r"other settings \(content of .*outer.cfg: \w{16} -> \w{16}\)"):
        settle(one, WORLD, ())


def test_an_export_of_a_run_that_is_not_finished_is_no_model(tmp_path, monkeypatch):
    def train(cfg, logs, data_dir, workdir, *_):
        raise ValueError(f"{workdir} is trained")

    monkeypatch.setattr(trained_arms, "train", train)
    workdir, test = tmp_path / "models" / "b", config(tmp_path, arms=("a=random", "b=sim.cfg"))
    settle(test, WORLD, ())
    (workdir / "saved_model" / "1").mkdir(parents=True)
    with pytest.raises(ValueError, match="models/b is trained"):
        run(test, WORLD, (), "")
    (workdir / "metrics.json").write_text('{"metrics": {}, "saved_model": "models/b/saved_model/2"}')
    with pytest.raises(ValueError, match="models/b/saved_model/2: not an exported version"):
        run(test, WORLD, (), "")


def test_without_the_library_nothing_is_begun(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tea_tasting", None)
    for begin in (lambda: run(config(tmp_path / "ab"), WORLD, (), ""),
                  lambda: honesty.make(3, Settings(per_world=3), str(tmp_path / "ab"))):
        with pytest.raises(ValueError, match=r"pip install lcn-tf\[ab\]"):
            begin()
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(("settings", "message"), [
    ({"arms": ("a=random",)}, "arms must be at least two of different names, got a"),
    ({"arms": ("a=random", "b")}, "arms must be like lcn=lcn_200_50.cfg.*, got 'b'"),
    ({"training": "nightly"}, "training=nightly needs an arm that is trained here"),
    ({"arms": ("a=runs/1", "b=sim.cfg"), "training": "nightly"}, "give flag files or policies .*, not the exports"),
    ({"arms": ("a=randon", "b=random")}, "a=randon: randon is neither a policy .random, popularity, oracle. nor"),
    ({"shares": (0.5, 0.6, 0.1)}, "shares must have a sum of 1"),
    ({"control": "other"}, "control must be one of random, popular, best, got 'other'"),
    ({"days": 0}, "days must be at least 1, got 0")])
def test_settings_that_make_no_test(settings, message):
    with pytest.raises(ValueError, match=message):
        config("ab", **settings)


@pytest.mark.parametrize(("settings", "message"), [
    ({"preset": "unclicked"}, "preset must be one of .*; its law depends on what was shown before"),
    ({"candidates": 200}, "candidates must be at most the 96 rooms"),
    ({"shown": 51}, r"shown must be at most candidates \(50\), got 51"),
    ({"pre_days": 3}, "pre_days must be at least 4, got 3")])
def test_settings_that_make_no_world(settings, message):
    with pytest.raises(ValueError, match=message):
        WorldConfig(**settings)


def test_what_is_no_arm_is_said_in_one_line(tmp_path):
    command = [sys.executable, "-m", "experiments.ab_test", f"--output_dir={tmp_path}", "--arms=a=random,b=not/there"]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    assert process.returncode == 1 and "Traceback" not in process.stderr
    assert process.stderr.splitlines()[-1].startswith("error: arms: not/there is neither an exported version")
