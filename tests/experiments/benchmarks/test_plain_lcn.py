"""The plain LCN is the model that `build_model` composes by default: logits, losses, gradients, training."""

import numpy as np
import pytest
import tensorflow as tf

from experiments.benchmarks.plain_lcn import PlainLCN, compile_plain, weight_pairs
from experiments.benchmarks.synthetic_batches import make_batch
from lcn_tf.embeddings import EmbeddingConfig
from lcn_tf.models import ModelConfig, build_model
from lcn_tf.models.registry import component
from lcn_tf.schema import TIME_GAP, Feature, FeatureSchema
from lcn_tf.training import TrainConfig, compile_model
from tests.synthetic import HISTORIES, histories_of

WIDTH = 5
TOP_K = {"msa_top_k": 11, "fsa_top_k": 3}
NEGATIVES = 37
LENGTHS = {"short_target": 5, "short_source": 7, "lifelong_source": 23}


def make_schema():
    """Every role, and two item fields."""
    tables = {"age": 7, "item": 601, "brand": 67, "price": 11, "slot": 3, "type": 6, TIME_GAP: 6}
    return FeatureSchema(
        name="plain", tables=tables, user=(Feature("age", "age"),),
        item=(Feature("item_id", "item"), Feature("brand", "brand")), candidate=(Feature("price", "price"),),
        request=(Feature("slot", "slot"),), context=(Feature("type", "type"),),
        histories=histories_of(LENGTHS), time_gap_boundaries=(3_600, 86_400, 864_000))


def make_short_batch(schema, rows, seed):
    """Histories of any length, empty ones too; no item twice in one, so that no two events score alike."""
    rng = np.random.default_rng(seed)
    batch = {name: values.numpy() for name, values in make_batch(schema, rows, 1, seed).items()}
    for history in HISTORIES:
        shape = batch[f"{history}_mask"].shape
        batch[f"{history}_item_id"] = np.stack([2 + rng.permutation(schema.tables["item"] - 2)[:shape[1]]
                                                for _ in range(rows)])
        seen = np.arange(shape[1]) < rng.integers(0, shape[1] + 1, rows)[:, np.newaxis]
        seen[0], seen[1] = True, False
        batch[f"{history}_mask"] = seen
        for field in ("item_id", "brand", "type", "timestamp"):
            batch[f"{history}_{field}"] = np.where(seen, batch[f"{history}_{field}"], 0)
    return {name: tf.constant(values) for name, values in batch.items()}


def make_pair():
    """Both models with the same weights, larger than initial ones, so that no attention is uniform."""
    tf.random.set_seed(1)
    schema = make_schema()
    configs = {("long_term", "lap"): component("long_term", "lap").Config(**TOP_K),
               ("objectives", "crp"): component("objectives", "crp").Config(num_negatives=NEGATIVES)}
    model = build_model(schema, LENGTHS, ModelConfig(), configs, EmbeddingConfig(WIDTH, "uniform_0.05"), seed=3)
    compile_model(model, TrainConfig(optimizer="adam"))
    plain = PlainLCN(schema, WIDTH, **TOP_K, num_negatives=NEGATIVES, seed=3)
    compile_plain(plain, make_short_batch(schema, 2, 0))
    pairs = weight_pairs(plain, model)
    for place, (ours, theirs) in enumerate(pairs):
        drawn = tf.random.stateless_normal(theirs.shape, [7, place], stddev=0.3)
        ours.assign(drawn)
        theirs.assign(drawn)
    return plain, model, pairs


def with_gradients(losses_of, batch, weights):
    with tf.GradientTape() as tape:
        losses = losses_of(batch)
        total = tf.add_n(list(losses.values()))
    return losses, [tf.convert_to_tensor(gradient) for gradient in tape.gradient(total, weights)]


def test_logits_losses_and_gradients_are_those_of_the_model():
    plain, model, pairs = make_pair()
    assert {id(theirs) for _, theirs in pairs} == {id(weight) for weight in model.trainable_variables}
    assert {id(ours) for ours, _ in pairs} == {id(weight) for weight in plain.trainable_variables}
    batch = make_short_batch(make_schema(), 31, 1)
    np.testing.assert_allclose(plain(batch), model(batch)[:, 0], rtol=1e-5, atol=1e-5)
    losses, gradients = with_gradients(plain.losses_of, batch, [ours for ours, _ in pairs])
    expected, expected_gradients = with_gradients(model.compute_losses, batch, [theirs for _, theirs in pairs])
    assert set(losses) == set(expected)
    for name, value in expected.items():
        assert float(losses[name]) == pytest.approx(float(value), rel=1e-5), name
    for (ours, _), gradient, other in zip(pairs, gradients, expected_gradients, strict=True):
        atol = 1e-5 * np.abs(other).max() + 1e-7  # a bias before a softmax has no gradient but rounding errors
        np.testing.assert_allclose(gradient, other, rtol=1e-5, atol=atol, err_msg=ours.name)


@pytest.mark.slow
def test_fifty_steps_leave_the_metrics_of_the_model():
    plain, model, _ = make_pair()
    batches = [make_short_batch(make_schema(), 31, seed) for seed in range(1, 6)]
    steps = [tf.function(one.train_step) for one in (plain, model)]
    for number in range(50):
        metrics, expected = (step(batches[number % len(batches)]) for step in steps)
    assert {name: float(value) for name, value in metrics.items()} == pytest.approx(
        {name: float(value) for name, value in expected.items()}, rel=1e-5, abs=1e-5)
    assert float(expected["auc"]) > 0.55
