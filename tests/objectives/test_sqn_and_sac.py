"""SQN's and SAC's objectives against a loop over steps."""

import math

import numpy as np
import pytest
import tensorflow as tf

from lcn_tf.contracts import Everyone
from lcn_tf.data.pipeline import flat_rows
from lcn_tf.embeddings.sequence_rows import draw_items, items_of, sequence_rows
from lcn_tf.objectives import sac, sqn
from lcn_tf.ops.pair_sampling import fold_seed
from lcn_tf.ops.row_random import row_states, uniform
from tests import references_objectives
from tests.objectives.batches import SCHEMA, SEED, built, looked_up, sums

FIELDS = [feature.name for feature in SCHEMA.item]
CONTEXT = SCHEMA.context[0].name
both = pytest.mark.parametrize("module", [sqn, sac], ids=["sqn", "sac"])


def expected_sums(embedder, objective, seed):
    batch, config = looked_up(embedder), objective.config
    learner = objective.learner
    rows = sequence_rows(batch, config.history, (CONTEXT,))
    histories = ("short_target",) if config.history == "target" else ("short_target", "short_source")
    drawn = draw_items(batch, histories, config.num_negatives, fold_seed(seed, 0))
    drawn_items = list(zip(*(drawn.ids[name].numpy().tolist() for name in FIELDS), strict=True))
    negatives = drawn.vectors.numpy().astype(float)
    trained = 0 if float(tf.random.stateless_uniform([], fold_seed(fold_seed(seed, 2), 0))) < 0.5 else 1
    guess = learner.guesses[min(trained, len(learner.guesses) - 1)].kernel.numpy().astype(float)
    values = [layer.kernel.numpy().astype(float) for layer in learner.values]
    biases = [float(bias) for bias in learner.biases]
    supervised = temporal = count = 0.0
    for number, sequence in enumerate(rows.sequences):
        ids = tf.pad(rows.row_ids, [[0, 0], [0, 1]], constant_values=number)
        draws = uniform(row_states(ids, fold_seed(seed, 1))).numpy()
        items = items_of(batch, sequence).numpy().astype(float)
        states = [encoder(items.astype("float32"), mask=sequence.mask, domain=sequence.domain).numpy().astype(float)
                  for encoder in learner.encoders]
        events = np.stack([sequence.ids[name].numpy() for name in FIELDS], -1)
        for row, size in enumerate(sequence.mask.numpy().sum(axis=1)):
            places = range(size)
            if config.steps == "one":
                places = [min(math.floor(draws[row] * np.float32(size)), size - 1)] if size else []
            for place in places:
                def state(network, at, row=row, size=size, states=states):
                    of_network = states[min(network, len(states) - 1)]
                    return of_network[row, at] if at < size else np.zeros(of_network.shape[-1])

                def value(network, at, item):
                    return state(network, at) @ values[network] @ item + biases[network]

                action, item = items[row, place], tuple(events[row, place].tolist())
                query = state(trained, place + 1) @ guess
                entropy = references_objectives.sampled_softmax(
                    query, action, negatives, [other != item for other in drawn_items])
                choices = []
                if place:
                    following = tuple(events[row, place - 1].tolist())
                    choices = [items[row, place - 1], *(vector for vector, other in zip(
                        negatives, drawn_items, strict=True) if other != following)]
                reward = config.reward_by_id.get(int(sequence.ids[CONTEXT][row, place]), 1.0)
                target = references_objectives.step_target(
                    reward, place == 0, config.gamma, [value(trained, place, choice) for choice in choices],
                    [value(1 - trained, place, choice) for choice in choices])
                taken, weight = value(trained, place + 1, action), float(rows.weight[row])
                if isinstance(config, sac.Config) and int(seed[1]) >= config.warmup_steps:
                    entropy *= np.clip(taken, 0.0, 1.0 / (1.0 - config.gamma)) if config.clip else taken
                supervised += weight * entropy
                temporal += weight * 0.5 * (target - taken) ** 2
                count += weight
    return {"supervised": (supervised, count), "temporal": (temporal, count)}


@both
@pytest.mark.parametrize("options", [
    {}, {"steps": "all", "gamma": 0.9}, {"networks": "copies", "history": "target"},
    {"history": "both_separately", "reward_feature": CONTEXT, "rewards": ("2:0.2", "3:-0.5")}], ids=str)
def test_equals_a_loop_over_steps(module, options):
    embedder, objective = built(module, **options, **({"warmup_steps": 2} if module is sac else {}))
    batch = looked_up(embedder)
    trained = set()
    for step in range(4):
        seed = tf.constant([3, step], tf.int64)
        trained.add(float(tf.random.stateless_uniform([], fold_seed(fold_seed(seed, 2), 0))) < 0.5)
        found = objective(batch, Everyone(batch, tf.constant(0)), seed)
        for term, values in expected_sums(embedder, objective, seed).items():
            np.testing.assert_allclose([float(value) for value in found[term]], values, rtol=1e-4, err_msg=term)
            assert values[1] > 9
    assert len(trained) == 2  # both networks have been


def test_weighing_values_may_be_clipped():
    embedder, objective = built(sac, clip=True, warmup_steps=0)
    for term, values in expected_sums(embedder, objective, SEED).items():
        np.testing.assert_allclose(sums(embedder, objective)[term], values, rtol=1e-4)
    free = sums(*built(sac, warmup_steps=0))["supervised"]
    assert free != pytest.approx(sums(embedder, objective)["supervised"], rel=1e-2)


@both
def test_layouts_take_the_same_steps(module):
    embedder, objective = built(module, dropout=0.3)
    grouped, flat = sums(embedder, objective), sums(embedder, objective, flat_rows)
    for term, values in grouped.items():
        np.testing.assert_allclose(flat[term], values, rtol=1e-4)


@both
def test_one_network_is_trained_at_a_time(module):
    embedder, objective = built(module, networks="copies")
    batch = looked_up(embedder)
    with tf.GradientTape() as tape:
        found = objective(batch, Everyone(batch, tf.constant(0)), SEED)
        total = found["supervised"][0] + found["temporal"][0]
    kernels = [layer.kernel for layer in (*objective.learner.guesses, *objective.learner.values)]
    trained = [bool(tf.reduce_any(gradient != 0)) for gradient in tape.gradient(total, kernels)]
    assert trained in ([True, False, True, False], [False, True, False, True])


@both
@pytest.mark.parametrize("options, message", [
    ({"weight": -1.0}, "weight must"), ({"gamma": 1.0}, "gamma must"), ({"num_negatives": 0}, "num_negatives must"),
    ({"rewards": ("2:0.2", "2:1"), "reward_feature": "x"}, "rewards must give each id one number"),
    ({"rewards": ("two",), "reward_feature": "x"}, "rewards must give each id one number"),
    ({"rewards": ("2:0.2",)}, "rewards must come with")], ids=str)
def test_impossible_options(module, options, message):
    name = module.__name__.rpartition(".")[2]
    with pytest.raises(ValueError, match=f"{name}.{message}"):
        module.Config(**options)


def test_a_negative_warm_up_is_refused():
    with pytest.raises(ValueError, match="sac.warmup_steps must not be negative, got -1"):
        sac.Config(warmup_steps=-1)


@both
def test_a_feature_that_events_do_not_have_is_refused(module):
    with pytest.raises(ValueError, match="reward_feature=action is not stored with the events of short_target; known:"):
        built(module)[1].__class__(module.Config(reward_feature="action")).reads(SCHEMA)
