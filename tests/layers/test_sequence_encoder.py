import dataclasses
import functools

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from lcn_tf.layers import SequenceEncoder
from lcn_tf.ops import row_random
from tests import references_objectives
from tests.layers.batches import as_tensor, assert_matches_reference, float64, gradients, randomise

SMALL = {"max_length": 11, "width": 6, "num_layers": 2, "num_heads": 2, "ffn_dim": 7}
FORMS = [{}, {"causal": True}, {"pre_norm": True}, {"causal": True, "pre_norm": True}]
SEED = tf.constant([5, 17], tf.int64)
every_form = pytest.mark.parametrize("form", FORMS, ids=lambda form: "-".join(form) or "default")
two_forms = pytest.mark.parametrize("form", FORMS[::3], ids=lambda form: "-".join(form) or "default")


@dataclasses.dataclass
class Rows:
    """Items `[N, T, D]`, mask, domain and hidden events `[N, T]`, ids `[N, 1]`; the last row is empty."""

    items: np.ndarray
    mask: np.ndarray
    domain: np.ndarray
    hidden: np.ndarray
    ids: np.ndarray

    def take(self, rows):
        return Rows(*(values[rows] for values in dataclasses.astuple(self)))

    def padded(self, count):
        def pad(values):
            return np.pad(values, [[0, 0], [0, count]] + [[0, 0]] * (values.ndim - 2))

        items = pad(self.items)
        items[:, self.mask.shape[1]:] = np.nan  # any influence shows
        return Rows(items, pad(self.mask), pad(self.domain), pad(self.hidden), self.ids)


def random_rows(seed, rows=3, length=5, width=4):
    rng = np.random.default_rng(seed)
    sizes = [*rng.integers(2, length + 1, rows - 2), 1, 0]
    mask = np.arange(length) < np.array(sizes)[:, None]
    return Rows(rng.normal(size=(rows, length, width)).astype(np.float32), mask, rng.integers(0, 2, mask.shape),
                mask & (rng.random(mask.shape) < 0.3), 100 + np.arange(rows)[:, None])


def run(layer, rows, items=None, **options):
    return layer(tf.constant(rows.items if items is None else items), mask=tf.constant(rows.mask),
                 domain=tf.constant(rows.domain), hidden=tf.constant(rows.hidden), **options)


def train(layer, rows, items=None, seed=SEED):
    return run(layer, rows, items, seed=seed, row_ids=tf.constant(rows.ids), training=True)


def built(rows, seed=1, **options):
    layer = SequenceEncoder(**{**SMALL, **options})
    run(layer, rows)
    randomise(layer, seed)
    return layer


def variables(layer):
    """By the names of the oracle."""
    def of(prefix, part, names):
        return {f"{prefix}{name}": getattr(part, name.rpartition("_")[2]) for name in names}

    found = {name: getattr(layer, name) for name in ("position_vectors", "domain_vectors", "mask_vector")}
    found |= of("", layer.norm, ("norm_gamma", "norm_beta"))
    if layer.project:
        found |= of("", layer.projection, ("projection_kernel", "projection_bias"))
    for number, block in enumerate(layer.blocks):
        for name in ("query", "key", "value", "attention_output", "ffn_hidden", "ffn_output"):
            found |= of(f"block_{number}_", getattr(block, name), (f"{name}_kernel", f"{name}_bias"))
        for name in ("attention_norm", "ffn_norm"):
            found |= of(f"block_{number}_", getattr(block, name), (f"{name}_gamma", f"{name}_beta"))
    return found


def drops_of(layer, rows):
    """Each row's dropout, by the states of its ids."""
    sites = row_random.child_states(row_random.row_states(tf.constant(rows.ids), SEED), 7)

    def drop(row, site, values):
        states = row_random.child_states(sites[row, site], values.shape[0])
        if values.ndim == 3:
            states = row_random.child_states(states, values.shape[1])
        rate = layer.attention_dropout if values.ndim == 3 else layer.dropout
        return values * row_random.drop_out(tf.ones(values.shape), states, rate).numpy()

    return [functools.partial(drop, row) for row in range(len(rows.items))]


def reference(layer, rows, items, weights=None, drops=None):
    weights = weights or {name: float64(variable) for name, variable in variables(layer).items()}
    return references_objectives.encode(items, rows.mask, rows.domain, rows.hidden, weights, drops,
                                        num_blocks=layer.num_layers, num_heads=layer.num_heads, causal=layer.causal,
                                        pre_norm=layer.pre_norm)


def close(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)


@every_form
@settings(max_examples=3)
@given(st.integers(0, 10**6), st.sampled_from([4, 6]))
def test_values_and_gradients_are_the_oracle_s(form, seed, width):
    rows = random_rows(seed, width=width)
    layer = built(rows, seed, **form)
    assert layer.project == (width != 6)
    assert_matches_reference(lambda items: run(layer, rows, items), lambda items: reference(layer, rows, items),
                             [rows.items], seed)


@two_forms
def test_training_is_the_oracle_s_with_the_masks_of_the_rows(form):
    """What is dropped, where, and that no two places share a mask."""
    rows = random_rows(14)
    layer = built(rows, dropout=0.4, attention_dropout=0.3, **form)
    drops = drops_of(layer, rows)
    assert_matches_reference(lambda items: train(layer, rows, items),
                             lambda items: reference(layer, rows, items, drops=drops), [rows.items])


@two_forms
def test_every_weight_s_gradient_is_the_oracle_s(form):
    """Along one random direction of all weights at once, and no weight is without gradient."""
    rows = random_rows(8)
    layer = built(rows, **form)
    named = variables(layer)
    assert len(named) == len(layer.trainable_variables)
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(tf.sin(run(layer, rows)))
    found = tape.gradient(total, {name: as_tensor(variable) for name, variable in named.items()})
    rng = np.random.default_rng(3)
    exact = {name: float64(variable) for name, variable in named.items()}
    directions = {name: rng.normal(size=value.shape) for name, value in exact.items()}

    def moved(step):
        weights = {name: value + step * directions[name] for name, value in exact.items()}
        return np.sin(reference(layer, rows, rows.items.astype(np.float64), weights)).sum()

    expected = (moved(1e-6) - moved(-1e-6)) / 2e-6
    products = {name: float((tf.convert_to_tensor(gradient).numpy() * directions[name]).sum())
                for name, gradient in found.items()}
    np.testing.assert_allclose(sum(products.values()), expected, rtol=1e-3, atol=1e-3)
    keys = {f"block_{number}_key_bias" for number in range(2)}  # a softmax does not see them
    assert all(abs(value) > 1e-7 for name, value in products.items() if name not in keys)


@two_forms
@pytest.mark.parametrize("step", [run, train])
def test_padding_has_no_influence(form, step):
    """Not even on the masks of dropout, nor if it holds no numbers."""
    rows = random_rows(4)
    layer, wide = built(rows, **form), rows.padded(3)
    value, (found,) = gradients(lambda items: step(layer, rows, items), [rows.items])
    padded_value, (padded_found,) = gradients(lambda items: step(layer, wide, items)[:, :5], [wide.items])
    close(padded_value, value)
    close(padded_found[:, :5], found)
    assert (padded_found[:, 5:] == 0).all() and (step(layer, wide)[:, 5:] == 0).numpy().all()
    assert (value[~rows.mask] == 0).all() and (found[~rows.mask] == 0).all()
    assert (found[rows.hidden] == 0).all()
    assert (np.abs(value[rows.mask]).sum(axis=-1) > 0).all(), "one event is enough"


@two_forms
def test_rows_are_independent_in_training_too(form):
    rows = random_rows(5, rows=7)
    layer, order = built(rows, **form), np.random.default_rng(6).permutation(7)
    whole = train(layer, rows).numpy()
    close(train(layer, rows.take(order)), whole[order])
    close(np.concatenate([train(layer, rows.take(part)) for part in (slice(0, 2), slice(2, 7))]), whole)


def test_dropout_follows_seed_ids_and_rates():
    rows = random_rows(7)
    layer = built(rows, dropout=0.5)
    first = train(layer, rows).numpy()
    np.testing.assert_array_equal(train(layer, rows), first)
    assert (train(layer, rows, seed=tf.constant([5, 18], tf.int64)).numpy()[0] != first[0]).all(axis=-1)[0]
    assert (train(layer, dataclasses.replace(rows, ids=rows.ids + 9)).numpy()[0] != first[0]).all(axis=-1)[0]
    for options, equal in (({"dropout": 0.0}, True), ({"dropout": 0.0, "attention_dropout": 0.5}, False),
                           ({"dropout": 0.5, "attention_dropout": 0.0}, False)):
        layer = built(rows, **options)
        assert np.array_equal(train(layer, rows)[0], run(layer, rows)[0]) == equal, options


@pytest.mark.parametrize("causal", [True, False])
def test_only_causal_events_ignore_newer_ones(causal):
    rows = random_rows(10, length=7)
    rows.mask[0] = True
    layer = built(rows, causal=causal)
    changed = rows.items.copy()
    changed[0, 2] += 1.0
    rows.hidden[:] = False
    same = np.isclose(run(layer, rows, changed)[0], run(layer, rows)[0], rtol=0, atol=1e-6).all(axis=-1)
    assert same.tolist() == [causal and position > 2 for position in range(7)]


def test_one_trace_serves_every_shape():
    layer = SequenceEncoder(**SMALL)
    traces = []

    @tf.function(input_signature=[tf.TensorSpec([None, None, 4]), tf.TensorSpec([None, None], tf.bool),
                                  tf.TensorSpec([None, 1], tf.int64)])
    def encoded(items, mask, row_ids):
        traces.append(1)
        return layer(items, mask=mask, seed=SEED, row_ids=row_ids, training=True)

    for count, length in ((3, 5), (0, 3), (2, 0)):
        rows = random_rows(11, rows=max(count, 2), length=max(length, 3)).take(slice(count))
        mask = rows.mask[:, :length]
        found = encoded(rows.items[:, :length], mask, rows.ids)
        assert found.shape == (count, length, 6) and np.isfinite(found).all()
        close(found, layer(tf.constant(rows.items[:, :length]), mask=mask, seed=SEED, row_ids=tf.constant(rows.ids),
                           training=True))
    assert len(traces) <= 2


def test_mixed_precision_stays_close():
    rows = random_rows(12)
    layer, mixed = built(rows), built(rows, dtype="mixed_bfloat16")
    for step in (run, train):
        value, expected = step(mixed, rows), step(layer, rows).numpy()
        assert value.dtype == tf.bfloat16
        np.testing.assert_allclose(tf.cast(value, tf.float32), expected, atol=0.1 * np.abs(expected).max())
    assert all(as_tensor(variable).dtype == tf.float32 for variable in mixed.trainable_variables)


def test_options_are_checked():
    for options, message in (({"width": 5}, "width must be a multiple of num_heads, got width=5 and num_heads=2"),
                             ({"num_layers": 0}, "num_layers must be at least 1, got 0"),
                             ({"dropout": 1.0}, r"dropout must be in \[0, 1\), got 1.0"),
                             ({"attention_dropout": -1.0}, r"attention_dropout must be in \[0, 1\), got -1.0")):
        with pytest.raises(ValueError, match=message):
            SequenceEncoder(**{**SMALL, **options})
    rows = random_rows(13)
    with pytest.raises(ValueError, match="at most max_length=4 events, got 5"):
        built(rows, max_length=4)
    with pytest.raises(ValueError, match="needs seed and row_ids, got no row_ids"):
        run(built(rows), rows, seed=SEED, training=True)
