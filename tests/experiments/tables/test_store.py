"""Finished runs are found by flags, data, code and seed, and a damaged file is named."""

import dataclasses

import pytest

from experiments.tables.store import Store

from .finished_runs import finished, key


def test_runs_are_found_again_by_another_process(tmp_path):
    folder = str(tmp_path / "results")
    store = Store(folder)
    for seed, auc in ((1, 0.6), (2, 0.7), (2, 0.71)):
        store.add(finished("sim.cfg", seed, auc))
    for found in (store, Store(folder)):
        assert [found.find(key("sim.cfg"), seed)["metrics"]["test"]["model"]["auc"] for seed in (1, 2)] == [0.6, 0.71]
        assert found.find(key("sim.cfg"), 3) is None


@pytest.mark.parametrize("change", [{"config_hash": "other"}, {"data_fingerprint": "other"}, {"code": "other"}])
def test_other_flags_data_or_code_are_another_run(tmp_path, change):
    store = Store(str(tmp_path))
    store.add(finished("sim.cfg", 1, 0.6))
    assert store.find(dataclasses.replace(key("sim.cfg"), **change), 1) is None


def test_any_code_can_be_asked_for(tmp_path):
    store = Store(str(tmp_path))
    store.add(finished("sim.cfg", 1, 0.6, code="older"))
    assert store.find(key("sim.cfg", code=None), 1)["code"] == "older"


def test_a_line_that_is_no_run_of_a_table_is_named(tmp_path):
    run = finished("sim.cfg", 1, 0.6)
    del run["bootstrap"], run["slices"]
    Store(str(tmp_path)).add(run)
    with pytest.raises(ValueError, match=r"results.jsonl, line 1: not a run of a table, it lacks bootstrap, slices"):
        Store(str(tmp_path))


def test_a_damaged_line_is_named(tmp_path):
    Store(str(tmp_path)).add(finished("sim.cfg", 1, 0.6))
    with open(tmp_path / "results.jsonl", "a") as file:
        file.write('{"config_hash": "half a li')
    with pytest.raises(ValueError, match=r"results.jsonl, line 2: not JSON .* remove the line to run it again"):
        Store(str(tmp_path))
