"""The benchmark of scoring runs, and both ways of scoring give the same probabilities."""

import json

import numpy as np
import pytest
import tensorflow as tf

from experiments.benchmarks import scoring
from experiments.benchmarks.plain_lcn import PlainLCN, weight_pairs
from lcn_tf.embeddings import EmbeddingConfig
from lcn_tf.models import ModelConfig, build_model
from tests.experiments.benchmarks.commands import run


def test_a_request_and_copies_of_its_user_have_the_same_probabilities():
    sizes = scoring.Sizes(lifelong_length=211, short_length=7, candidates=7, copies_at_once=3, num_items=5003,
                          embedding_dim=5)
    request = scoring.Request(sizes)
    model = build_model(request.schema, request.schema.lengths, ModelConfig(objectives=()),
                        embeddings=EmbeddingConfig(sizes.embedding_dim))
    plain = PlainLCN(request.schema, sizes.embedding_dim)
    at_once = request.scored_at_once(scoring.signature_of(model))
    in_copies = request.scored_in_copies(request.function_of(plain))
    in_copies()
    for place, (ours, theirs) in enumerate(weight_pairs(plain, model)):
        drawn = tf.random.stateless_normal(theirs.shape, [7, place], stddev=0.1)
        ours.assign(drawn)
        theirs.assign(drawn)
    probabilities = at_once()
    assert probabilities.shape == (7,) and np.ptp(probabilities) > 1e-3
    np.testing.assert_allclose(in_copies(), probabilities, rtol=1e-5)


def test_peak_memory_holds_the_events_of_all_copies():
    sizes = scoring.Sizes(lifelong_length=1009, short_length=7, candidates=101, copies_at_once=101, num_items=50,
                          embedding_dim=64)
    assert scoring.peak_bytes(sizes, scoring.PLAIN) > 101 * 1009 * 4 * 64


@pytest.mark.slow
def test_every_length_is_measured(tmp_path):
    output = tmp_path / "figures.json"
    printed = run(scoring, "--lengths=11", "--num_candidates=7", "--num_candidates=2", "--copies_at_once=3",
                  "--short_length=5", "--num_items=50", "--embedding_dim=3", "--steps=4", "--nomemory",
                  f"--output={output}")
    header, *lines = printed.splitlines()
    assert "lap / floor" in header and [line.split()[:2] for line in lines[:2]] == [["11", "2"], ["11", "7"]]
    assert lines[-1].startswith("sum ") and {"MSA", "FSA", "tower", "rest"} <= {*printed.split()}
    few, figures = json.loads(output.read_text())["figures"]
    assert few["candidates"] == 2 and few["parts"] is None
    models, floor, parts = figures.pop("models"), figures.pop("floor"), figures.pop("parts")
    assert set(floor) == {"seconds", "speed_over_plain"} and min(floor.values()) > 0
    assert set(models) == {"plain lap", "sim", "lap"} and models["plain lap"]["speed_over_plain"] == 1
    assert all(figure > 0 for model in models.values() for name, figure in model.items() if name != "peak_bytes")
    assert all(spent > 0 for part in parts.values() for spent in part.values())
    assert {"CSA", "best events of CSA", "MSA", "best events of MSA", "FSA"} <= set(parts["lap"]) - set(parts["sim"])
    assert abs(figures.pop("lap_minus_sim_seconds")) > 0
    assert figures == {"lifelong_length": 11, "candidates": 7, "steps": 4}


def test_bad_input_ends_in_one_line(tmp_path):
    with pytest.raises(SystemExit, match="^error: unexpected arguments \\['surplus'\\]$"):
        run(scoring, f"--output={tmp_path / 'figures.json'}", "surplus")
    assert not (tmp_path / "figures.json").exists()
