"""A table's statistics are those of its runs, and rows are compared on the same seeds and users only."""

import math

import numpy as np
import pytest

from experiments.tables.comparison import Spread, compare
from experiments.tables.rows import Row
from experiments.tables.store import Store

from .finished_runs import add, planned

BASELINE, BETTER, THIRD = Row("a", "a.cfg"), Row("b", "b.cfg", "a"), Row("c", "c.cfg", "a")


def lines(tmp_path, runs, rows=(BASELINE, BETTER), seeds=(1, 2, 3)):
    store = Store(str(tmp_path))
    for cfg, seed, auc, *options in runs:
        add(store, cfg, seed, auc, **(options[0] if options else {}))
    return compare([planned(row) if not isinstance(row, tuple) else planned(*row) for row in rows], store, seeds)


def test_differences_are_paired_by_seed(tmp_path):
    aucs = {"a.cfg": (0.60, 0.62, 0.61), "b.cfg": (0.63, 0.66, 0.62)}
    baseline, better = lines(tmp_path, [(cfg, seed, auc) for cfg, values in aucs.items()
                                        for seed, auc in enumerate(values, 1)])
    assert baseline.comparison is None
    assert baseline.metric("auc").mean == pytest.approx(0.61) and baseline.metric("auc").std == pytest.approx(0.01)
    assert better.comparison.auc.difference == pytest.approx((0.03 + 0.04 + 0.01) / 3)
    assert better.comparison.gauc.difference == pytest.approx(better.comparison.auc.difference)
    # the users' deviations are the same in both rows, so nothing of them is left in the difference
    assert better.comparison.auc.low == pytest.approx(better.comparison.auc.high, abs=5e-5)
    assert better.attainable_share.mean == pytest.approx((np.mean(aucs["b.cfg"]) - 0.5) / 0.3)
    assert better.minutes.mean == 1.5


def test_only_seeds_of_both_rows_are_compared(tmp_path):
    runs = [("a.cfg", 1, 0.60), ("b.cfg", 1, 0.61), ("b.cfg", 2, 0.90)]
    better = lines(tmp_path, runs)[1]
    assert better.comparison.auc.difference == pytest.approx(0.01) and math.isnan(better.comparison.p_value)
    assert len(better.runs) == 2


def test_rows_on_other_data_are_not_compared(tmp_path):
    runs = [("a.cfg", 1, 0.6, {"fingerprint": "other"}), ("b.cfg", 1, 0.7)]
    baseline, better = lines(tmp_path, runs, ((BASELINE, "other"), BETTER))
    assert len(baseline.runs) == len(better.runs) == 1 and better.comparison is None


def test_runs_of_an_older_version_stand_in_and_are_marked(tmp_path):
    runs = [("a.cfg", 1, 0.6), ("b.cfg", 1, 0.7), ("b.cfg", 2, 0.7)]
    rows = [planned(BASELINE), planned(BETTER, version=2), planned(THIRD, version=2)]
    lines(tmp_path, runs)
    baseline, better, none = compare(rows, store := Store(str(tmp_path)), (1, 2))
    assert (baseline.name, better.name, none.name) == ("a", "b [older: long_term/lap 1]", "c")
    assert list(better.runs) == [1, 2] and not none.runs
    add(store, "b.cfg", 2, 0.8, version=2)
    better = compare(rows, store, (1, 2))[1]
    assert better.name == "b" and better.metric("auc").mean == 0.8 and list(better.runs) == [2]  # without older ones


def test_p_values_are_corrected_for_the_number_of_rows(tmp_path):
    runs = [(cfg, seed, 0.6 + shift * (seed + 1)) for cfg, shift in (("a.cfg", 0), ("b.cfg", 0.01))
            for seed in (1, 2, 3)]
    alone = lines(tmp_path / "one", runs)[1].comparison.p_value
    both = lines(tmp_path / "two", [*runs, *(("c.cfg", seed, 0.6 + 0.001 * seed * seed) for seed in (1, 2, 3))],
                 (BASELINE, BETTER, THIRD))[1].comparison.p_value
    assert 0 < alone < 0.05 and both == pytest.approx(2 * alone)


def test_an_undefined_metric_is_undefined_in_the_table():
    assert math.isnan(Spread.of([0.5, None]).mean) and math.isnan(Spread.of([]).mean)
    assert Spread.of([0.5]).mean == 0.5 and math.isnan(Spread.of([0.5]).std)
