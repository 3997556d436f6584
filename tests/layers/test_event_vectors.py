import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from lcn_tf.layers import FSA, LAP, MSA, TwinAttention
from lcn_tf.layers.event_vectors import BucketedVectors, products, weighted_sums
from tests.layers.batches import as_tensor, gradients, random_batch, randomise

SMALL = {"msa_top_k": 5, "fsa_top_k": 3, "attention_dim": 6, "num_heads": 2, "ffn_dim": 11}
OPTIONS = [{}, {"msa_top_k": None}, {"fsa_top_k": None}, {"share_msa_fsa": True}, {"msa_norm": "none"},
           {"integration": "last"}, {"msa_top_k": 50, "fsa_top_k": 50}, {"fsa_pool": "per_item"}]


class Case:
    """A batch whose context is `context` followed by a row of its bucket."""

    def __init__(self, seed, candidates=3, length=11, num_buckets=4, **options):
        self.batch = random_batch(seed, candidates=candidates, length=length, per_candidate=True, **options)
        rng = np.random.default_rng(seed)
        self.rows = rng.normal(size=(num_buckets, 3)).astype(np.float32)
        self.buckets = rng.integers(0, num_buckets, (2, candidates, length))
        self.mask = tf.constant(self.batch.mask)
        self.inputs = [self.batch.candidate, self.batch.history, self.batch.context, self.rows]

    def bucketed(self, shared, rows):
        return BucketedVectors(shared, rows, tf.constant(self.buckets))

    def wide(self, shared, rows):
        """The same as one tensor `[B, C, L, E]`."""
        shared = tf.repeat(shared[:, tf.newaxis], self.buckets.shape[1], axis=1)
        return tf.concat([shared, tf.gather(rows, self.buckets)], -1)


def assert_equal(function, case, forms, inputs):
    """Values and gradients of `function(form, *inputs)` are the same for both forms."""
    (value, found), (expected, expected_found) = (
        gradients(lambda *tensors, form=form: function(form, *tensors), inputs) for form in forms)
    np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-5)
    for gradient, other in zip(found, expected_found, strict=True):
        np.testing.assert_allclose(gradient, other, rtol=1e-4, atol=1e-5 * np.abs(other).max(initial=1.0))


@given(st.integers(0, 10**6), st.integers(1, 3), st.integers(0, 7), st.integers(1, 5))
def test_products_and_sums_equal_those_of_the_wide_tensor(seed, candidates, length, num_buckets):
    case = Case(seed, candidates, length, num_buckets)
    rng = np.random.default_rng(seed)
    queries = rng.normal(size=(2, candidates, 2, 8)).astype(np.float32)  # 5 of the item, 3 of the bucket
    weights = rng.normal(size=(2, candidates, 2, length)).astype(np.float32)
    shared = case.batch.history
    forms = [case.bucketed, case.wide]
    assert_equal(lambda form, queries, *parts: products(queries, form(*parts)), case, forms,
                 [queries, shared, case.rows])
    assert_equal(lambda form, weights, *parts: weighted_sums(weights, form(*parts)), case, forms,
                 [weights, shared, case.rows])


def lap_of(case, **options):
    """A layer built by its first call, over a bucketed context."""
    layer = LAP(**{**SMALL, **options})
    run_lap(layer, case, case.bucketed, *case.inputs)
    randomise(layer, 1)
    return layer


def run_lap(layer, case, form, candidate, history, shared, rows):
    return layer(candidate, history, form(tf.convert_to_tensor(shared), tf.convert_to_tensor(rows)), case.mask)


@given(st.integers(0, 10**6), st.sampled_from(OPTIONS), st.integers(1, 3), st.integers(1, 13), st.integers(1, 5))
def test_lap_equals_gathering(seed, options, candidates, length, num_buckets):
    case = Case(seed, candidates, length, num_buckets)
    layer = lap_of(case, **options)
    assert_equal(lambda form, *inputs: run_lap(layer, case, form, *inputs), case, [case.bucketed, case.wide],
                 case.inputs)


def test_weights_learn_the_same_as_by_gathering():
    case = Case(5)
    layer = lap_of(case)
    found = []
    for form in (case.bucketed, case.wide):
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(run_lap(layer, case, form, *case.inputs) ** 2)
        found.append(tape.gradient(total, [as_tensor(variable) for variable in layer.trainable_variables]))
    for gradient, expected in zip(*found, strict=True):
        np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-5 * max(1.0, np.abs(expected).max()))


def test_stage_scores_and_explanations_equal_those_of_the_wide_context():
    case = Case(7)
    layer = lap_of(case)
    candidate, history, *parts = (tf.constant(value) for value in case.inputs)
    for function in (layer.stage_scores, layer.explain):
        found, expected = (function(candidate, history, form(*parts), case.mask)
                           for form in (case.bucketed, case.wide))
        for name, value in expected.items():
            np.testing.assert_allclose(found[name], value, rtol=1e-5, atol=1e-5)


def test_order_and_padding_of_the_history_do_not_matter():
    case = Case(9)
    layer = lap_of(case)
    expected = run_lap(layer, case, case.bucketed, *case.inputs)
    order = np.random.default_rng(0).permutation(np.arange(13) % 11)
    first = [np.flatnonzero(order == place)[0] for place in range(11)]  # the other two places are padding
    real = np.isin(np.arange(13), first)
    case.buckets = case.buckets[:, :, order]
    case.mask = tf.constant(case.batch.mask[:, :, order] & real)
    candidate, history, shared, rows = case.inputs
    found = run_lap(layer, case, case.bucketed, candidate, history[:, order], shared[:, order], rows)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    assert (found.numpy()[~case.mask.numpy().any(-1)] == 0).all()


@pytest.mark.parametrize("layer", [MSA(6), FSA(6, 2), TwinAttention(6, 2), TwinAttention(6, 2, num_context_fields=5)],
                         ids=["msa", "fsa", "twin", "twin with context"])
def test_each_attention_equals_itself_over_the_wide_tensor(layer):
    case = Case(11)
    forms = [case.bucketed, case.wide]

    def interest(form, candidate, history, shared, rows):
        return layer(candidate, events=form(tf.concat([history, shared], -1), rows), mask=case.mask)[0]

    interest(case.bucketed, *(tf.constant(value) for value in case.inputs))
    randomise(layer, 2)
    assert_equal(interest, case, forms, case.inputs)


def test_nothing_is_built_for_every_candidate_and_event():
    """Neither forward nor backward, whatever the candidates' moments: that is what the bucketed form is for."""
    case = Case(13, candidates=7, length=37, num_buckets=3, width=29)
    layer = lap_of(case)

    @tf.function
    def step(*inputs):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            total = tf.reduce_sum(run_lap(layer, case, case.bucketed, *inputs) ** 2)
        return tape.gradient(total, inputs)

    graph = step.get_concrete_function(*(tf.constant(value) for value in case.inputs)).graph
    sizes = [output.shape.num_elements() or 0 for operation in graph.get_operations() for output in operation.outputs]
    assert 2 * 7 * 37 * 3 in sizes and max(sizes) < 2 * 7 * 37 * 29
