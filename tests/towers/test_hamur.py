"""HAMUR's tower against numpy: adapters, statistics by scenario, what is never built."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from lcn_tf.contracts import TowerInputs, TowerSpec
from lcn_tf.layers.domain_batch_norm import DomainBatchNorm
from lcn_tf.schema import CLICK
from lcn_tf.towers import hamur
from lcn_tf.towers.hamur import Adapter, HamurTower
from tests.towers.scenario_inputs import MASK, SCENARIO, B, C, make_inputs, random, randomised, weights_of

SMALL = {"scenarios": 5, "units": (13, 11), "rank": 3, "bottleneck": 2, "hyper_units": (17,)}
# n = 3, k = 2, b = 2, numbers worked out by hand.
U1, S, V1 = [[1.0, 0.5], [0.0, 1.0], [1.0, 1.0]], [[0.2, 0.0], [0.1, 0.3]], [[1.0, 0.0], [0.5, 1.0]]
U2, V2, HIDDEN = [[1.0, 0.0], [0.5, 1.0]], [[1.0, 0.0, 0.5], [0.0, 1.0, 0.5]], [1.0, 2.0, -1.0]
HIDDEN_UP = [0.240661, 0.183192, 0.211926]


def make_tower(seed=3, **options):
    return randomised(HamurTower(**{**SMALL, **options}, name="tower"), seed)


def sigmoid(values):
    return 1 / (1 + np.exp(-values))


def moments(values, mask):
    """Mean and variance of the rows where the mask is True; zeros where it is nowhere."""
    rows = values[mask]
    return (rows.mean(0), rows.var(0)) if len(rows) else (np.zeros(values.shape[-1]),) * 2


def reference(tower, inputs, mask, adapters=1):
    """Candidate by candidate in float64, with the statistics of the batch."""
    weights = weights_of(tower)
    features, scenario = inputs.concatenated.numpy().astype(np.float64), np.maximum(inputs.scenario, 1) - 1
    domains = [np.where(mask, scenario, -1) == domain for domain in range(4)]

    def norm(name, values, place, rows):
        mean, variance = moments(values, rows)
        return (weights[f"{name}/gamma"][place] * (values - mean) / np.sqrt(variance + 1e-5)
                + weights[f"{name}/beta"][place])

    made = features
    for place in range(2):
        made = np.maximum(norm(f"hyper_norm_{place}", made @ weights[f"hyper_{place}/kernel"], 0, mask), 0.0)
    matrices = made.reshape(*mask.shape, 3, 3)
    hidden = features
    for place in range(2):
        per_scenario = any(name.startswith(f"hidden_{place}/domain_1") for name in weights)
        kernels, biases = ([weights[f"hidden_{place}/domain_{domain if per_scenario else 0}/{name}"]
                            for domain in range(4)] for name in ("kernel", "bias"))
        hidden = np.stack([[np.maximum(hidden[row, candidate] @ kernels[domain] + biases[domain], 0.0)
                            for candidate, domain in enumerate(of_row)] for row, of_row in enumerate(scenario)])
        if place >= 2 - adapters:
            of = {name: weights[f"adapter_{place - 2 + adapters}/{name}"]
                  for name in ("u1", "v1", "u2", "v2", "b1")}
            up = np.zeros_like(hidden)
            for row, candidate in np.ndindex(*mask.shape):
                matrix = matrices[row, candidate]
                down = sigmoid(hidden[row, candidate] @ (of["u1"] @ matrix @ of["v1"]) + of["b1"])
                up[row, candidate] = down @ (of["u2"] @ matrix @ of["v2"])
            added = np.zeros_like(hidden)
            for domain, rows in enumerate(domains):
                added[rows] = norm(f"adapter_{place - 2 + adapters}/domain_norm", up, domain, rows)[rows]
            hidden = hidden + added
    return hidden


@pytest.mark.parametrize("options", [{}, {"backbones": "shared"}, {"adapters": 2}], ids=str)
def test_equals_the_equations(options):
    tower, inputs = make_tower(**options), make_inputs()
    hidden = tower(inputs, mask=tf.constant(MASK), training=True).numpy()
    assert hidden.shape == (B, C, 11)
    expected = reference(tower, inputs, MASK, options.get("adapters", 1))
    np.testing.assert_allclose(hidden[MASK], expected[MASK], rtol=2e-5, atol=2e-5)
    assert np.all(np.isfinite(hidden))


def test_an_adapter_by_hand():
    adapter = Adapter(2, 2, 1, "ones")
    adapter.build((None, None, 3))
    for name, values in {"u1": U1, "v1": V1, "u2": U2, "v2": V2}.items():
        getattr(adapter, name).assign(values)
    one = tf.constant([[HIDDEN]])
    hidden = adapter(one, tf.constant([[S]]), tf.zeros([1, 1], tf.int32), None)  # moving averages are 0 and 1 still
    np.testing.assert_allclose((hidden - one)[0, 0] * np.sqrt(1 + 1e-5), HIDDEN_UP, rtol=1e-5)


def test_inference_reads_the_averages_of_the_scenario():
    """Those of all of its rows in training, later steps weighing more; a step without rows changes nothing."""
    norm, mean, variance, rows = DomainBatchNorm(3, momentum=0.9), np.zeros((3, 7)), np.zeros((3, 7)), np.zeros(3)
    for step, domains in enumerate(([0, 0, 2, 0], [0, 0, 0, 0], [2, 0, 2, 2])):
        values, mask = 4.0 + random(4, 7, seed=step), np.array([True, True, True, step > 1])
        norm(tf.constant(values), tf.constant(domains, tf.int32), tf.constant(mask), training=True)
        for domain in range(3):
            real = values[(np.array(domains) == domain) & mask].astype(np.float64)
            if len(real):  # merge two sets of rows
                before, rows[domain] = 0.9 * rows[domain], 0.9 * rows[domain] + len(real)
                old, share = mean[domain].copy(), before / rows[domain]
                mean[domain] = share * old + (1 - share) * real.mean(0)
                squares = share * (variance[domain] + old**2) + (1 - share) * (real.var(0) + real.mean(0)**2)
                variance[domain] = squares - mean[domain]**2
    np.testing.assert_allclose(norm.moving_rows, rows, rtol=1e-6)
    np.testing.assert_allclose(norm.moving_mean, mean, rtol=2e-5)
    np.testing.assert_allclose(norm.moving_variance.numpy()[[0, 2]], variance[[0, 2]], rtol=2e-5)
    np.testing.assert_array_equal(norm.moving_variance[1], np.ones(7))
    inputs = random(2, 7, seed=9)
    expected = (inputs - mean[[2, 0]]) / np.sqrt(variance[[2, 0]] + 1e-5)
    np.testing.assert_allclose(norm(tf.constant(inputs), tf.constant([2, 0])), expected, rtol=2e-5)
    np.testing.assert_array_equal(norm.trained(tf.constant([[2, 1], [0, 1]])), [[2, 0], [0, 0]])
    copy = DomainBatchNorm.from_config(norm.get_config())
    assert (copy.domains, copy.momentum, copy.epsilon) == (3, 0.9, 1e-5)


def test_a_scenario_that_training_never_had_is_taken_for_the_one_with_most_rows():
    tower, inputs = make_tower(), make_inputs()
    seen = np.where(SCENARIO == 4, 2, np.where(SCENARIO == 1, 3, SCENARIO))  # neither 4 nor out of vocabulary
    for seed in range(3):
        tower(make_inputs(seen, seed), mask=tf.constant(MASK), training=True)
    most = tower(inputs._replace(scenario=tf.fill([B, C], tf.constant(2, tf.int64))))
    for unknown in (0, 1, 4):
        np.testing.assert_array_equal(tower(inputs._replace(scenario=tf.fill([B, C], tf.constant(unknown, tf.int64)))),
                                      most)
    assert not np.allclose(tower(inputs._replace(scenario=tf.fill([B, C], tf.constant(3, tf.int64)))), most)


@pytest.mark.parametrize("training", [True, False])
def test_padded_candidates_change_nothing(training):
    results, mask = [], MASK[..., np.newaxis]
    for scale in (0.0, 1e3):
        tower, inputs = make_tower(adapters=2), make_inputs()
        padded = make_inputs(seed=8)
        values = [tf.where(mask, *pair) for pair in zip(inputs.fields, [scale * field for field in padded.fields],
                                                        strict=True)]
        scenario = tf.constant(np.where(MASK, SCENARIO, 3 if scale else 0))
        with tf.GradientTape() as tape:
            tape.watch(values)
            user, candidate, side, *interests = values
            inputs = TowerInputs({"age": user}, candidate, {"price": side}, dict(zip("nsl", interests, strict=True)),
                                 scenario)
            hidden = tower(inputs, mask=tf.constant(MASK), training=training)
            loss = tf.reduce_sum(tf.boolean_mask(hidden, MASK) ** 2)
        gradients = tape.gradient(loss, values)
        assert all(np.all(gradient.numpy()[~MASK] == 0.0) for gradient in gradients)
        results.append([hidden.numpy()[MASK], *(gradient.numpy()[MASK] for gradient in gradients),
                        *(weight.numpy() for weight in tower.non_trainable_weights)])
    for one, two in zip(*results, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-5)


def test_one_candidate_scores_alone_as_among_others_and_no_requests_give_none():
    tower, inputs = make_tower(), make_inputs()
    tower(inputs, mask=tf.constant(MASK), training=True)
    hidden = tower(inputs, mask=tf.constant(MASK)).numpy()
    one = tf.nest.map_structure(lambda values: values[3:4, :1], inputs)
    np.testing.assert_allclose(tower(one, mask=tf.constant([[True]])), hidden[3:4, :1], rtol=1e-5, atol=1e-6)
    before = [weight.numpy() for weight in tower.weights]
    none = tf.nest.map_structure(lambda values: values[:0], inputs)
    assert tower(none, mask=tf.zeros([0, C], tf.bool), training=True).shape == (0, C, 11)
    for weight, old in zip(tower.weights, before, strict=True):
        np.testing.assert_array_equal(weight, old)
    trained = make_tower()(one, mask=tf.constant([[True]]), training=True)
    assert np.all(np.isfinite(trained))


def test_no_weights_of_an_impression_are_built():
    """Neither `[n, b]` nor `[b, n]` for each candidate, forwards or backwards; n = 11, b = 2."""
    tower, inputs = make_tower(), make_inputs()

    @tf.function
    def step(*fields):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tower(tf.nest.pack_sequence_as(inputs, fields), mask=tf.constant(MASK), training=True))
        return tape.gradient(loss, tower.trainable_weights)

    graph = step.get_concrete_function(*tf.nest.flatten(inputs)).graph
    shapes = [output.shape for operation in graph.get_operations() for output in operation.outputs]
    assert len(shapes) > 300 and any(shape.rank == 4 and shape[-2:] == [3, 3] for shape in shapes)
    assert not [shape for shape in shapes if (shape.rank or 0) > 2 and set(shape[-2:]) == {11, 2}]


def test_configuration_and_precision():
    config = hamur.Config(units=(13, 7), activation="tanh", backbones="shared", adapters=2, rank=4, bottleneck=3,
                          hyper_units=(), initializer="ones")
    tower, inputs = hamur.build(config, TowerSpec((CLICK,), 5)), make_inputs()
    copy = HamurTower.from_config(tower.get_config())
    tower(inputs, training=True), copy(inputs)
    copy.set_weights(tower.get_weights())
    np.testing.assert_array_equal(copy(inputs), tower(inputs))
    assert np.all(copy.get_weights()[[weight.name for weight in copy.weights].index("tower/adapter_0/u1:0")] == 1.0)
    assert hamur.Config() == hamur.Config((256, 128), "relu", "per_scenario", 1, 35, 32, (64,), "glorot_uniform")
    assert all(len(field.metadata["help"]) <= 100 for field in dataclasses.fields(hamur.Config))

    low = HamurTower(**SMALL, dtype="mixed_bfloat16")
    hidden = low(inputs, mask=tf.constant(MASK), training=True)
    assert hidden.dtype == tf.bfloat16 and np.all(np.isfinite(tf.cast(hidden, tf.float32)))
    assert {tf.as_dtype(weight.dtype) for weight in low.weights} == {tf.float32}


@pytest.mark.parametrize(("change", "message"), [
    ({"units": ()}, r"hamur.units must be .* got \(\)"),
    ({"hyper_units": (3, 0)}, r"hamur.hyper_units must be .* got \(3, 0\)"),
    ({"adapters": 3}, "hamur.adapters must be 1 to 2, .* got 3"),
    ({"rank": 0}, "hamur.rank must be at least 1, got 0"),
    ({"backbones": "own"}, "hamur.backbones must be one of .* got 'own'"),
    ({"initializer": "zeros"}, "hamur.initializer must be one of .* got 'zeros'")])
def test_impossible_values_are_refused(change, message):
    for make in (hamur.Config, lambda **values: HamurTower(5, **values)):
        with pytest.raises(ValueError, match=message):
            make(**change)


def test_a_schema_without_scenarios_is_refused():
    with pytest.raises(ValueError, match="model.tower=hamur needs to know the scenario .*data.scenario"):
        hamur.build(hamur.Config(), TowerSpec((CLICK,), None))
    with pytest.raises(ValueError, match="scenarios must be at least 2, .*got 1"):
        HamurTower(1)
    for arguments, message in (({"domains": 0}, "domains must be"), ({"momentum": 1.0}, "momentum must be"),
                               ({"epsilon": 0.0}, "epsilon must be")):
        with pytest.raises(ValueError, match=message):
            DomainBatchNorm(**arguments)
