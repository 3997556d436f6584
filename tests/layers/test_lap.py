import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from lcn_tf.layers import LAP, MSA
from lcn_tf.ops.event_forms import gather
from lcn_tf.ops.masking import MASKED_SCORE
from tests import references
from tests.layers.batches import (
    as_tensor,
    assert_matches_reference,
    attention_variables,
    attention_weights,
    gradients,
    random_batch,
    randomise,
)

SMALL = {"msa_top_k": 5, "fsa_top_k": 3, "attention_dim": 6, "num_heads": 2, "ffn_dim": 11, "level_norm": "none"}


def built(batch, seed=1, **options):
    layer = LAP(**{**SMALL, **options})
    call(layer, batch)
    randomise(layer, seed)
    return layer


def call(layer, batch, candidate=None, history=None, context=None):
    return layer(batch.candidate if candidate is None else candidate, batch.history if history is None else history,
                 tf.constant(batch.context) if context is None else context, tf.constant(batch.mask))


def weights_of(layer):
    levels = {"msa": None if layer.share_msa_fsa else layer.msa, "fsa": layer.fsa}
    return {name: attention_weights(level) for name, level in levels.items() if level is not None}


def reference_for(layer, batch, part=0):
    """The oracle as a function of candidate, history and context; part 1 is the positions the levels saw."""
    weights = weights_of(layer)

    def reference(candidate, history, context):
        return [[references.lap(candidate[b, c], history[b], batch.wide_mask[b, c], context[b], weights,
                                layer.msa_top_k, layer.fsa_top_k, layer.num_heads, layer.integration,
                                layer.share_msa_fsa, layer.level_norm)[part]
                 for c in range(candidate.shape[1])] for b in range(candidate.shape[0])]

    return (lambda *inputs: np.array(reference(*inputs))) if part == 0 else reference


LEVELS = [
    {}, {"msa_top_k": None}, {"fsa_top_k": None}, {"integration": "last"}, {"share_msa_fsa": True},
    {"integration": "last", "share_msa_fsa": True}, {"integration": "sum", "attention_dim": 5, "num_heads": 5},
    {"msa_top_k": 200, "fsa_top_k": 50}, {"msa_top_k": 1, "fsa_top_k": 1}, {"level_norm": "rms"},
]


@given(st.integers(0, 10**6), st.sampled_from(LEVELS), st.booleans(), st.integers(1, 3))
def test_values_and_gradients_match_the_loops(seed, options, per_candidate, candidates):
    batch = random_batch(seed, candidates=candidates, length=11, per_candidate=per_candidate)
    layer = built(batch, seed, **options)
    assert_matches_reference(lambda candidate, history, context: call(layer, batch, candidate, history, context),
                             reference_for(layer, batch), [batch.candidate, batch.history, batch.context], seed)


def test_levels_at_the_size_of_the_candidate_match_the_loops():
    batch = random_batch(4, length=11)
    layer = built(batch, level_norm="candidate")
    expected = reference_for(layer, batch)(batch.candidate, batch.history, batch.context)
    np.testing.assert_allclose(call(layer, batch), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("length", [1, 24, 8000])
@pytest.mark.parametrize("scale", [1e-4, 1e-2, 1.0])
@pytest.mark.parametrize("level_norm", ["rms", "candidate"])
def test_normalised_levels_are_of_one_size_whatever_the_scale_and_length(level_norm, scale, length):
    rng = np.random.default_rng(5)
    candidate, history = (tf.constant(scale * rng.normal(size=shape), tf.float32)
                          for shape in ([2, 3, 16], [2, length, 16]))
    size = 0.1 if level_norm == "rms" else np.sqrt(np.mean(np.square(candidate[0]), axis=-1))
    layer = LAP(200, 50, attention_dim=16, level_norm=level_norm)
    with tf.GradientTape() as tape:
        tape.watch([candidate, history])
        interest = layer(candidate, history, mask=tf.constant([[True] * length, [False] * length]))
        total = tf.reduce_sum(tf.square(interest) * tf.range(48.0))
    for level in tf.split(interest, 3, axis=-1):
        np.testing.assert_allclose(np.sqrt(np.mean(np.square(level[0]), axis=-1)), size, rtol=1e-4)
        assert not np.any(level[1])  # an empty history
    assert all(np.all(np.isfinite(gradient)) for gradient in tape.gradient(total, [candidate, history]))


@pytest.mark.parametrize("options", LEVELS)
def test_output_width(options):
    batch = random_batch(2)
    layer = built(batch, **options)
    assert call(layer, batch).shape == (2, 3, layer.output_width(5))


@pytest.mark.parametrize("options", LEVELS)
def test_explain_names_the_events_the_levels_saw(options):
    batch = random_batch(3, length=11)
    layer = built(batch, **options)
    found = layer.explain(tf.constant(batch.candidate), tf.constant(batch.history), tf.constant(batch.context),
                          tf.constant(batch.mask))
    seen = reference_for(layer, batch, part=1)(batch.candidate, batch.history, batch.context)
    levels = [name for name, top_k in (("msa", layer.msa_top_k), ("fsa", layer.fsa_top_k)) if top_k is not None]
    assert set(found) == {f"{name}_{what}" for name in levels for what in ("indices", "scores")}
    for name in levels:
        indices, scores = found[f"{name}_indices"].numpy(), found[f"{name}_scores"].numpy()
        assert indices.shape == scores.shape == (2, 3, min(11, getattr(layer, f"{name}_top_k")))
        assert (scores[indices < 0] == 0).all() and (indices[1] == -1).all()
        np.testing.assert_allclose(scores[0].sum(axis=-1), 1.0, rtol=1e-5)
        for b in range(2):
            for c in range(3):
                assert indices[b, c][indices[b, c] >= 0].tolist() == seen[b][c][name]


def test_empty_slots_follow_the_real_events():
    batch = random_batch(4)
    batch.mask[0] = [False, True, False, False, True, False, False]
    found = built(batch).explain(tf.constant(batch.candidate), tf.constant(batch.history), tf.constant(batch.context),
                                 tf.constant(batch.mask))
    for name, slots in (("msa", 5), ("fsa", 3)):
        indices = found[f"{name}_indices"].numpy()[0]
        assert (np.sort(indices[:, :2]) == [1, 4]).all() and (indices[:, 2:] == -1).all() and indices.shape[1] == slots


def test_full_length_msa_equals_msa_over_the_history():
    batch = random_batch(5)
    layer = built(batch, msa_top_k=7)
    expected, _ = layer.msa(tf.constant(batch.candidate), events=tf.constant(batch.events),
                            mask=tf.constant(batch.mask))
    np.testing.assert_allclose(call(layer, batch)[..., 5:11], expected, rtol=1e-5, atol=1e-6)


def test_top_k_beyond_the_real_events_truncates_nothing():
    batch = random_batch(6, length=13)
    batch.mask[:, 5:] = False
    exact = built(batch, msa_top_k=5, fsa_top_k=5)
    wide = LAP(**{**SMALL, "msa_top_k": 13, "fsa_top_k": 13})
    call(wide, batch)
    for target, source in zip(wide.trainable_variables, exact.trainable_variables, strict=True):
        target.assign(as_tensor(source))
    np.testing.assert_allclose(call(wide, batch), call(exact, batch), rtol=1e-5, atol=1e-6)


def history_gradient(layer, batch):
    _, (_, gradient, _) = gradients(lambda *inputs: call(layer, batch, *inputs),
                                    [batch.candidate, batch.history, batch.context])
    return gradient


def test_events_outside_the_top_k_learn_through_csa_only():
    batch = random_batch(7, candidates=1, length=11)
    for integration, expected in (("concat", True), ("last", False)):
        layer = built(batch, integration=integration)
        found = layer.explain(tf.constant(batch.candidate), tf.constant(batch.history), tf.constant(batch.context),
                              tf.constant(batch.mask))
        kept = set(found["msa_indices" if integration == "concat" else "fsa_indices"].numpy()[0, 0])
        outside = [k for k in range(11) if batch.mask[0, k] and k not in kept]
        assert outside
        assert ((history_gradient(layer, batch)[0, outside] != 0).all(axis=-1) == expected).all()


@pytest.mark.parametrize(("integration", "learns"), [("concat", True), ("last", False)])
def test_msa_projections_learn_only_when_its_interest_is_used(integration, learns):
    batch = random_batch(8)
    layer = built(batch, integration=integration)
    variables = [as_tensor(variable) for variable in attention_variables(layer.msa).values()]
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(call(layer, batch) ** 2)
    found = tape.gradient(total, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    assert all((gradient.numpy() != 0).any() == learns for gradient in found)


def test_shared_msa_adds_no_weights_and_still_learns_with_last():
    batch = random_batch(9)
    layer = built(batch, integration="last", share_msa_fsa=True)
    assert len(layer.trainable_variables) == 7
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(call(layer, batch) ** 2)
    found = tape.gradient(total, [as_tensor(variable) for variable in attention_variables(layer.fsa).values()])
    assert all((gradient.numpy() != 0).any() for gradient in found)


@pytest.mark.parametrize("options", LEVELS)
def test_select_replaces_gathering(options):
    batch = random_batch(10, length=11)
    layer = built(batch, **options)
    asked = []

    def select(indices):
        asked.append(indices.shape)
        return gather(tf.constant(batch.events), indices)

    selected = layer(batch.candidate, batch.history, mask=tf.constant(batch.mask), select=select)
    np.testing.assert_allclose(selected, call(layer, batch), rtol=1e-5, atol=1e-5)
    assert asked == [(2, 3, min(11, top_k)) for top_k in (layer.msa_top_k, layer.fsa_top_k) if top_k]
    found = layer.explain(tf.constant(batch.candidate), tf.constant(batch.history), mask=tf.constant(batch.mask),
                          select=select)
    assert set(found) == set(layer.explain(tf.constant(batch.candidate), tf.constant(batch.history),
                                           tf.constant(batch.context), tf.constant(batch.mask)))


@pytest.mark.parametrize("options", [
    {}, {"msa_top_k": None}, {"fsa_top_k": None}, {"share_msa_fsa": True}, {"msa_norm": "none"}, {"csa_pool": "mean"}],
    ids=str)
@pytest.mark.parametrize("per_candidate", [False, True])
def test_a_context_that_all_candidates_share_may_be_given_for_each(options, per_candidate):
    batch = random_batch(23, candidates=5, length=11, per_candidate=per_candidate)
    layer = built(batch, **options)
    wide = np.repeat(batch.context[:, np.newaxis], 5, axis=1)
    inputs = [batch.candidate, batch.history]
    values = []
    for context in (batch.context, wide):
        def interest(candidate, history, context=context):
            return layer(candidate, history, tf.constant(context), mask=tf.constant(batch.mask))
        values.append(gradients(interest, inputs))
    np.testing.assert_allclose(values[0][0], values[1][0], rtol=1e-5, atol=1e-6)
    for shared, own in zip(values[0][1], values[1][1], strict=True):
        np.testing.assert_allclose(shared, own, rtol=1e-4, atol=1e-5)


def test_context_of_each_candidate():
    batch = random_batch(11, length=11)
    layer = built(batch)
    own = np.random.default_rng(1).normal(size=(2, 3, 11, 2)).astype(np.float32)
    together = call(layer, batch, context=tf.constant(own)).numpy()
    stages = layer.stage_scores(tf.constant(batch.candidate), tf.constant(batch.history), tf.constant(own),
                                tf.constant(batch.mask))
    for c in range(3):
        arguments = (tf.constant(batch.candidate[:, c:c + 1]), tf.constant(batch.history), tf.constant(own[:, c]),
                     tf.constant(batch.mask))
        np.testing.assert_allclose(layer(*arguments)[:, 0], together[:, c], rtol=1e-5, atol=1e-6)
        for name, scores in layer.stage_scores(*arguments).items():
            np.testing.assert_allclose(scores[:, 0], stages[name][:, c], rtol=1e-5, atol=1e-6)


def test_without_context():
    batch = random_batch(12)
    layer = LAP(**SMALL)
    assert layer(batch.candidate, batch.history, mask=tf.constant(batch.mask)).shape == (2, 3, 17)
    assert layer.fsa.projections.event_width == 5


@pytest.mark.parametrize("options", LEVELS)
def test_stage_scores_cover_the_history_and_agree_with_the_cascade(options):
    batch = random_batch(13, length=11)
    layer = built(batch, **options)
    inputs = (tf.constant(batch.candidate), tf.constant(batch.history), tf.constant(batch.context),
              tf.constant(batch.mask))
    stages = {name: scores.numpy() for name, scores in layer.stage_scores(*inputs).items()}
    both = layer.msa_top_k is not None and layer.fsa_top_k is not None
    assert set(stages) == {"gsu", "mid", "final"} if both else {"gsu", "final"}
    for scores in stages.values():
        assert scores.shape == (2, 3, 11) and (scores[~batch.wide_mask] == MASKED_SCORE).all()
        assert (scores[batch.wide_mask] > MASKED_SCORE).all()
    weights = weights_of(layer)
    if layer.fsa_top_k is not None:
        np.testing.assert_allclose(stages["final"][0].sum(axis=-1, where=batch.wide_mask[0]), 1.0, rtol=1e-5)
        expected = references.per_candidate(
            lambda c, e, m: references.fsa_scores(c, e, m, weights["fsa"], layer.num_heads).mean(axis=0),
            batch.candidate, batch.events, batch.mask)
        np.testing.assert_allclose(stages["final"][batch.wide_mask], expected[batch.wide_mask], rtol=1e-4, atol=1e-6)
    found = {name: values.numpy() for name, values in layer.explain(*inputs).items()}
    first, last = ("msa" if layer.msa_top_k is not None else "fsa"), ("fsa" if both else None)
    for c in range(3):
        best = references.top_k(stages["gsu"][0, c], batch.wide_mask[0, c], layer.msa_top_k or layer.fsa_top_k)
        assert [index for index in found[f"{first}_indices"][0, c] if index >= 0] == best
        if last:
            of_kept = [index in best for index in range(11)]
            best = references.top_k(stages["mid"][0, c], of_kept, layer.fsa_top_k)
            assert [index for index in found["fsa_indices"][0, c] if index >= 0] == best


@pytest.mark.parametrize(("options", "message"), [
    ({"msa_top_k": None, "fsa_top_k": None}, "SIM"),
    ({"msa_top_k": 50, "fsa_top_k": 200}, r"msa_top_k=50 and fsa_top_k=200"),
    ({"msa_top_k": 0, "fsa_top_k": None}, r"msa_top_k must be at least 1 or None, got 0"),
    ({"fsa_top_k": -1}, r"fsa_top_k must be at least 1 or None, got -1"),
    ({"integration": "mean"}, r"integration must be one of .*got 'mean'"),
    ({"share_msa_fsa": True, "fsa_top_k": None}, r"share_msa_fsa needs both levels"),
    ({"csa_pool": "max"}, r"csa pool"),
    ({"level_norm": "layer"}, r"level_norm must be one of .*got 'layer'"),
    ({"msa_norm": "max"}, r"msa norm"),
])
def test_constructor_errors(options, message):
    with pytest.raises(ValueError, match=message):
        LAP(**options)


def test_call_errors():
    batch = random_batch(14)
    with pytest.raises(ValueError, match="integration='sum' needs an item width equal to attention_dim, got 5 and 6"):
        built(batch, integration="sum")
    with pytest.raises(ValueError, match="mask must be a bool tensor"):
        LAP(**SMALL)(batch.candidate, batch.history)


def test_msa_is_the_plain_layer():
    assert isinstance(LAP().msa, MSA) and LAP(msa_top_k=None).msa is None and LAP(fsa_top_k=None).fsa is None
