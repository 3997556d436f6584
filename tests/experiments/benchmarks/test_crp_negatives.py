"""The benchmark of CRP's negatives runs, and its figures are those of what it names."""

import json

import pytest

from experiments.benchmarks import crp_negatives, measure
from tests.experiments.benchmarks.commands import run


def test_the_chunk_size_does_not_change_the_result_of_a_pass():
    passes = crp_negatives.Passes(crp_negatives.Sizes(7, 5, 50, 3))
    at_once, chunked = passes.of(31, 31), passes.of(31, 8)
    results = [at_once(), at_once()]
    assert results[0] != results[1]
    assert [chunked(), chunked()] == pytest.approx(results, rel=1e-4)


def test_many_negatives_need_little_memory():
    """65,536 pairs of three terms, 1024 wide: one side of all of them would be 768 MiB."""
    passes = crp_negatives.Passes(crp_negatives.Sizes(7, 5, 50, 1024))
    before = measure.resident_bytes()
    with measure.PeakMemory() as memory:
        assert passes.of(65_536, 8192)() != 0
    assert memory.bytes < before + 512 * 2**20


@pytest.mark.slow
def test_every_number_is_measured(tmp_path):
    output = tmp_path / "figures.json"
    printed = run(crp_negatives, "--negatives=11", "--negatives=5", "--batch_size=7", "--short_length=5",
                  "--num_items=50", "--embedding_dim=3", "--chunk_size=8", "--steps=4", f"--output={output}")
    header, *lines = printed.splitlines()
    assert "over at once" in header and [line.split()[0] for line in lines] == ["5", "11"]
    written = json.loads(output.read_text())
    assert written["settings"] == {"negatives": [11, 5], "batch_size": 7, "short_length": 5, "num_items": 50,
                                   "embedding_dim": 3, "chunk_size": 8, "steps": 4}
    few, many = written["figures"]
    assert (few["negatives"], many["negatives"]) == (5, 11)
    assert few["over_smallest"] == few["over_at_once"] == 1 and few["seconds"] == few["seconds_at_once"]
    assert many["seconds"] != many["seconds_at_once"]
    assert all(figure > 0 for name, figure in many.items() if not name.startswith("peak"))
    assert all(figure >= 0 for figure in (many["peak_bytes"], many["peak_bytes_at_once"]))


def test_bad_input_ends_in_one_line(tmp_path):
    with pytest.raises(SystemExit, match="^error: unexpected arguments \\['surplus'\\]$"):
        run(crp_negatives, f"--output={tmp_path / 'figures.json'}", "surplus")
    assert not (tmp_path / "figures.json").exists()
