"""What Figure 4 keeps of its runs, and what it says of them; `test_command.py` makes it of real ones."""

import math

import numpy as np
import pytest

from experiments import finished_run
from experiments.tables import figure_4
from experiments.tables.rows import FIGURE_4

from .finished_runs import planned

ONE, OTHER = (planned(row) for row in FIGURE_4.rows)


def geometry(seed, measures=None):
    rng = np.random.default_rng(seed)
    found = rng.random(5) if measures is None else np.array(measures)
    return figure_4.Geometry(found, rng.normal(size=[9, 2]).astype(np.float32), np.arange(9) % 4, np.arange(9) % 2)


def test_two_commands_fill_one_file(tmp_path):
    first, second = (figure_4.Geometries(str(tmp_path)) for _ in range(2))
    first.add(ONE, 1, geometry(1))
    second.add(OTHER, 2, geometry(2))
    found = figure_4.Geometries(str(tmp_path))
    for row, seed in ((ONE, 1), (OTHER, 2)):
        for name in ("measures", "points", "category", "domain"):
            np.testing.assert_array_equal(getattr(found.find(row, seed), name), getattr(geometry(seed), name))
    assert found.find(ONE, 2) is None


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "figure_4.npz").write_bytes(b"PK\x03\x04 torn")
    with pytest.raises(ValueError, match="figure_4.npz: not what Figure 4 keeps of its runs: .*; remove it"):
        figure_4.Geometries(str(tmp_path))


def test_rows_have_means_over_seeds_and_a_picture(tmp_path):
    runs = {"one": {1: geometry(1, [0.2, 0.4, 0.1, math.nan, 0.5]), 2: geometry(2, [0.4, 0.4, 0.1, 0.3, 0.7])},
            "none yet": {}}
    text = figure_4.write(str(tmp_path), FIGURE_4, runs, "the command")
    assert "| one | 0.300 ± 0.141 | 0.400 ± 0.000 | 0.100 ± 0.000 | undefined | 0.600 ± 0.141 | 2 |" in text
    assert "| none yet | undefined |" in text and (tmp_path / "figure_4.png").stat().st_size > 10_000
    assert (tmp_path / "figure_4.csv").read_text().count("\n") == 3


def test_a_finished_run_without_its_best_epoch_may_be_trained_again(tmp_path):
    (tmp_path / "metrics.json").write_text('{"metrics": {}}')
    assert not finished_run.has_checkpoint(str(tmp_path))
    finished_run.forget(str(tmp_path))
    finished_run.forget(str(tmp_path))
    assert not (tmp_path / "metrics.json").exists()
