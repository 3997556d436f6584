"""Finished runs are found by configuration, data and seed, come back whole, and a damaged file is named."""

import os

import numpy as np
import pytest

from experiments.settings import Configuration
from experiments.tables.store import Key, Store

from .finished_runs import add, configuration, finished


def key(cfg, version=1, fingerprint="data"):
    return Key(configuration(cfg, version).id, fingerprint)


def test_runs_are_found_again_by_another_process(tmp_path):
    folder = str(tmp_path / "results")
    store = Store(folder)
    for seed, auc in ((1, 0.6), (2, 0.7), (2, 0.71)):
        add(store, "sim.cfg", seed, auc)
    for found in (store, Store(folder)):
        assert [found.find(key("sim.cfg"), seed)["metrics"]["test"]["model"]["auc"] for seed in (1, 2)] == [0.6, 0.71]
        assert found.find(key("sim.cfg"), 3) is None


def test_what_runs_repeat_is_stored_once_and_comes_back(tmp_path):
    store, consistency = Store(str(tmp_path)), {"value": 0.5, "rows": 7}
    add(store, "sim.cfg", 1, 0.6)
    add(store, "eta.cfg", 1, 0.7, consistency=consistency)
    lines = (tmp_path / "results.jsonl").read_text().splitlines()
    assert all("item popularity" not in line and "click_rate" not in line for line in lines)
    for cfg, auc, extra in (("sim.cfg", 0.6, None), ("eta.cfg", 0.7, consistency)):
        found = Store(str(tmp_path)).find(key(cfg), 1)
        np.testing.assert_allclose(found.pop("resamples")[0], auc + np.linspace(-0.01, 0.01, 4), atol=1e-5)
        assert found == finished(cfg, 1, auc, consistency=extra)


@pytest.mark.parametrize("other", [{"cfg": "eta.cfg"}, {"version": 2}, {"fingerprint": "other"}])
def test_other_settings_versions_or_data_are_another_run(tmp_path, other):
    store = Store(str(tmp_path))
    add(store, "sim.cfg", 1, 0.6)
    assert store.find(key(**{"cfg": "sim.cfg", **other}), 1) is None


def test_runs_of_an_older_version_are_found_by_their_row(tmp_path):
    store = Store(str(tmp_path))
    for version, seed in ((1, 1), (1, 2), (2, 1)):
        add(store, "sim.cfg", seed, 0.6 + version / 100, version=version)
    for found in (store, Store(str(tmp_path))):
        older, runs = found.find_older("sim.cfg", (), "data", (1, 2))
        assert (older.parts["long_term/lap"], list(runs)) == (2, [1])
        assert found.find_older("sim.cfg", ("--sim.top_k=7",), "data", (1, 2)) is None
        assert found.find_older("sim.cfg", (), "other", (1, 2)) is None


def test_half_a_line_of_a_writer_that_was_killed_does_not_count(tmp_path):
    add(Store(str(tmp_path)), "sim.cfg", 1, 0.6)
    with open(tmp_path / "results.jsonl", "a") as file:
        file.write('{"configuration": "half a li')
    add(Store(str(tmp_path)), "eta.cfg", 1, 0.7)
    found = Store(str(tmp_path))
    assert found.find(key("sim.cfg"), 1) and found.find(key("eta.cfg"), 1)


def test_two_commands_fill_one_folder(tmp_path):
    one, other = Store(str(tmp_path)), Store(str(tmp_path))
    add(one, "sim.cfg", 1, 0.6)
    add(other, "eta.cfg", 1, 0.7)
    found = Store(str(tmp_path))
    assert found.find(key("sim.cfg"), 1) and found.find(key("eta.cfg"), 1)


def test_a_line_that_is_no_run_of_a_table_is_named(tmp_path):
    add(Store(str(tmp_path)), "sim.cfg", 1, 0.6)
    os.remove(tmp_path / "resamples.npz")
    with pytest.raises(ValueError, match=r"results.jsonl, line 1: not a run of a table, it lacks resamples"):
        Store(str(tmp_path))


@pytest.mark.parametrize("name, text, message", [
    ("results.jsonl", '{"configuration": "half a li\n', r"results.jsonl, line 2: not JSON .*; remove it, got"),
    ("configurations.json", "{", "configurations.json: not JSON"), ("shared.json", "{", "shared.json: not JSON"),
    ("resamples.npz", "PK", "resamples.npz: not resamples of runs")])
def test_a_damaged_file_is_named(tmp_path, name, text, message):
    add(Store(str(tmp_path)), "sim.cfg", 1, 0.6)
    with open(tmp_path / name, "a" if name == "results.jsonl" else "w") as file:
        file.write(text)
    with pytest.raises(ValueError, match=message):
        Store(str(tmp_path))


def test_a_configuration_is_known_by_what_it_holds():
    one, same, other = (Configuration({"core": 1, "towers/mlp": 1}, settings)
                        for settings in ({"a": "1", "b": "2"}, {"b": "2", "a": "1"}, {"a": "1"}))
    assert one.id == same.id != other.id
