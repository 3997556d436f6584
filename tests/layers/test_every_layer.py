"""Properties that every layer over a history has; a layer missing from `CASES` fails the last test."""

import dataclasses
import inspect
from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from lcn_tf import layers
from lcn_tf.layers.history_layer import HistoryLayer
from tests.layers.batches import Batch, as_tensor, gradients, random_batch, randomise

SMALL = {"msa_top_k": 5, "fsa_top_k": 3, "attention_dim": 6, "num_heads": 2}


@dataclasses.dataclass(frozen=True)
class Case:
    """A layer, its options, and how to get an interest `[B, C, D_z]` from candidate, history, context and mask."""

    layer: type
    options: dict
    run: Callable

    def create(self, **extra):
        return self.layer(**self.options, **extra)

    def __str__(self):
        return "-".join([self.layer.__name__, *(f"{key}_{value}" for key, value in self.options.items()
                                                if SMALL.get(key) != value)])


def run_csa(layer, candidate, history, context, mask):
    return layer(candidate, history, mask=mask)[0]


def run_attention(layer, candidate, history, context, mask):
    return layer(candidate, events=tf.concat([history, context], axis=-1), mask=mask)[0]


def run_lap(layer, candidate, history, context, mask):
    return layer(candidate, history, context, mask)


def run_search(layer, candidate, history, context, mask):
    return layer(candidate, history, mask=mask)[0]


def run_din(layer, candidate, history, context, mask):
    return layer(candidate, history, mask=mask)


def run_with_context(layer, candidate, history, context, mask):
    return layer(candidate, history, mask=mask, context=context)


CASES = [
    *(Case(layers.CSA, {"pool": pool}, run_csa) for pool in ("sum", "mean", "softmax", "abs_norm")),
    *(Case(layers.MSA, {"attention_dim": 6, "norm": norm}, run_attention) for norm in ("softmax", "none")),
    *(Case(layers.FSA, {"attention_dim": 6, "num_heads": 2, "pool": pool}, run_attention)
      for pool in ("query", "per_item")),
    Case(layers.FSA, {"attention_dim": 6, "num_heads": 2, "residual": True, "layer_norm": True, "dropout": 0.1},
         run_attention),
    Case(layers.LAP, SMALL, run_lap),
    Case(layers.LAP, {**SMALL, "msa_top_k": None}, run_lap),
    Case(layers.LAP, {**SMALL, "fsa_top_k": None}, run_lap),
    Case(layers.LAP, {**SMALL, "integration": "last", "share_msa_fsa": True}, run_lap),
    Case(layers.DINAttention, {"hidden_units": (7, 3)}, run_din),
    Case(layers.DINAttention, {"hidden_units": (), "use_softmax": False}, run_din),
    Case(layers.DINAttention, {"hidden_units": (7, 3), "context_width": 2}, run_with_context),
    *(Case(layers.InterestEvolution, {"hidden_units": (7, 3), "augru": augru}, run_din) for augru in ("paper", "code")),
    Case(layers.InterestEvolution, {"hidden_units": (7, 3), "context_width": 2}, run_with_context),
    Case(layers.HashPooling, {"num_hashes": 5, "hash_bits": 1}, run_din),
    Case(layers.SoftSearch, {"attention_dim": 6}, run_search),
    Case(layers.SoftSearch, {"attention_dim": 6, "pool": "softmax"}, run_search),
    Case(layers.TargetMHA, {"attention_dim": 6, "num_heads": 2}, run_attention),
    *(Case(layers.TwinAttention, {"attention_dim": 6, "num_heads": 2, "num_context_fields": fields,
                                  "beta_per_head": fields == 2}, run_attention) for fields in (1, 2)),
]
ORDERED = (layers.InterestEvolution,)  # these read the order of the events
every_case = pytest.mark.parametrize("case", CASES, ids=str)
few = settings(max_examples=3)
one_per_layer = pytest.mark.parametrize("case", {case.layer: case for case in CASES}.values(), ids=str)


def run(case, layer, batch):
    inputs = (batch.candidate, batch.history, batch.context, batch.mask)
    return case.run(layer, *(tf.constant(value) for value in inputs))


def built(case, batch, seed=1, **extra):
    layer = case.create(**extra)
    run(case, layer, batch)
    randomise(layer, seed)
    return layer


def differentiate(case, layer, batch):
    """Interest, and gradients of candidate, history and context."""
    return gradients(lambda *inputs: case.run(layer, *inputs, tf.constant(batch.mask)),
                     [batch.candidate, batch.history, batch.context])


def weight_gradients(case, layer, batch):
    variables = [as_tensor(variable) for variable in layer.trainable_variables]
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(run(case, layer, batch) ** 2)
    found = tape.gradient(total, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    return [gradient.numpy() for gradient in found]


def close(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)


@every_case
@few
@given(seed=st.integers(0, 10**6), padding=st.integers(1, 7), per_candidate=st.booleans())
def test_padding_changes_no_value_and_no_gradient(case, seed, padding, per_candidate):
    batch = random_batch(seed, length=11, per_candidate=per_candidate)
    layer = built(case, batch, seed)
    value, found = differentiate(case, layer, batch)
    rng = np.random.default_rng(seed)

    def pad(array):  # large numbers: any influence shows
        return np.concatenate([array, rng.normal(scale=30.0, size=(2, padding, array.shape[-1])).astype(np.float32)], 1)

    mask = np.concatenate([batch.mask, np.zeros((*batch.mask.shape[:-1], padding), bool)], axis=-1)
    padded = Batch(batch.candidate, pad(batch.history), pad(batch.context), mask)
    padded_value, padded_found = differentiate(case, layer, padded)
    close(padded_value, value)
    close(padded_found[0], found[0])
    for gradient, expected in zip(padded_found[1:], found[1:], strict=True):
        close(gradient[:, :11], expected)
        assert (gradient[:, 11:] == 0).all()
    for gradient, expected in zip(weight_gradients(case, layer, padded), weight_gradients(case, layer, batch),
                                  strict=True):
        np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-5 * max(1.0, np.abs(expected).max()))


@pytest.mark.parametrize("case", [case for case in CASES if case.layer not in ORDERED], ids=str)
@few
@given(seed=st.integers(0, 10**6))
def test_permuting_the_history_changes_nothing(case, seed):
    batch = random_batch(seed, length=11)
    layer = built(case, batch, seed)
    order = np.random.default_rng(seed).permutation(11)
    permuted = Batch(batch.candidate, batch.history[:, order], batch.context[:, order], batch.mask[:, order])
    close(run(case, layer, permuted), run(case, layer, batch))


@every_case
@few
@given(seed=st.integers(0, 10**6))
def test_permuting_the_batch_permutes_the_output(case, seed):
    batch = random_batch(seed, requests=5)
    layer = built(case, batch, seed)
    order = np.random.default_rng(seed).permutation(5)
    permuted = Batch(*(getattr(batch, field.name)[order] for field in dataclasses.fields(Batch)))
    close(run(case, layer, permuted), run(case, layer, batch).numpy()[order])


@every_case
@few
@given(seed=st.integers(0, 10**6), per_candidate=st.booleans())
def test_candidates_of_a_request_equal_requests_of_one_candidate(case, seed, per_candidate):
    batch = random_batch(seed, per_candidate=per_candidate)
    layer = built(case, batch, seed)
    together = run(case, layer, batch).numpy()
    flat = Batch(batch.candidate.reshape(6, 1, 5), np.repeat(batch.history, 3, axis=0),
                 np.repeat(batch.context, 3, axis=0), batch.wide_mask.reshape(6, -1))
    close(run(case, layer, flat), together.reshape(6, 1, -1))


@every_case
def test_empty_history_gives_zeros_and_finite_gradients(case):
    batch = random_batch(3)
    batch.mask[:] = False
    layer = built(case, batch)
    value, found = differentiate(case, layer, batch)
    assert (value == 0).all()
    for gradient in found:
        assert (gradient == 0).all()
    for gradient in weight_gradients(case, layer, batch):
        assert (gradient == 0).all()


@every_case
def test_get_config_restores_the_layer(case):
    batch = random_batch(4)
    layer = built(case, batch)
    copy = type(layer).from_config(layer.get_config())
    assert copy.get_config() == layer.get_config()
    named = set(inspect.signature(type(layer)).parameters) - {"kwargs"}
    assert named <= set(layer.get_config())
    run(case, copy, batch)
    for target, source in zip(copy.trainable_variables, layer.trainable_variables, strict=True):
        target.assign(as_tensor(source))
    np.testing.assert_array_equal(run(case, copy, batch), run(case, layer, batch))


@every_case
def test_mixed_precision_follows_the_policy_and_stays_close(case):
    batch = random_batch(5)
    # Rounding may swap events at the edge of a top-k; with every event kept it can only perturb values.
    case = dataclasses.replace(case, options={**case.options, **{name: 7 for name in ("msa_top_k", "fsa_top_k")
                                                                 if case.options.get(name)}})
    layer = built(case, batch)
    mixed = built(case, batch, dtype="mixed_bfloat16")
    value = run(case, mixed, batch)
    assert value.dtype == tf.bfloat16
    assert all(as_tensor(variable).dtype == tf.float32 for variable in mixed.trainable_variables)
    expected = run(case, layer, batch).numpy()
    np.testing.assert_allclose(tf.cast(value, tf.float32), expected, atol=0.1 * np.abs(expected).max())
    assert all(np.isfinite(gradient).all() for gradient in weight_gradients(case, mixed, batch))


def test_scores_are_float32_in_mixed_precision():
    batch = random_batch(6)
    events, mask = tf.constant(batch.events), tf.constant(batch.mask)
    assert layers.CSA(dtype="mixed_bfloat16")(batch.candidate, batch.history, mask=mask)[1].dtype == tf.float32
    assert layers.MSA(dtype="mixed_bfloat16")(batch.candidate, events=events, mask=mask)[1].dtype == tf.float32
    assert layers.FSA(dtype="mixed_bfloat16")(batch.candidate, events=events, mask=mask)[1].dtype == tf.float32


@every_case
def test_one_trace_serves_every_shape(case):
    """B, C and L unknown, first call inside the function: variables are lifted out and nothing is baked in."""
    layer = case.create()
    traces = []

    @tf.function(input_signature=[
        *(tf.TensorSpec([None, None, width]) for width in (5, 5, 2)), tf.TensorSpec([None, None], tf.bool)])
    def interest(candidate, history, context, mask):
        traces.append(1)
        return case.run(layer, candidate, history, context, mask)

    for requests, candidates, length in ((2, 3, 7), (3, 1, 2), (1, 5, 11)):
        batch = random_batch(7, requests, candidates, length)
        inputs = (batch.candidate, batch.history, batch.context, batch.mask)
        found = interest(*(tf.constant(value) for value in inputs)).numpy()
        assert found.shape[:2] == (requests, candidates)
        close(found, run(case, layer, batch))
    assert len(traces) <= 2  # the second one checks that no variable is created twice


@one_per_layer
def test_saved_model_round_trip(case, tmp_path):
    batch = random_batch(8)
    layer = built(case, batch)
    module = tf.Module()
    module.layer = layer
    module.interest = tf.function(lambda *inputs: case.run(layer, *inputs), input_signature=[
        *(tf.TensorSpec([None, None, width]) for width in (5, 5, 2)), tf.TensorSpec([None, None], tf.bool)])
    tf.saved_model.save(module, str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    inputs = [tf.constant(value) for value in (batch.candidate, batch.history, batch.context, batch.mask)]
    np.testing.assert_allclose(loaded.interest(*inputs), run(case, layer, batch), rtol=1e-5, atol=1e-6)


def test_every_layer_over_a_history_is_a_case():
    found = {value for value in vars(layers).values() if inspect.isclass(value) and issubclass(value, HistoryLayer)}
    assert found == {case.layer for case in CASES}
