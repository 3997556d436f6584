"""Means over seeds are those of the runs, and finished runs are not run again."""

import json

import pytest

from experiments import seeds, workdir_lock


def metrics(auc, logloss=0.3):
    model = {"auc": auc, "gauc": 0.6, "logloss": logloss, "calibration_ratio": 1.0}
    return {"test": {"model": model, "base rate": {"logloss": 0.35}, "oracle": {"auc": 0.8}}}


def test_finished_runs_are_read_and_summarised(tmp_path):
    for seed, auc in ((1, 0.65), (2, 0.71)):
        (tmp_path / f"seed-{seed}").mkdir()
        (tmp_path / f"seed-{seed}" / "metrics.json").write_text(json.dumps({"metrics": metrics(auc)}))
    table = seeds.format_table(seeds.run_seeds(2, str(tmp_path), []))
    assert "2 seeds" in table and "auc 0.6800 ± 0.0424" in table and "attainable share 0.6000 ± 0.1414" in table


def test_runs_worse_than_the_base_rate_are_counted():
    assert "base rate" not in seeds.format_table([metrics(0.7), metrics(0.7, 0.35)])
    table = seeds.format_table([metrics(0.7), metrics(0.7, 0.36)])
    assert "log loss worse than the base rate's in 1 of 2 runs" in table


def test_seeds_of_other_flags_are_not_taken_for_these(tmp_path):
    (tmp_path / "seed-1").mkdir()
    (tmp_path / "seed-1" / "metrics.json").write_text(json.dumps({"metrics": metrics(0.7)}))
    for _ in range(2):
        assert seeds.run_seeds(1, str(tmp_path), ["--flagfile=a.cfg"]) == [metrics(0.7)]
    with pytest.raises(ValueError, match=r"other flags \(--flagfile=a.cfg before, --flagfile=b.cfg now\)"):
        seeds.run_seeds(1, str(tmp_path), ["--flagfile=b.cfg"])


def test_no_seeds_are_refused(tmp_path):
    with pytest.raises(ValueError, match="--num_seeds must be at least 1, got 0"):
        seeds.run_seeds(0, str(tmp_path), [])


def test_a_missing_run_is_started_and_its_failure_shown(tmp_path):
    with pytest.raises(seeds.subprocess.CalledProcessError):
        seeds.run_seeds(1, str(tmp_path), ["--no_such_flag"])


def test_a_mistake_can_be_put_right_before_anything_is_trained(tmp_path):
    for flag in ("--no_such_flag", "--nor_this_one"):
        with pytest.raises(seeds.subprocess.CalledProcessError):
            seeds.run_seeds(1, str(tmp_path), [flag])
    with workdir_lock.held(str(tmp_path)), pytest.raises(BlockingIOError, match="is in use by"):
        seeds.run_seeds(1, str(tmp_path), [])
    assert json.loads((tmp_path / "seeds.json").read_text()) == ["--nor_this_one"]
