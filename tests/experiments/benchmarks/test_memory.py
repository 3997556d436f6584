"""The memory benchmark measures what its formula predicts, and finds the formula's constants again."""

import dataclasses
import json

import pytest

from experiments.benchmarks import memory
from lcn_tf.training.memory import Constants, Sizes, training_bytes
from tests.experiments.benchmarks.commands import run

SIZES = Sizes(requests=512, candidates=1, lifelong_length=2000, short_length=24, embedding_dim=64, item_fields=1,
              context_fields=2, msa_top_k=200, fsa_top_k=50, table_rows=200_000,
              unique_ids=100_000, optimizer="row_sparse_adam")


def test_every_line_has_sizes_of_its_own():
    changed = [dataclasses.replace(SIZES, **change(SIZES)) for change in memory.CHANGES.values()]
    assert len(set(changed)) == len(changed) and changed[0] == SIZES


def test_fit_explains_what_the_constants_make():
    true = Constants(traced=250.0, flat_events=4.0, grouped_events=3.0, gradients=5.0)
    figures = []
    for change in memory.CHANGES.values():
        sizes = dataclasses.replace(SIZES, **change(SIZES))
        figures.append({"sizes": dataclasses.asdict(sizes), "measured_bytes": training_bytes(sizes, true)})
    found = memory.fitted(figures)
    for one in figures:
        assert training_bytes(Sizes(**one["sizes"]), found) == pytest.approx(one["measured_bytes"], rel=0.01)


@pytest.mark.slow
def test_a_line_is_measured(tmp_path):
    output = tmp_path / "figures.json"
    printed = run(memory, "--line=4 candidates, 4 microbatches", "--batch_size=28", "--short_length=5", "--lengths=11",
                  "--embedding_dim=3", "--num_items=100000", f"--output={output}")
    header, line = printed.splitlines()
    assert "predicted/measured" in header and line.startswith("4 candidates, 4 microbatches ")
    written = json.loads(output.read_text())
    assert written["settings"]["lengths"] == [11]
    figure, = written["figures"]
    sizes = figure["sizes"]
    assert (sizes["requests"], sizes["candidates"], sizes["microbatches"]) == (7, 4, 4)
    assert 28 < sizes["unique_ids"] <= 7 * (4 + 11 + 2 * 5)
    assert figure["predicted_bytes"] == training_bytes(Sizes(**sizes))
    assert figure["measured_bytes"] > 2**20
    assert figure["predicted_over_measured"] == figure["predicted_bytes"] / figure["measured_bytes"]


def test_bad_input_ends_in_one_line(tmp_path):
    with pytest.raises(SystemExit, match="^error: unexpected arguments \\['surplus'\\]$"):
        run(memory, f"--output={tmp_path / 'figures.json'}", "surplus")
    assert not (tmp_path / "figures.json").exists()
