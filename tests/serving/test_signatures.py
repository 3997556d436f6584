"""Every signature answers as the live model does, for requests of any size."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from lcn_tf.long_term import sim
from lcn_tf.models.requests import request_names
from lcn_tf.serving.admission import WARNINGS, admit
from lcn_tf.serving.recorded_requests import encode_request, named_tensors
from lcn_tf.serving.signatures import build_signatures, parse_requests
from tests import synthetic
from tests.serving.conftest import DATA, LAP, live_probability, small_model
from tests.synthetic import HISTORIES

SCHEMA = synthetic.make_schema()
NAMED = ("serving_default", "explain")


def group_of(candidates, lengths, seed=0):
    return synthetic.make_group(SCHEMA, np.random.default_rng(seed), 1, candidates, lengths)


def assert_as_live(exported, groups):
    expected = live_probability(exported.model, groups)
    named = named_tensors(SCHEMA, groups)
    for signature in NAMED:
        np.testing.assert_allclose(exported.serve(signature, **named)["probability"], expected, atol=1e-6)
    answer = exported.serve("serving_examples", examples=[encode_request(SCHEMA, group) for group in groups])
    np.testing.assert_allclose(answer["probability"], expected, atol=1e-6)
    np.testing.assert_array_equal(answer["candidate_mask"], expected > 0)


def test_inputs_are_named_and_of_free_size(exported):
    users, impressions, histories = request_names(SCHEMA)
    expected = {name: [None] for name in users} | {name: [None, None] for name in (*impressions, *histories)}
    for signature in NAMED:
        inputs = exported.loaded.signatures[signature].structured_input_signature[1]
        assert {name: spec.shape.as_list() for name, spec in inputs.items()} == expected
        assert {spec.dtype for spec in inputs.values()} == {tf.int64}
    for unneeded in ("label", "impression_id", "user_key", "short_target_offset", "candidate_mask"):
        assert unneeded not in expected
    ((name, spec),) = exported.loaded.signatures["serving_examples"].structured_input_signature[1].items()
    assert (name, spec.shape.as_list(), spec.dtype) == ("examples", [None], tf.string)


def test_probabilities_are_float32_and_differ(exported):
    named = named_tensors(SCHEMA, [group_of(17, SCHEMA.lengths)])
    probability = exported.serve("serving_default", **named)["probability"]
    assert probability.dtype == np.float32
    assert np.ptp(probability) > 1e-3, "a constant answer would pass every comparison"


def test_random_requests(exported):
    groups = synthetic.make_groups(SCHEMA, 23, seed=3, max_candidates=7)
    assert any(not group["lifelong_source_item_id"] for group in groups)
    assert_as_live(exported, groups)


@pytest.mark.parametrize(("requests", "candidates"), [(1, 1), (1, 17), (3, 1), (2, 5)])
def test_any_number_of_requests_and_candidates(exported, requests, candidates):
    assert_as_live(exported, [group_of(candidates, SCHEMA.lengths, seed) for seed in range(requests)])


@pytest.mark.parametrize("empty", [*([history] for history in HISTORIES), list(HISTORIES)])
def test_empty_histories(exported, empty):
    assert_as_live(exported, [group_of(3, {**SCHEMA.lengths, **dict.fromkeys(empty, 0)})])


def test_only_the_most_recent_events_of_a_longer_history_count(exported):
    long = group_of(3, {"short_target": 11, "short_source": 13, "lifelong_source": 41})
    assert_as_live(exported, [long])
    short = {name: values[:DATA.lengths_of(SCHEMA)[history]] for history in HISTORIES for name, values in long.items()
             if name in SCHEMA.history_names(history)}
    answers = [exported.serve("serving_default", **named_tensors(SCHEMA, [group]))["probability"]
               for group in (long, {**long, **short})]
    np.testing.assert_array_equal(*answers)
    last = DATA.lifelong_length - 1
    long["lifelong_source_item_id"][last] = 2 + long["lifelong_source_item_id"][last] % 50
    changed = exported.serve("serving_default", **named_tensors(SCHEMA, [long]))["probability"]
    assert np.abs(changed - answers[0]).max() > 1e-7, "the oldest event within the length counts"


@given(seed=st.integers(0, 1000), candidates=st.integers(0, 3), events=st.integers(0, 5))
def test_more_padding_changes_nothing(exported, seed, candidates, events):
    named = named_tensors(SCHEMA, [group_of(4, {"short_target": 2, "short_source": 3, "lifelong_source": 7}, seed)])
    _, impressions, histories = request_names(SCHEMA)
    padded = {**named, **{name: np.pad(named[name], ((0, 0), (0, candidates))) for name in impressions},
              **{name: np.pad(named[name], ((0, 0), (0, events))) for name in histories}}
    expected = exported.serve("serving_default", **named)["probability"]
    found = exported.serve("serving_default", **padded)["probability"]
    np.testing.assert_allclose(found[:, :4], expected, atol=1e-6)
    np.testing.assert_array_equal(found[:, 4:], 0)


@given(order=st.permutations(range(5)))
def test_candidates_do_not_influence_each_other(exported, order):
    named = named_tensors(SCHEMA, [group_of(5, SCHEMA.lengths)])
    _, impressions, _ = request_names(SCHEMA)
    permuted = {**named, **{name: named[name][:, order] for name in impressions}}
    expected = exported.serve("serving_default", **named)["probability"][:, order]
    np.testing.assert_allclose(exported.serve("serving_default", **permuted)["probability"], expected, atol=1e-6)
    alone = {**named, **{name: named[name][:, order[:1]] for name in impressions}}
    np.testing.assert_allclose(exported.serve("serving_default", **alone)["probability"], expected[:, :1], atol=1e-6)


def test_explain_points_at_real_events(exported):
    visible = [DATA.lifelong_length, 5, 0]
    groups = [group_of(4, {**SCHEMA.lengths, "lifelong_source": length}) for length in (23, 5, 0)]
    answer = exported.serve("explain", **named_tensors(SCHEMA, groups))
    assert set(answer) == {"probability", *WARNINGS, "msa_indices", "msa_scores", "fsa_indices", "fsa_scores"}
    for level, kept in (("msa", LAP.msa_top_k), ("fsa", LAP.fsa_top_k)):
        indices, scores = answer[f"{level}_indices"], answer[f"{level}_scores"]
        assert indices.shape == scores.shape == (3, 4, kept)
        for request, events in enumerate(visible):
            for candidate in range(4):
                real = indices[request, candidate][indices[request, candidate] >= 0]
                assert len(set(real)) == len(real) == min(kept, events)
                assert not len(real) or real.max() < events
        np.testing.assert_array_equal(scores[indices < 0], 0)
        np.testing.assert_allclose(scores.sum(-1), np.array(visible)[:, np.newaxis] * np.ones(4) > 0, atol=1e-5)
    for request in range(3):
        for candidate in range(4):
            passed_on = set(answer["fsa_indices"][request, candidate]) - {-1}
            assert passed_on <= set(answer["msa_indices"][request, candidate])


def test_explain_is_what_the_model_says(exported):
    group = group_of(3, SCHEMA.lengths)
    answer = exported.serve("explain", **named_tensors(SCHEMA, [group]))
    serialized = tf.constant([encode_request(SCHEMA, group)])
    batch, _ = admit(SCHEMA, DATA.lengths_of(SCHEMA), parse_requests(SCHEMA, serialized))
    embedder = exported.model.embedder
    expected = exported.model.long_term.explain(embedder.read(batch).candidate, embedder.read(batch).lifelong)
    assert expected
    for name, values in expected.items():
        np.testing.assert_allclose(answer[name], values.numpy(), atol=1e-6)


def test_a_model_that_searches_once_explains_itself():
    sizes = sim.Config(top_k=3, attention_dim=4)
    model = small_model(SCHEMA, {("long_term", "sim"): sizes}, long_term="sim", objectives=())
    groups = [group_of(4, {**SCHEMA.lengths, "lifelong_source": length}) for length in (23, 2)]
    named = {name: tf.constant(values) for name, values in named_tensors(SCHEMA, groups).items()}
    answer = build_signatures(model)["explain"](**named)
    assert set(answer) == {"probability", *WARNINGS, "esu_indices", "esu_scores"}
    assert answer["esu_indices"].shape == answer["esu_scores"].shape == (2, 4, 3)
    assert (answer["esu_indices"].numpy()[1, :, 2] == -1).all()


def test_a_model_that_cannot_explain_has_no_such_signature():
    signatures = build_signatures(small_model(SCHEMA, long_term="none"))
    assert set(signatures) == {"serving_default", "serving_examples"}


@pytest.mark.parametrize("name", ["price", "timestamp", "short_source_category", "lifelong_source_timestamp"])
def test_an_example_with_too_few_values_is_refused_by_name(exported, name):
    group = group_of(3, SCHEMA.lengths)
    group[name] = group[name][:-1]
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"{name} must have as many values as"):
        exported.serve("serving_examples", examples=[encode_request(SCHEMA, group)])


def test_an_example_without_the_user_is_refused_by_name(exported):
    group = group_of(3, SCHEMA.lengths)
    group["age"] = []
    with pytest.raises(tf.errors.InvalidArgumentError, match="age"):
        exported.serve("serving_examples", examples=[encode_request(SCHEMA, group)])


@pytest.mark.parametrize("name", ["age", "price", "short_target_behaviour", "lifelong_source_item_id"])
def test_tensors_that_do_not_fit_are_refused_by_name(exported, name):
    named = named_tensors(SCHEMA, [group_of(3, SCHEMA.lengths), group_of(3, SCHEMA.lengths)])
    named[name] = named[name][:1]
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"{name} must have the shape of"):
        exported.serve("serving_default", **named)
