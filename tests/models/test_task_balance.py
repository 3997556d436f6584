"""Balances of labels against numpy, on any number of replicas, and after a checkpoint."""

import dataclasses
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from lcn_tf.data import records
from lcn_tf.data.pipeline import grouped_rows
from lcn_tf.models import BalanceConfig, ModelConfig, build_model
from lcn_tf.models.registry import component
from lcn_tf.models.task_balance import projection_factors
from lcn_tf.schema import CLICK, Label
from tests import synthetic
from tests.models import balanced

SCRIPT = pathlib.Path(balanced.__file__)
SCHEMA = dataclasses.replace(synthetic.make_schema(), labels=(CLICK, Label("long_stay", given="click")))
TERMS = ("ctr_loss", "long_stay_loss")


def batch_of(seed=4, count=11, clicks=True):
    groups = synthetic.make_groups(SCHEMA, count, seed=seed, offsets=True)
    for group in groups:
        if not clicks:
            group["label"] = group["long_stay"] = [0] * len(group["label"])
    return grouped_rows(SCHEMA, tf.constant([records.encode(SCHEMA, group) for group in groups]),
                        balanced.DATA.lengths_of(SCHEMA))


def dense(gradient, weight):
    return np.zeros(weight.shape) if gradient is None else tf.convert_to_tensor(gradient).numpy().astype(np.float64)


def gradients_of_losses(model, batch):
    """Of each loss, plainly: one at a time, from the tables id by id; None where there is none."""
    found = {}
    for name in model.compute_losses(batch):
        with tf.GradientTape() as tape:
            loss = model.compute_losses(batch)[name]
        found[name] = tape.gradient(loss, model.trainable_variables)
    return found


def projected(gradients, order):
    """Algorithm 1 as printed, on flat vectors."""
    total = 0
    for own, others in zip(gradients, order, strict=True):
        left = own.copy()
        for other in others:
            if gradients[other] is not own and (product := left @ gradients[other]) < 0:
                left -= product / (gradients[other] @ gradients[other]) * gradients[other]
        total = total + left
    return total


@pytest.mark.parametrize("seed", range(5))
def test_projections_are_those_of_the_algorithm(seed):
    vectors = np.random.default_rng(seed).normal(size=(4, 3)).astype(np.float32)
    vectors[3] *= seed > 0  # a label without a gradient
    seeds = [seed, 7]
    order = np.argsort(tf.random.stateless_uniform([4, 4], seeds), axis=-1)
    factors = projection_factors(tf.constant(vectors @ vectors.T), tf.constant(seeds)).numpy()
    np.testing.assert_allclose(factors @ vectors, projected(vectors.astype(np.float64), order), rtol=2e-4, atol=1e-5)
    assert not np.allclose(factors, 1)


@pytest.mark.parametrize("seed", [4, 5])
def test_pcgrad_projects_what_labels_share_and_leaves_all_else(seed):
    batch = batch_of(seed)
    model, plain = (balanced.new_model(SCHEMA, method, ("crp",)) for method in ("pcgrad", "fixed"))
    losses = gradients_of_losses(plain, batch)
    names = [weight.name for weight in plain.trainable_variables]
    shared = [place for place in range(len(names)) if all(losses[term][place] is not None for term in TERMS)]
    assert any("bottom" in names[place] for place in shared) and any("item" in names[place] for place in shared)
    assert not any(part in names[place] for place in shared for part in ("_network", "_logit"))

    def flat(term):
        return np.concatenate([dense(losses[term][place], plain.trainable_variables[place]).ravel()
                               for place in shared])

    click, stay = flat("ctr_loss"), flat("long_stay_loss")
    if (product := click @ stay) > 0:  # the labels conflict once one of them is turned round
        batch = {**batch, "long_stay": (1 - batch["long_stay"]) * batch["label"]}
        losses = gradients_of_losses(plain, batch)
        click, stay = flat("ctr_loss"), flat("long_stay_loss")
        product = click @ stay
    assert product < 0
    expected = projected([click, stay], [[0, 1], [1, 0]])
    assert np.abs(expected - click - stay).max() > 1e-3

    found_losses, found = model.compute_gradients(batch)
    assert set(found_losses) == set(losses)
    others = [name for name in losses if name not in TERMS]
    assert len(others) == 3
    for place, weight in enumerate(plain.trainable_variables):
        size = weight.shape.num_elements()
        rest = sum(dense(losses[name][place], weight) for name in others)
        if place in shared:
            own, expected = expected[:size].reshape(weight.shape), expected[size:]
        else:
            own = sum(dense(losses[term][place], weight) for term in TERMS)
        np.testing.assert_allclose(dense(found[place], weight), own + rest, rtol=1e-3, atol=2e-6, err_msg=weight.name)


def test_uncertainty_weighs_by_learnt_variances_and_takes_microbatches():
    batch, found = batch_of(), []
    for microbatches in (1, 3):
        model = balanced.new_model(SCHEMA, "uncertainty", microbatches=microbatches)
        model.balance.log_variances.assign([0.4, -1.1])
        losses, gradients = model.compute_gradients(batch)
        found.append((losses, gradients[-1].numpy()))
        logs = model.train_step(batch)
        assert not np.allclose(model.balance.log_variances, [0.4, -1.1])
        own = [float(losses[term]) for term in TERMS]
        added = (np.exp(-0.4) - 1) * own[0] + 0.2 + (np.exp(1.1) - 1) * own[1] - 0.55
        assert float(losses["task_balance"]) == pytest.approx(added, rel=1e-4)
        assert float(logs["loss"]) == pytest.approx(sum(map(float, losses.values())), rel=1e-5)
        assert model.trainable_variables[-1] is model.balance.log_variances
        np.testing.assert_allclose(found[-1][1], [0.5 - np.exp(-0.4) * own[0], 0.5 - np.exp(1.1) * own[1]], rtol=1e-4)
    np.testing.assert_allclose(found[0][1], found[1][1], rtol=1e-4)

    losses, gradients = model.compute_gradients(batch_of(clicks=False))  # a long stay says nothing
    assert gradients[-1].numpy()[1] == 0 and gradients[-1].numpy()[0] != 0


def test_gradnorm_moves_the_weights_as_the_algorithm_says():
    model = balanced.new_model(SCHEMA, "gradnorm")
    weights, first = np.ones(2), None
    (shared,) = model.tower.last_shared
    place = [weight is shared for weight in model.trainable_variables].index(True)
    for step in range(3):
        batch = batch_of(seed=step)
        losses = {name: float(value) for name, value in model.compute_losses(batch).items()}
        own = np.array([losses[term] for term in TERMS])
        assert losses["task_balance"] == pytest.approx((weights - 1) @ own, rel=1e-3, abs=1e-6)
        by_loss = gradients_of_losses(model, batch)
        norms = np.array([np.linalg.norm(dense(by_loss[term][place], shared)) for term in TERMS])
        first = own if first is None else first
        pace = own / first / np.mean(own / first)
        slope = np.sign(weights * norms - np.mean(weights * norms) * pace ** 0.5) * norms
        weights = np.maximum(weights - 0.1 * slope, 1e-3)
        weights *= 2 / weights.sum()
        model.train_step(batch)
        np.testing.assert_allclose(model.balance.loss_weights, weights, rtol=1e-4)
    assert abs(weights - 1).max() > 0.01
    model.train_step(batch_of(clicks=False))
    np.testing.assert_allclose(model.balance.loss_weights, weights, rtol=1e-4)
    np.testing.assert_allclose(model.balance.first_losses, first, rtol=1e-5)


@pytest.mark.parametrize("method", balanced.METHODS)
def test_a_checkpoint_holds_all_that_the_next_steps_depend_on(method, tmp_path):
    batches = [batch_of(seed=seed) for seed in range(3)]
    model = balanced.new_model(SCHEMA, method)
    model.train_step(batches[0])
    path = tf.train.Checkpoint(model=model).write(str(tmp_path / "checkpoint"))
    again = balanced.new_model(SCHEMA, method)
    tf.train.Checkpoint(model=again).read(path).assert_existing_objects_matched()
    for batch in batches[1:]:
        model.train_step(batch), again.train_step(batch)
    for weight, restored in zip(model.weights, again.weights, strict=True):
        np.testing.assert_array_equal(weight, restored, err_msg=weight.name)


@pytest.mark.slow
def test_replicas_change_no_loss_and_no_weight(tmp_path):
    # The last batch leaves one replica without a request.
    synthetic.write_records(tmp_path / "data", SCHEMA, groups={"train": 23, "validation": 3, "test": 3}, seed=3)
    environment = {**os.environ, "PYTHONPATH": str(SCRIPT.parent.parent.parent)}
    done = subprocess.run([sys.executable, str(SCRIPT), str(tmp_path / "data"), str(tmp_path / "out")],
                          env=environment, text=True, stderr=subprocess.PIPE, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    for method in balanced.COMPARING:
        one, two = (dict(np.load(tmp_path / f"out-{method}-{count}.npz")) for count in ("one", "two"))
        assert set(one) == set(two)
        for name, value in one.items():
            atol = 1e-4 * np.abs(value).max() + 1e-9 if name.startswith("slot") else 2e-5
            np.testing.assert_allclose(two[name], value, rtol=1e-4, atol=atol, err_msg=f"{method}: {name}")


def test_errors():
    with pytest.raises(ValueError, match="balance.method=pcgrad needs a head of several labels, got one with the loss "
                                         "ctr_loss"):
        build_model(SCHEMA, balanced.DATA.lengths_of(SCHEMA), ModelConfig(objectives=()),
                    balance=BalanceConfig("pcgrad"))
    for method in ("gradnorm", "pcgrad"):
        with pytest.raises(ValueError, match=f"microbatches must be 1 with balance.method={method}, .*, got 2"):
            balanced.new_model(SCHEMA, method, microbatches=2)
    nothing_shared = component("towers", "shared_bottom").Config(units=())
    model = build_model(SCHEMA, balanced.DATA.lengths_of(SCHEMA),
                        ModelConfig(objectives=(), tower="shared_bottom", head="esmm"),
                        {("towers", "shared_bottom"): nothing_shared}, balance=BalanceConfig("gradnorm"))
    model.build_weights()
    with pytest.raises(ValueError, match="the labels share none"):
        model.compile(optimizer=tf.keras.optimizers.Adam())
    for options, message in (({"method": "equal"}, "balance.method must be one of fixed, .*, got 'equal'"),
                             ({"alpha": -1.0}, "balance.alpha must be"), ({"rate": 0.0}, "balance.rate must be")):
        with pytest.raises(ValueError, match=message):
            BalanceConfig(**options)
