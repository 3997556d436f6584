"""The benchmark of user states runs, and counts the bytes that are sent."""

import json

import pytest

from experiments.benchmarks import user_state
from tests.experiments.benchmarks.commands import run


@pytest.mark.slow
def test_every_model_that_keeps_a_state_is_measured(tmp_path):
    output = tmp_path / "figures.json"
    printed = run(user_state, "--lengths=11", "--num_candidates=7", "--short_length=5", "--num_items=50",
                  "--embedding_dim=3", "--steps=3", f"--output={output}")
    assert len(printed.splitlines()) == 4
    of_items, of_all, lap = json.loads(output.read_text())["figures"]
    assert [one["model"] for one in (of_items, of_all, lap)] == list(user_state.MODELS)
    assert of_items["history_bytes"] == 11 * 3 * 8  # item, type and time of an event
    buckets = 16 * 2**3
    assert of_items["state_bytes"] == buckets * 4 * (3 + 1) + 4 + 8  # sums of width 3, counts; events, fingerprint
    assert of_all["state_bytes"] == of_items["state_bytes"] + buckets * 4 * 3 + 11 * (16 + 8 + 1)
    assert set(of_all["seconds"]) == {"serving_default", "user_state", "rank_from_state", "update_state"}
    assert set(lap["seconds"]) == set(of_all["seconds"]) - {"update_state"}
    assert all(spent > 0 for one in (of_items, of_all, lap) for spent in one["seconds"].values())


def test_bad_input_ends_in_one_line():
    with pytest.raises(SystemExit, match="^error: unexpected arguments \\['surplus'\\]$"):
        run(user_state, "surplus")
