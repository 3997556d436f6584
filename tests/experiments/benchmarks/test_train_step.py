"""The benchmark of the training step runs, and its figures are those of what it names."""

import json

import numpy as np
import pytest

from experiments.benchmarks import measure, train_step
from experiments.benchmarks.train_step import PLAIN, Case
from tests.experiments.benchmarks.commands import run

SIZES = train_step.Sizes(batch_size=12, candidates=3, short_length=5, embedding_dim=4, optimizer="row_sparse_adam",
                         context=True)


def test_figures_compare_what_differs_in_one_thing():
    def case(**changes):
        return Case(**{"length": 500, "table_rows": 100, "layout": "flat", "long_term": "lap", **changes})

    seconds = {case(): 4.0, case(layout="grouped"): 2.0, case(long_term=PLAIN): 12.0, case(table_rows=1000): 5.0,
               case(length=1000): 8.0, case(length=3000): 24.0}
    floors = {(500, 100, "flat"): 2.0, (500, 100, "grouped"): 0.5, (500, 1000, "flat"): 2.5, (1000, 100, "flat"): 4.0}
    seconds.update({("floor", *floor): value for floor, value in floors.items()})
    seconds = {key: np.full(3, value) for key, value in seconds.items()}

    def figures(**changes):
        return train_step.figures_of(case(**changes), SIZES, seconds)

    flat, grouped, large = figures(), figures(layout="grouped"), figures(table_rows=1000)
    assert flat["impressions_per_second"] == 3 and grouped["impressions_per_second"] == 6
    names = ("speed_over_plain", "speed_over_flat", "over_floor", "over_line", "over_smallest_table")
    assert [flat[name] for name in names] == [3, None, 2, pytest.approx(1), None]
    assert [grouped[name] for name in names] == [6, 2, 4, None, None]
    assert [large[name] for name in names] == [None, None, 2, None, 1.25]
    seconds[case(length=3000)] *= 1.5
    assert figures(length=1000)["over_line"] < 0.9


@pytest.mark.slow
def test_every_case_is_measured_beside_its_reference(tmp_path):
    output = tmp_path / "figures.json"
    printed = run(train_step, "--long_term=none", "--lengths=11", "--layout=grouped", "--table_rows=50",
                  "--batch_size=12", "--candidates_per_request=3", "--short_length=5", "--embedding_dim=4", "--steps=4",
                  "--nomemory", f"--output={output}")
    header, plain, none, _, title, *parts = printed.splitlines()
    assert "over floor" in header and "over flat" not in header and "peak MiB" not in header
    assert [line.split()[0] for line in (plain, none)] == ["plain", "none"]
    assert title == "Where the time goes:" and parts[0].endswith("none grouped 11 50")
    plain, none = json.loads(output.read_text())["figures"]
    assert (plain["long_term"], plain["layout"], plain["speed_over_plain"]) == (PLAIN, "flat", 1)
    assert (none["long_term"], none["layout"], none["steps"]) == ("none", "grouped", 4)
    for figures in (plain, none):
        assert all(figures[name] > 0 for name in ("seconds", "speed_over_plain", "over_floor"))
    assert plain["parts"] is None
    assert all(none["parts"][part] > 0 for part in ("optimiser", "DIN of the short histories", "tower"))


def test_peak_memory_holds_table_and_moments():
    rows = 1_000_003
    peak = measure.in_own_process(train_step.peak_bytes, SIZES, Case(11, rows, "flat", "none"))
    assert peak > 3 * rows * 4 * SIZES.embedding_dim


def test_bad_input_ends_in_one_line(tmp_path):
    message = "^error: --batch_size must be a multiple of --candidates_per_request, got 14 and 4$"
    with pytest.raises(SystemExit, match=message):
        run(train_step, f"--output={tmp_path / 'figures.json'}", "--batch_size=14", "--candidates_per_request=4")
    assert not (tmp_path / "figures.json").exists()
