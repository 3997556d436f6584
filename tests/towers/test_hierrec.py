"""HierRec's tower against numpy: weights out of the scenario and of the fields that it chooses."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from lcn_tf.contracts import TowerInputs, TowerSpec
from lcn_tf.layers.domain_batch_norm import DomainBatchNorm
from lcn_tf.schema import CLICK
from lcn_tf.towers import hierrec
from lcn_tf.towers.hierrec import FieldChoice, GeneratedLayers, HierRecTower
from tests.towers.scenario_inputs import MASK, SCENARIO, B, C, W, make_inputs, randomised, weights_of

F = 5
SMALL = {"scenarios": 5, "field_dim": 6, "num_heads": 2, "hidden_dim": 7, "rank": 3, "units": (13, 11)}


def make_tower(seed=3, **options):
    return randomised(HierRecTower(**{**SMALL, **options}, name="tower"), seed)


def softmax(values):
    values = np.exp(values - values.max(-1, keepdims=True))
    return values / values.sum(-1, keepdims=True)


def reference(tower, inputs, mask):
    """Candidate by candidate, head by head in float64, with the statistics of the batch."""
    weights = weights_of(tower)
    options, scenario = tower.options, np.maximum(inputs.scenario, 1) - 1
    width, h, r = options.field_dim, options.hidden_dim, options.rank

    def hidden_layer(place, values):
        values = values @ weights[f"hidden_{place}/linear/kernel"]
        if options.batch_norm:
            real = values[mask]
            values = (weights[f"hidden_{place}/norm/gamma"] * (values - real.mean(0)) / np.sqrt(real.var(0) + 1e-5)
                      + weights[f"hidden_{place}/norm/beta"])
        else:
            values = values + weights[f"hidden_{place}/linear/bias"]
        return np.maximum(values, 0.0)

    def generated(name, condition, x):
        numbers = condition @ weights[f"{name}/kernel"] + np.append(weights[f"{name}/bias"], np.zeros(h))
        w1, b1, w2, b2 = np.split(numbers, np.cumsum([h * r, r, r * h]))
        return (x @ w1.reshape(h, r) + b1) @ w2.reshape(r, h) + b2

    fields = np.stack([field.numpy().astype(np.float64) @ weights[f"field_{place}/kernel"]
                       + weights[f"field_{place}/bias"]
                       for place, field in enumerate(field for field in inputs.fields if field.shape[-1])], 2)
    first = hidden_layer(0, fields.reshape(*mask.shape, -1))
    heads = np.zeros((*mask.shape, options.num_heads * h))
    for row, candidate in np.ndindex(*mask.shape):
        g = weights["scenario"] + weights["of_scenario"][scenario[row, candidate]]
        x = generated("explicit", g, first[row, candidate])
        for head, part in enumerate(np.split(g, options.num_heads)):
            chosen = softmax(part @ weights["field_choice/kernels"][head] + weights["field_choice/biases"][head])
            chosen = chosen[:, np.newaxis] * fields[row, candidate]
            query, key, value = (chosen @ weights[f"field_choice/{name}"] for name in ("query", "key", "value"))
            attended = softmax(query @ key.T / np.sqrt(width)) @ value
            heads[row, candidate, head * h:(head + 1) * h] = generated("implicit", attended.reshape(-1), x)
    hidden = heads
    for place in range(1, 1 + len(options.units)):
        hidden = hidden_layer(place, hidden)
    return hidden


@pytest.mark.parametrize("options", [{}, {"batch_norm": False}, {"num_heads": 3, "units": (5,)}], ids=str)
def test_equals_the_equations(options):
    tower, inputs = make_tower(**options), make_inputs()
    hidden = tower(inputs, mask=tf.constant(MASK), training=True).numpy()
    expected = reference(tower, inputs, MASK)
    assert hidden.shape == expected.shape == (B, C, tower.options.units[-1])
    np.testing.assert_allclose(hidden[MASK], expected[MASK], rtol=2e-5, atol=2e-5 * np.abs(expected[MASK]).max())
    assert np.all(np.isfinite(hidden))


def test_generated_weights_and_weights_of_fields_by_hand():
    """h = r = 2: W1 is row after row of the generated numbers, W2 the identity here."""
    layers = GeneratedLayers(2, 2)
    layers.build((None, None, 1, 2))
    identity = np.array([1.0, 0.0, 0.0, 1.0])
    layers.kernel.assign(np.concatenate([[[1.0, 0.0, 2.0, 1.0], [0.0, 1.0, 1.0, -1.0]], [[0.1, 0.2], [0.3, -0.1]],
                                         np.zeros((2, 6))], 1))
    layers.bias.assign(np.concatenate([np.zeros(6), identity]))
    np.testing.assert_allclose(layers(tf.constant([[[[0.5, -0.5]]]]), tf.constant([[[1.0, 2.0]]])), [[[[1.4, 1.65]]]],
                               rtol=1e-6)
    choice = FieldChoice(1)
    choice.build((None, None, 3, 1))
    choice.biases.assign([[2.0, 1.0, 0.0]])
    np.testing.assert_allclose(choice.weights_of(tf.zeros([1, 1, 1])), [[[[0.665241, 0.244728, 0.090031]]]], rtol=1e-5)


def test_numbers_of_weights():
    """As docs/systems.md has it: Taobao's 18 fields of 1,536 numbers together, four ids of a scenario."""
    def weights(fields, width, scenarios, e=16, heads=4, h=64, r=16, units=(64, 64)):
        generated = 2 * h * r + r + h
        widths = (fields * e, h), (heads * h, units[0]), *zip(units[:-1], units[1:], strict=True)
        return (width * e + fields * e  # projections
                + scenarios * e  # the shared vector, and one for each id but padding
                + sum(before * after + 2 * after for before, after in widths)  # linear, normalised
                + (e + fields * e) * generated + 2 * (generated - h)
                + (e + heads) * fields + 3 * e * e)  # choice of fields

    tower = make_tower()
    found = sum(np.size(weight) for weight in tower.trainable_weights)
    assert found == weights(F, W, 5, e=6, heads=2, h=7, r=3, units=(13, 11))
    mlp = 1536 * 256 + 256 + 256 * 128 + 128
    assert (weights(18, 1536, 4), mlp) == (716_392, 426_368)


def test_a_scenario_without_a_row_in_training_is_scored_by_the_shared_vector():
    inputs = make_inputs(np.where(SCENARIO == 4, 3, SCENARIO))
    tower = HierRecTower(**SMALL)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.boolean_mask(tower(inputs, mask=tf.constant(MASK), training=True), MASK) ** 2)
    gradient = tf.convert_to_tensor(tape.gradient(loss, tower.own)).numpy()
    assert [bool(np.any(row)) for row in gradient] == [True, True, True, False] and not np.any(tower.own)


@pytest.mark.parametrize("training", [True, False])
def test_padded_candidates_change_nothing(training):
    results, mask = [], MASK[..., np.newaxis]
    for scale in (0.0, 1e3):
        tower, inputs, padded = make_tower(), make_inputs(), make_inputs(seed=8)
        values = [tf.where(mask, one, scale * other) for one, other in zip(inputs.fields, padded.fields, strict=True)]
        scenario = tf.constant(np.where(MASK, SCENARIO, 3 if scale else 0))
        with tf.GradientTape() as tape:
            tape.watch(values)
            user, candidate, side, *interests = values
            hidden = tower(TowerInputs({"age": user}, candidate, {"price": side},
                                       dict(zip("nsl", interests, strict=True)), scenario),
                           mask=tf.constant(MASK), training=training)
            loss = tf.reduce_mean(tf.boolean_mask(hidden, MASK) ** 2)
        gradients = tape.gradient(loss, values[:3] + values[4:])
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
    none = tf.nest.map_structure(lambda values: values[:0, :1], inputs)
    np.testing.assert_allclose(tower(one, mask=tf.constant([[True]])), hidden[3:4, :1], rtol=1e-5, atol=1e-4)
    before = [weight.numpy() for weight in tower.weights]
    assert tower(none, mask=tf.zeros([0, 1], tf.bool), training=True).shape == (0, 1, 11)
    for weight, old in zip(tower.weights, before, strict=True):
        np.testing.assert_array_equal(weight, old)
    assert np.all(np.isfinite(make_tower()(one, mask=tf.constant([[True]]), training=True)))


def test_dropout_is_in_training_alone_with_masks_of_each_layer_and_step():
    tower, plain, inputs = make_tower(batch_norm=False, dropout=0.5), make_tower(batch_norm=False), make_inputs()
    layers = [layer for layer in tower.submodules if "dropout" in layer.name]
    assert sorted(layer.seed // 2**32 for layer in layers) == [1, 2, 3]
    np.testing.assert_array_equal(tower(inputs), plain(inputs, training=True))
    one, other = (tower(inputs, training=True).numpy() for _ in range(2))
    assert not np.array_equal(one == 0, other == 0) and np.mean(one == 0) > np.mean(plain(inputs) == 0)


def test_configuration_and_precision():
    config = hierrec.Config(field_dim=6, num_heads=3, hidden_dim=5, rank=2, units=(7,), batch_norm=False, dropout=0.2)
    tower, inputs = hierrec.build(config, TowerSpec((CLICK,), 5)), make_inputs()
    copy = HierRecTower.from_config(tower.get_config())
    tower(inputs), copy(inputs)
    copy.set_weights(tower.get_weights())
    np.testing.assert_array_equal(copy(inputs, training=True), tower(inputs, training=True))
    assert not [layer for layer in tower.submodules if isinstance(layer, DomainBatchNorm)]
    assert hierrec.Config() == hierrec.Config(16, 4, 64, 16, (64, 64), True, 0.0, 0)
    assert all(len(field.metadata["help"]) <= 100 for field in dataclasses.fields(hierrec.Config))

    low = HierRecTower(**SMALL, dropout=0.2, dtype="mixed_bfloat16")
    hidden = low(inputs, mask=tf.constant(MASK), training=True)
    assert hidden.dtype == tf.bfloat16 and np.all(np.isfinite(tf.cast(hidden, tf.float32)))
    assert {tf.as_dtype(weight.dtype) for weight in low.trainable_weights} == {tf.float32}


@pytest.mark.parametrize(("change", "message"), [
    ({"field_dim": 10}, "hierrec.field_dim must be a multiple of hierrec.num_heads=4, got 10"),
    ({"num_heads": 0}, "hierrec.num_heads must be at least 1, got 0"),
    ({"units": ()}, r"hierrec.units must be .* got \(\)"),
    ({"dropout": 1.0}, r"hierrec.dropout must be in \[0, 1\), got 1.0")])
def test_impossible_values_are_refused(change, message):
    for make in (hierrec.Config, lambda **values: HierRecTower(5, **values)):
        with pytest.raises(ValueError, match=message):
            make(**change)


def test_a_schema_without_scenarios_is_refused():
    with pytest.raises(ValueError, match="model.tower=hierrec needs to know the scenario .*data.scenario"):
        hierrec.build(hierrec.Config(), TowerSpec((CLICK,), None))
    with pytest.raises(ValueError, match="scenarios must be at least 2, .*got 1"):
        HierRecTower(1)
