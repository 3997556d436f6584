"""Offline gains beside true online effects."""

import json
import os

import pandas as pd
import pytest

from experiments.ab_test import curve, offline_online
from experiments.ab_test.analysis.totals import of_population
from experiments.ab_test.settings import ABTestConfig
from experiments.ab_test.simulation.config import WorldConfig
from tests.experiments.ab_test.frames import outcomes

CONFIGS = os.path.join(os.path.dirname(curve.__file__), os.pardir, "configs")


def finished(folder, auc, gauc) -> str:
    """The work folder of a run with an export."""
    (folder / "saved_model" / "1").mkdir(parents=True)
    (folder / "metrics.json").write_text(json.dumps({"metrics": {"test": {"model": {"auc": auc, "gauc": gauc}}}}))
    return str(folder / "saved_model" / "1")


@pytest.fixture(scope="module")
def test_of_four(tmp_path_factory):
    """Three models whose offline order is the online one for AUC and not for GAUC, and a policy."""
    folder = tmp_path_factory.mktemp("curve")
    exports = [finished(folder / name, auc, gauc) for name, auc, gauc in (
        ("first", 0.70, 0.60), ("second", 0.71, 0.64), ("third", 0.73, 0.59))]
    arms = (f"{name}={path}" for name, path in zip("abc", exports, strict=True))
    config = ABTestConfig(arms=(*arms, "chance=random"), output_dir=str(folder / "test"))
    effects = {"a": 0.0, "b": 0.1, "c": 0.3, "chance": -0.2}
    table = pd.concat([outcomes(users=200, days=2, effect=effect).query("population == 'all:new'")
                       .assign(population=f"all:{name}", arm=name) for name, effect in effects.items()])
    return config, {name: of_population(table, f"all:{name}") for name in effects}


def test_points_are_differences_to_the_control(test_of_four):
    config, totals = test_of_four
    models = curve.models_of(config)
    points = offline_online.points(models, totals, "a")
    assert [point.name for point in points] == ["a", "b", "c", "chance"]
    assert points[2].offline == pytest.approx({"auc": 0.03, "gauc": -0.01}) and points[3].offline == {}
    ctr = {name: one.sums["clicks"][:, -1].sum() / one.sums["impressions"][:, -1].sum() for name, one in totals.items()}
    effect = points[2].online["ctr"]
    assert effect.relative == pytest.approx(ctr["c"] / ctr["a"] - 1) == pytest.approx(0.3, abs=0.03)
    assert effect.low < effect.relative < effect.high
    ranks = offline_online.correlations(points)
    assert (ranks["auc"]["ctr"].value, ranks["gauc"]["ctr"].value) == pytest.approx((1, -0.5))
    assert ranks["auc"]["ctr"].count == 3  # the policy is no model
    with pytest.raises(ValueError, match="control 'chance': expected a model with offline metrics, one of a, b, c"):
        offline_online.points(models, totals, "chance")


def test_the_files_have_every_model_and_the_same_bytes_twice(test_of_four, tmp_path):
    config, totals = test_of_four
    points = offline_online.points(curve.models_of(config), totals, "a")
    for name in ("first.png", "second.png"):
        offline_online.draw(str(tmp_path / name), points)
    assert (tmp_path / "first.png").read_bytes() == (tmp_path / "second.png").read_bytes()
    lines = offline_online.markdown(points, "a", "the command").splitlines()
    rows = [line for line in lines if line.startswith(("| a |", "| b |", "| c |", "| chance |"))]
    assert [row.split(" | ")[0] for row in rows] == ["| c", "| b", "| a", "| chance"]
    assert "+0.0300 | -0.0100" in rows[0] and rows[3].startswith("| chance |  |  | -")
    assert json.loads(json.dumps(offline_online.figures(points, "a")))["points"][1]["offline"]["gauc"] == pytest.approx(
        0.04)


def test_the_models_of_table_2_are_arms_the_control_first():
    arms = curve.table_2()
    config = ABTestConfig(arms=arms, output_dir="there")
    assert config.control_arm == "sim" and {"sim", "lcn_200_50", "twin", "eta_crp", "din"} <= set(config.trained)
    assert len(config.trained) == len(arms) >= 15
    assert all(os.path.exists(os.path.join(CONFIGS, cfg)) for cfg in config.trained.values())


@pytest.mark.parametrize(("arms", "more", "message"), [
    (("chance=random", "sim=sim.cfg"), {}, "control 'chance': a policy has no offline metrics"),
    (("sim=sim.cfg", "lcn=lcn_200_50.cfg"), {"training": "nightly"}, "models that stay as they are"),
    (("sim=sim.cfg", "other=RUN/saved_model/1"), {}, "RUN: holds no finished run"),
    (("sim=sim.cfg", "other=EMPTY/saved_model/1"), {}, "gauc of the test split is not known"),
])
def test_what_has_no_offline_metrics_is_refused_before_anything_is_served(arms, more, message, tmp_path):
    finished(tmp_path / "EMPTY", 0.7, None)
    arms = tuple(arm.replace("EMPTY", str(tmp_path / "EMPTY")) for arm in arms)
    config = ABTestConfig(arms=arms, output_dir=str(tmp_path / "test"), **more)
    with pytest.raises(ValueError, match=message):
        curve.make(config, WorldConfig(preset="tiny"), [], "the command")
    assert not (tmp_path / "test").exists()
