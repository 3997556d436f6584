"""The honesty figures: what is replicated is what the simulator does, and the same seed gives the same files."""

import dataclasses
import json
import pathlib

import numpy as np
import pytest

from experiments.ab_test import honesty, replications
from experiments.ab_test.analysis.totals import of_population
from experiments.ab_test.rates import Mean, Rate
from experiments.ab_test.replications import CONTROL, LARGE, SAME, Settings
from experiments.ab_test.simulation.arms import OraclePolicy
from experiments.ab_test.simulation.assignment import assigned
from experiments.ab_test.simulation.config import WorldConfig
from experiments.ab_test.simulation.simulate import simulate

SMALL = Settings(users=150, days=2, population=200, pre_days=4, per_world=3, preset="tiny")
FLAGS = [f"--{name}={value}" for name, value in dataclasses.asdict(SMALL).items()]


@pytest.fixture(scope="module")
def population():
    return replications.make_population(SMALL, 0)


def test_traffic_that_is_put_together_is_what_the_simulator_serves(population):
    """Of all users of the world, each once."""
    arms = {CONTROL: OraclePolicy(2.0), LARGE: OraclePolicy(1.6)}
    config = WorldConfig(preset="tiny", num_users=200, pre_days=4)
    served = of_population(simulate(config, arms, 2, 17_000, ["split"], salt="a salt"), "split")
    everybody = np.arange(len(population.arms[CONTROL].users))
    found = replications.split(population, LARGE, everybody, "a salt")
    # Its users have numbers of their own: the hash is of those.
    own = assigned(served.users, {CONTROL: 0.5, LARGE: 0.5}, "a salt")
    treated = found.arm_of == 1
    for name in served.sums:
        both = [population.arms[arm].sums[name] for arm in (CONTROL, LARGE)]
        np.testing.assert_array_equal(found.sums[name], np.where(treated[:, None], both[1], both[0]))
        np.testing.assert_array_equal(served.sums[name], np.where(own[:, None] == 1, both[1], both[0]))


def test_the_same_arm_twice_has_no_effect_and_more_noise_has_one(population):
    assert all((values == 0).all() for values in population.truth[SAME].values())
    assert population.truth[LARGE]["ctr"][-1] > 0


def test_a_replication_is_a_test_of_users_that_are_drawn(population):
    one, again, other = (replications.replicate(population, SMALL, 0, number) for number in (0, 0, 1))
    assert one == again != other
    reading = one[LARGE]["ctr"]
    assert reading["low"] < reading["relative"] < reading["high"] and 0.05 < reading["power"] < 1
    assert one[SAME]["ctr"]["here"] == 0 and one[SAME]["ctr"]["smallest_p"] <= one[SAME]["ctr"]["p"]


def made(p, relative, decided=None, missed=False, smallest=None):
    values = {"p": p, "relative": relative, "low": relative - 0.1, "high": relative + 0.1, "decided": decided,
              "missed": missed, "here": 0.0}
    return values | ({"power": 0.5} if smallest is None else {"smallest_p": smallest})


def worlds_of(effects, same):
    names = [replications.reading_name(metric.key, adjusted) for metric, adjusted in honesty.READINGS]
    tests = [{"same": dict.fromkeys(names, one), **{arm: dict.fromkeys(names, effect) for arm in ("small", "large")}}
             for one, effect in zip(same, effects, strict=True)]
    truth = {"ctr": [0.3, 0.1], "stay_per_user": [0.3, 0.1], "stay_per_impression": [0.3, 0.1]}
    return [{"truth": dict.fromkeys(("same", "small", "large"), truth), "replications": tests}]


def test_rates_count_what_they_say():
    effects = [made(0.01, 0.3, decided=2), made(0.04, -0.1, missed=True), made(0.5, 0.05), made(0.9, 0.15, decided=4)]
    same = [made(0.01, 0, smallest=0.01), made(0.9, 0, decided=1, smallest=0.03), made(0.9, 0, smallest=0.2),
            made(0.9, 0, smallest=0.6)]
    found = honesty.figures(worlds_of(effects, same))["ctr cuped"]
    assert [found[name].count for name in ("planned_end", "daily_naive", "daily_all_looks")] == [1, 2, 1]
    large = found["large"]
    assert (large["power"].count, large["power_all_looks"].count, large["median_days"]) == (2, 2, 3)
    assert (large["coverage"].count, large["coverage_here"].count, large["coverage_all_looks"].count) == (2, 2, 3)
    assert (large["wrong_sign"].count, large["wrong_sign"].trials) == (1, 2)
    assert large["exaggeration"].value == pytest.approx((3 + 1) / 2)


def test_what_does_not_hold_is_said():
    effects = [made(0.01, 0.1)] * 95 + [made(0.01, 0.5)] * 5
    fair = [made(0.01, 0, smallest=0.01)] * 5 + [made(0.5, 0, smallest=0.3)] * 95
    assert honesty.verdicts(honesty.figures(worlds_of(effects, fair))) == []
    unfair = [made(0.01, 0, decided=1, smallest=0.01)] * 20 + [made(0.5, 0, smallest=0.3)] * 80
    wide = [made(0.01, 0.1)] * 80 + [made(0.01, 0.5)] * 20
    lines = honesty.verdicts(honesty.figures(worlds_of(wide, unfair)))
    assert len(lines) == 4 * len(honesty.READINGS)
    assert any("coverage 80.0 %" in line for line in lines)
    text = honesty.verdict_text(honesty.figures(worlds_of(wide, unfair)))
    assert "**not** CTR, CUPED: false" in text[0] and "**not** CTR: false" in text[-1]


def test_one_figure_a_little_off_is_told_and_is_no_failure():
    effects = [made(0.01, 0.1)] * 186 + [made(0.01, 0.5)] * 14
    same = [made(0.01, 0, smallest=0.01)] * 18 + [made(0.5, 0, smallest=0.3)] * 182
    text = "\n".join(honesty.verdict_text(honesty.figures(worlds_of(effects, same))))
    assert "of reports, within its 95 % intervals **not** CTR, CUPED: false" in text
    assert "of 18 of 24 figures" in text and "- CTR: false positives at the planned end 9.0 %" in text
    assert "at once with 95 %: all of it" in text


def test_the_stored_figures_give_the_stored_text():
    folder = pathlib.Path(__file__).parents[3] / "experiments" / "results" / "ab_test"
    stored = json.loads((folder / "honesty.json").read_text())

    def figures(found):
        if not isinstance(found, dict):
            return found
        if "trials" in found:
            return Rate(**found)
        if "value" in found:
            return Mean(**{name: np.nan if value is None else value for name, value in found.items()})
        return {name: figures(value) for name, value in found.items()}

    found = {reading: figures(stored["readings"][reading]) for metric, adjusted in honesty.READINGS
             for reading in [replications.reading_name(metric.key, adjusted)]}
    text = honesty.markdown(found, Settings(**stored["settings"]), stored["replications"])
    assert text == (folder / "honesty.md").read_text()
    assert "of the 18 that should be 5 % or 95 % chance alone leaves out 0.9 on average" in text


def test_the_same_seed_gives_the_same_files_after_it_was_killed_too(tmp_path, capsys):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    honesty.main([*FLAGS, "--replications=6", f"--workdir={whole}"])
    honesty.main([*FLAGS, "--replications=3", f"--workdir={killed}"])
    (killed / "world-001.json.partial").write_text('{"truth": ')
    capsys.readouterr()
    honesty.main([*FLAGS, "--replications=6", f"--workdir={killed}"])
    assert "2 worlds of 3 tests, 1 to do" in capsys.readouterr().out
    for name in ("honesty.md", "honesty.json"):
        assert (whole / name).read_bytes() == (killed / name).read_bytes()
    assert json.loads((whole / "honesty.json").read_text())["readings"]["ctr"]["planned_end"]["trials"] == 6
    for arguments, message in ((["--replications=6", "--seed=2"], "seed: 17 before, 2 now"),
                               (["--replications=5"], "multiple of --per_world=3"),
                               (["--users=2"], "users must be at least 10")):
        with pytest.raises(SystemExit, match=message):
            honesty.main([*FLAGS, *arguments, f"--workdir={whole}"])
