"""Every form of events gives the values and gradients of the wide tensor, without building it."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from lcn_tf.layers import CSA, FSA, LAP, MSA, TargetMHA, TwinAttention, lap
from lcn_tf.layers.csa import CSA_POOLS
from lcn_tf.ops.compact_events import Compact
from lcn_tf.ops.event_forms import (
    Beside,
    as_tensor,
    beside,
    compact,
    gather,
    num_requests,
    products,
    project,
    split,
    weighted_sums,
    width_of,
)
from tests.layers import batches
from tests.layers.batches import gradients, randomise, weighted_sum
from tests.ops.event_forms import KINDS, REQUESTS, Events

SMALL = {"msa_top_k": 5, "fsa_top_k": 3, "attention_dim": 6, "num_heads": 2, "ffn_dim": 11}
OPTIONS = [{}, {"msa_top_k": None}, {"fsa_top_k": None}, {"share_msa_fsa": True}, {"msa_norm": "none"},
           {"integration": "last"}, {"msa_top_k": 50, "fsa_top_k": 50}, {"fsa_pool": "per_item"},
           {"csa_pool": "softmax"}]
ITEMS = [("gathered", "shared"), ("bucketed", "one"), ("tensor", "shared")]
GAP = ("bucketed", "own")
KEPT = [kind for kind in KINDS if kind[1] != "one" or kind[0] == "bucketed"]  # what an embedder makes


def normal(seed, *shape):
    return np.round(8 * np.random.default_rng(seed).normal(size=shape)).astype(np.float32) / 8


def assert_same(function, events, inputs):
    """Values and gradients of `function(form of the sources, *inputs)` are the same for both forms."""
    def run(form):
        count = len(events.sources)
        return gradients(lambda *tensors: function(form(*tensors[:count]), *tensors[count:]),
                         [*events.sources, *inputs])

    (value, found), (expected, expected_found) = run(events.mixed), run(events.wide)
    np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-5)
    for gradient, other in zip(found, expected_found, strict=True):
        np.testing.assert_allclose(gradient, other, rtol=1e-4, atol=1e-5 * np.abs(other).max(initial=1.0))


def assert_same_weight_gradients(layer, function, events, *inputs):
    found = []
    for form in (events.mixed, events.wide):
        with tf.GradientTape() as tape:
            total = weighted_sum(function(form(*map(tf.constant, events.sources)), *map(tf.constant, inputs)))
        found.append(tape.gradient(total, [batches.as_tensor(variable) for variable in layer.trainable_variables]))
    for gradient, expected in zip(*found, strict=True):
        assert (gradient is None) == (expected is None)
        if gradient is not None:
            np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-5 * max(1.0, np.abs(expected).max()))


PARTS = st.lists(st.sampled_from(KINDS), min_size=1, max_size=3)


@settings(max_examples=40)
@given(st.integers(0, 10**6), PARTS, st.integers(1, 3), st.integers(1, 2), st.sampled_from([0, 1, 2, 7]),
       st.integers(1, 5), st.booleans())
def test_products_and_sums_equal_those_of_the_wide_tensor(seed, kinds, candidates, heads, length, num_rows, one_query):
    events = Events(seed, kinds, candidates, length, num_rows=num_rows)
    queries = normal(seed, REQUESTS, 1 if one_query else candidates, heads, events.width)
    weights = normal(seed + 1, REQUESTS, candidates, heads, length)

    def inner(form, queries):
        return tf.broadcast_to(products(queries, form), [REQUESTS, candidates, heads, length])

    assert_same(inner, events, [queries])
    assert_same(lambda form, weights: weighted_sums(weights, form), events, [weights])
    assert_same(lambda form, kernel: events.for_candidates(project(form, kernel)), events,
                [normal(seed + 2, events.width, 3)])


@given(st.integers(0, 10**6), st.lists(st.sampled_from(KEPT), min_size=1, max_size=3), st.integers(1, 3),
       st.sampled_from([1, 2, 7]), st.integers(0, 4))
def test_chosen_events_and_tensors_equal_those_of_the_wide_tensor(seed, kinds, candidates, length, kept):
    events = Events(seed, kinds, candidates, length)
    indices = tf.constant(np.random.default_rng(seed).integers(0, length, (REQUESTS, candidates, kept)), tf.int32)
    assert_same(lambda form: events.for_candidates(as_tensor(form)), events, [])
    assert_same(lambda form: as_tensor(gather(form, indices)), events, [])


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.lists(st.sampled_from([kind for kind in KINDS if kind[1] != "own"]), min_size=1,
                                       max_size=3), st.integers(1, 3), st.sampled_from([1, 7]), st.integers(1, 7))
def test_what_candidates_share_is_compact(seed, kinds, candidates, length, num_rows):
    events = Events(seed, kinds, candidates, length, num_rows=num_rows)
    queries, weights = (normal(seed, REQUESTS, candidates, 2, size) for size in (events.width, length))
    indices = tf.constant(np.random.default_rng(seed).integers(0, length, (REQUESTS, candidates, 3)), tf.int32)

    def of(function):  # the wide tensor, `[B, C, L, E]`, is of each candidate and stays as it is
        return lambda form, *inputs: function(form if tf.is_tensor(form) and form.shape.rank == 4 and
                                              form.shape[1] == candidates > 1 else compact(form), *inputs)

    assert_same(of(lambda form, queries: products(queries, form)), events, [queries])
    assert_same(of(lambda form, weights: weighted_sums(weights, form)), events, [weights])
    assert_same(of(lambda form, kernel: events.for_candidates(project(form, kernel))), events,
                [normal(seed + 2, events.width, 3)])
    assert_same(of(lambda form: events.for_candidates(as_tensor(form))), events, [])
    assert_same(of(lambda form: as_tensor(gather(form, indices))), events, [])
    form = compact(events.mixed(*map(tf.constant, events.sources)))
    assert width_of(form) == events.width and int(num_requests(form)) == REQUESTS
    few = [num_rows if kind == "bucketed" and num_rows < width else width
           for (kind, _), width in zip(kinds, events.widths, strict=True)]
    assert form.columns.shape == (REQUESTS, length, sum(few))


@pytest.mark.parametrize("form", ["tensor", "bucketed", "gathered"])
def test_what_differs_between_candidates_is_not_compact(form):
    events = Events(1, [("tensor", "shared"), ("bucketed", "one"), (form, "own")], 3, 7)
    parts = events.mixed(*map(tf.constant, events.sources)).parts
    shared, own = compact(beside(*parts)).parts
    assert isinstance(shared, Compact) and width_of(shared) == 8 and own is parts[2]
    assert compact(beside(own, *parts[:2])) is None


def test_parts_split_where_one_ends():
    events = Events(1, [("gathered", "shared"), ("bucketed", "one"), ("tensor", "own")], 3, 7)
    form = events.mixed(*map(tf.constant, events.sources))
    assert width_of(form) == 10 and int(num_requests(form)) == REQUESTS
    assert [width_of(part) for part in split(form, 5)] == [5, 5]
    first, rest = split(form, 8)
    assert isinstance(first, Beside) and first.parts == form.parts[:2] and rest is form.parts[2]
    assert beside(None, first, None, rest).parts == form.parts
    with pytest.raises(ValueError, match=r"end at columns \[5, 8, 10\] cannot be cut at column 6"):
        split(form, 6)
    with pytest.raises(ValueError, match="one part and 5 columns cannot be cut at column 3"):
        split(form.parts[0], 3)
    assert [part.shape[-1] for part in split(form.parts[2], 1)] == [1, 1]


@pytest.mark.parametrize("beside_another", [False, True])
def test_compact_vectors_split_where_a_block_ends(beside_another):
    events = Events(1, [("tensor", "shared"), ("bucketed", "one"), ("tensor", "own")], 3, 7)
    form = events.mixed(*map(tf.constant, events.sources))
    shared = compact(beside(*form.parts[:2]))
    first, rest = split(beside(shared, form.parts[2]) if beside_another else shared, 5)
    assert isinstance(first, Compact) and isinstance(rest, Beside if beside_another else Compact)
    for found, expected in ((first, form.parts[0]), (rest, beside(*form.parts[1:3 if beside_another else 2]))):
        np.testing.assert_allclose(np.squeeze(as_tensor(found)), np.squeeze(as_tensor(expected)), rtol=1e-6)
    with pytest.raises(ValueError, match="cannot be cut at column 6"):
        split(shared, 6)


def attend(layer, mask):
    def interest(events, candidate):
        return layer(candidate, events=events, mask=mask)[0]

    return interest


def random_mask(seed, events):
    """For every candidate; the last one of the last request has no event."""
    mask = np.random.default_rng(seed).random(events.shape) < 0.8
    mask[-1, -1] = False
    return tf.constant(mask)


@pytest.mark.parametrize("kinds", [[("gathered", "shared")], [("gathered", "shared"), ("bucketed", "one"), GAP],
                                   [("gathered", "own"), ("tensor", "own"), GAP]], ids=str)
@pytest.mark.parametrize("make", [
    lambda: MSA(6), lambda: MSA(6, "none"), lambda: FSA(6, 2), lambda: FSA(6, 2, pool="per_item"),
    lambda: TargetMHA(6, 2), lambda: TwinAttention(6, 2), lambda: TwinAttention(6, 2, num_context_fields=2)],
    ids=["msa", "msa none", "fsa", "fsa per_item", "target", "twin", "twin with context"])
def test_every_attention_equals_itself_over_the_wide_tensor(make, kinds):
    layer = make()
    if len(kinds) == 1 and isinstance(layer, TwinAttention):
        kinds = [kinds[0], ("gathered", "shared")]  # the context is a part of its own
    for candidates in (1, 3):
        events = Events(11, kinds, candidates, 7, widths=(5, 2, 2) if len(kinds) == 3 else (5, 4))
        candidate = normal(12, REQUESTS, candidates, 5)
        interest = attend(layer, random_mask(13, events))
        interest(events.wide(*map(tf.constant, events.sources)), tf.constant(candidate))
        randomise(layer, 2)
        assert_same(interest, events, [candidate])
        assert_same_weight_gradients(layer, interest, events, candidate)


@pytest.mark.parametrize("kinds", [*([kind] for kind in ITEMS), ITEMS], ids=str)
@pytest.mark.parametrize("pool", CSA_POOLS)
def test_csa_equals_itself_over_the_wide_tensor(pool, kinds):
    for candidates in (1, 3):
        events = Events(17, kinds, candidates, 7)
        mask = random_mask(18, events)
        layer = CSA(pool)

        def interest(form, candidate, layer=layer, mask=mask):
            history = form[:, 0] if isinstance(form, tf.Tensor) and form.shape.rank == 4 else form
            interest, scores = layer(candidate, history, mask=mask)
            return tf.concat([interest, tf.where(mask, scores, 0.0)], -1)

        assert_same(interest, events, [normal(19, REQUESTS, candidates, events.width)])


class Pyramid:
    """LAP over items of the forms `ITEMS` and a context of which each candidate has a part of its own."""

    def __init__(self, seed, kinds, candidates, length, width=5, context=(("gathered", "shared"), GAP), **options):
        self.items = len(kinds)
        widths = (*[width] * self.items, 2, 3)
        self.events = Events(seed, [*kinds, *context], candidates, length, widths)
        self.candidate = normal(seed + 1, REQUESTS, candidates, width * self.items)
        self.mask = random_mask(seed, self.events)
        self.layer = LAP(**{**SMALL, **options})
        self.interest(self.events.wide(*map(tf.constant, self.events.sources)), tf.constant(self.candidate))
        randomise(self.layer, 1)

    def parts(self, form):
        """History and context of one form or the other."""
        width = self.candidate.shape[-1]
        if width == self.events.width:
            return (form[:, 0] if isinstance(form, tf.Tensor) else form), None
        if isinstance(form, Beside):
            return split(form, width)
        return form[:, 0, :, :width], form[..., width:]

    def interest(self, form, candidate):
        return self.layer(candidate, *self.parts(form), self.mask)


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.sampled_from(OPTIONS), st.lists(st.sampled_from(ITEMS), min_size=1, max_size=2),
       st.integers(1, 3), st.sampled_from([1, 2, 13]))
def test_lap_equals_itself_over_the_wide_tensor(seed, options, kinds, candidates, length):
    pyramid = Pyramid(seed, kinds, candidates, length, **options)
    assert_same(pyramid.interest, pyramid.events, [pyramid.candidate])


JOINT = [("gathered", "shared"), ("bucketed", "one"), ("gathered", "shared")]
JOINT_OPTIONS = [{}, {"fsa_top_k": None}, {"msa_norm": "none"}, {"csa_pool": "mean", "csa_scale": True},
                 {"msa_top_k": 50, "fsa_top_k": 50}, {"integration": "last"}]


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.sampled_from(JOINT_OPTIONS), st.integers(1, 3), st.sampled_from([None, "one", "own"]),
       st.sampled_from([1, 2, 5, 13, 26]), st.sampled_from([None, 2]))
def test_levels_that_share_their_passes_equal_those_over_the_wide_tensor(seed, options, items, gap, length, shown):
    """Places repeat, so that scores tie where one event is kept and the other is not."""
    context = [] if gap is None else [("bucketed", gap)]
    pyramid = Pyramid(seed, JOINT[:items], 3, length, context=context, **options)
    if shown is not None:
        pyramid.mask &= tf.range(length) < shown
    joint = lap.joint_levels
    calls = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lap, "joint_levels", lambda *arguments: calls.append(1) or joint(*arguments))
        assert_same(pyramid.interest, pyramid.events, [pyramid.candidate])
        assert_same_weight_gradients(pyramid.layer, pyramid.interest, pyramid.events, pyramid.candidate)
    assert len(calls) == (2 if length <= lap.JOINT_EVENTS * pyramid.layer.msa_top_k else 0)


def test_events_that_are_selected_are_never_those_of_shared_passes():
    pyramid = Pyramid(5, JOINT[:1], 3, 13)
    events = pyramid.events
    form, other = (events.mixed(*map(tf.constant, sources)) for sources in (
        events.sources, [np.flip(source, 0) for source in events.sources]))
    arguments = (tf.constant(pyramid.candidate), *pyramid.parts(form), pyramid.mask)
    found = pyramid.layer(*arguments, select=lambda indices: gather(other, indices))
    expected = pyramid.layer(pyramid.candidate, pyramid.parts(form)[0], None, pyramid.mask,
                             select=lambda indices: gather(as_tensor(other), indices))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    assert np.abs(found - pyramid.layer(*arguments)).max() > 0.1


def test_lap_learns_scores_and_explains_the_same_over_the_wide_tensor():
    pyramid = Pyramid(5, ITEMS[:2], 3, 13)
    assert_same_weight_gradients(pyramid.layer, pyramid.interest, pyramid.events, pyramid.candidate)
    forms = [form(*map(tf.constant, pyramid.events.sources)) for form in (pyramid.events.mixed, pyramid.events.wide)]
    for function in (pyramid.layer.stage_scores, pyramid.layer.explain):
        found, expected = (function(pyramid.candidate, *pyramid.parts(form), mask=pyramid.mask) for form in forms)
        for name, value in expected.items():
            np.testing.assert_allclose(found[name], value, rtol=1e-5, atol=1e-5, err_msg=name)


def large_tensors(function, inputs, size):
    """Kinds of operations, with repetition, whose output in a step forward and backward has `size` elements or more."""
    @tf.function
    def step(*inputs):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            total = tf.reduce_sum(function(*inputs) ** 2)
        return tape.gradient(total, inputs)

    graph = step.get_concrete_function(*map(tf.constant, inputs)).graph
    return sorted(operation.type for operation in graph.get_operations() for output in operation.outputs
                  if (output.shape.num_elements() or 0) >= size)


GATHERED = ["GatherV2", "StopGradient"]  # the forward's, of vectors that carry no gradient
PER_EVENT = ["BatchMatMulV2", "Reshape"]  # one gradient for each event, where several queries read it


@pytest.mark.parametrize("candidates", [1, 7])
def test_lap_builds_nothing_for_every_event(candidates):
    """Neither forward nor backward, projections included: with several candidates, one gradient by event."""
    pyramid = Pyramid(13, ITEMS[:1], candidates, 37, width=29, attention_dim=30)
    found = large_tensors(lambda candidate, *sources: pyramid.interest(pyramid.events.mixed(*sources), candidate),
                          [pyramid.candidate, *pyramid.events.sources], size=REQUESTS * 37 * 29)
    assert found == sorted([*GATHERED, *([] if candidates == 1 else PER_EVENT)])


@pytest.mark.parametrize("layer", [MSA(30), FSA(30, 1, 11), FSA(30, 2, 11)], ids=["msa", "one head", "two heads"])
def test_attention_over_all_events_builds_nothing_for_every_event(layer):
    """Of two heads, the gradient by event of the products and that of the sums, each once for both."""
    events = Events(13, [("gathered", "shared"), GAP], 1, 37, widths=(29, 3))
    interest = attend(layer, random_mask(3, events))
    candidate = normal(4, REQUESTS, 1, 29)
    interest(events.mixed(*map(tf.constant, events.sources)), tf.constant(candidate))
    found = large_tensors(lambda candidate, *sources: interest(events.mixed(*sources), candidate),
                          [candidate, *events.sources], size=REQUESTS * 37 * 29)
    assert found == sorted([*GATHERED, *PER_EVENT * 2 * (getattr(layer, "num_heads", 1) - 1)])
