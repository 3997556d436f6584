"""A batch in parts trains as the whole one, in the memory of one part."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from experiments.benchmarks import measure
from lcn_tf.data import records
from lcn_tf.data.pipeline import flat_rows, grouped_rows
from lcn_tf.embeddings import EmbeddingConfig
from lcn_tf.models import ModelConfig, build_model
from lcn_tf.models.microbatches import sum_over_parts
from lcn_tf.models.registry import component
from lcn_tf.towers import mlp
from lcn_tf.training import TrainConfig, compile_model
from tests import synthetic

SCHEMA = dataclasses.replace(synthetic.make_schema(), scenario="slot")
LENGTHS = {"short_target": 3, "short_source": 5, "lifelong_source": 13}
SMALL = {
    ("long_term", "lap"): {"msa_top_k": 7, "fsa_top_k": 3, "attention_dim": 4},
    ("long_term", "sim"): {"top_k": 3, "attention_dim": 4, "aux_units": (7, 5)},
    ("objectives", "crp"): {"num_negatives": 37},
}


def make_model(train, long_term="lap", tower="mlp", objectives=("crp",), **options):
    """A model of small components; `options` are (kind, name) -> more of its options, by "kind/name"."""
    model = ModelConfig(long_term=long_term, tower=tower, objectives=objectives)
    more = {tuple(part.split("/")): values for part, values in options.items()}
    configs = {part: dataclasses.replace(component(*part).Config(), **{**SMALL.get(part, {}), **more.get(part, {})})
               for part in model.parts}
    tf.keras.utils.set_random_seed(11)
    built = build_model(SCHEMA, LENGTHS, model, configs, EmbeddingConfig(embedding_dim=5), seed=3)
    compile_model(built, train)
    return built


def batches(rows, count=3):
    for seed in range(count):
        groups = synthetic.make_groups(SCHEMA, 11, seed=seed, offsets=True)
        yield rows(SCHEMA, tf.constant([records.encode(SCHEMA, group) for group in groups]), LENGTHS)


@pytest.mark.parametrize("rows, parts, train, options", [
    (grouped_rows, 3, {"optimizer": "adam"}, {}),
    (grouped_rows, 100, {"table_optimizer": "row_sparse_adam"}, {"objectives/crp": {"tables": "separate"}}),
    (flat_rows, 4, {"optimizer": "row_sparse_adam"}, {"long_term": "sim", "objectives/crp": {"rows": "positive"}}),
    (grouped_rows, 3, {"optimizer": "adam"}, {"tower": "hierrec", "towers/hierrec": {"batch_norm": False}}),
], ids=["adam", "more parts than requests", "sim flat", "hierrec"])
def test_parts_train_as_the_whole_batch(rows, parts, train, options):
    check_steps(TrainConfig(**train), parts, batches(rows), lambda model: model.train_step, **options)


@pytest.mark.slow
def test_parts_train_as_the_whole_batch_when_traced():
    """As `fit` traces a step: the number of requests and of candidates unknown."""
    data = list(batches(grouped_rows, 2))
    specs = {name: tf.TensorSpec([None] * value.shape.rank, value.dtype) for name, value in data[0].items()}
    check_steps(TrainConfig(optimizer="row_sparse_adam"), 3, data,
                lambda model: tf.function(model.train_step, [specs]), long_term="sim")


def check_steps(config, parts, data, step_of, **options):
    whole = make_model(config, **options)
    divided = make_model(dataclasses.replace(config, microbatches=parts), **options)
    step = step_of(divided)
    for batch in data:
        expected, found = whole.train_step(batch), step(batch)
        assert set(found) == set(expected) >= {"ctr_loss", "auc"}
        for name, value in found.items():
            np.testing.assert_allclose(value, expected[name], rtol=1e-5, atol=1e-6, err_msg=name)
    for weight, other in zip(whole.trainable_weights, divided.trainable_weights, strict=True):
        np.testing.assert_allclose(other, weight, rtol=1e-5, atol=1e-6, err_msg=weight.name)


@pytest.mark.parametrize("requests", [3, 0])
def test_sums_are_those_of_the_batch(requests):
    places = np.random.default_rng(1).integers(0, 7, [requests, 2])
    batch = {"places": tf.constant(places), "candidate_mask": tf.ones([requests, 2], tf.bool)}
    rows = tf.constant(np.arange(35.0, dtype=np.float32).reshape(7, 5) / 35)
    kernel, unread = tf.Variable(np.ones([5, 1], np.float32)), tf.Variable([1.0])

    def click(begin, end):
        logit = tf.tensordot(tf.gather(rows, batch["places"][begin:end]), kernel, 1)[..., 0]
        return {"loss": tf.reduce_sum(logit ** 2)}, logit

    @tf.function
    def run():
        return sum_over_parts(click, ("loss",), batch["candidate_mask"], [rows], 2, [kernel, None, unread, rows])

    losses, (of_kernel, *none, of_rows), logit = run()
    with tf.GradientTape() as tape:
        tape.watch(rows)
        expected, expected_logit = click(0, requests)
    expected_kernel, expected_rows = tape.gradient(expected["loss"], [kernel, rows])
    np.testing.assert_allclose(of_rows, tf.convert_to_tensor(expected_rows), rtol=1e-6)
    np.testing.assert_allclose(of_kernel, expected_kernel, rtol=1e-6)
    assert none == [None, None]
    np.testing.assert_allclose(losses["loss"], expected["loss"], rtol=1e-6)
    np.testing.assert_array_equal(logit, expected_logit)


def test_one_part_is_in_memory_at_a_time():
    """Sixteen requests of 32 MiB of activations and as many of gradients, 1 GiB together."""
    batch = {"candidate_mask": tf.ones([16, 1], tf.bool), "factor": tf.ones([16, 1, 1])}
    width = tf.Variable(tf.ones([2**23]))

    def large(begin, end):
        factor = batch["factor"][begin:end]
        activations = tf.exp(factor * tf.sin(width))
        return {"loss": tf.reduce_sum(activations ** 2)}, factor[..., 0]

    run = tf.function(lambda: sum_over_parts(large, ("loss",), batch["candidate_mask"], [], 16, [width])[0]["loss"])
    before = measure.resident_bytes()
    with measure.PeakMemory() as memory:
        assert float(run()) > 0
    assert memory.bytes < before + 512 * 2**20


def test_a_loss_that_a_part_adds_is_refused():
    class Adding(mlp.MLPTower):
        def call(self, inputs, mask=None, training=False):
            if training:
                self.add_loss(tf.reduce_sum(inputs ** 2))
            return super().call(inputs, mask, training)

    model = make_model(TrainConfig())
    model.tower = Adding((9, 128))
    compile_model(model, TrainConfig(microbatches=2))
    with pytest.raises(ValueError, match="microbatches must be 1 with a part that calls add_loss"):
        model.train_step(next(batches(grouped_rows)))


@pytest.mark.parametrize("options, layer", [
    ({"towers/mlp": {"input_norm": "batch"}}, "BatchNormalization"),
    ({"tower": "hamur"}, "DomainBatchNorm"), ({"tower": "hierrec"}, "DomainBatchNorm"),
    ({"long_term/lap": {"fsa_dropout": 0.1}}, "StatelessDropout"),
    ({"towers/mlp": {"dropout": 0.1}}, "StatelessDropout"),
    ({"tower": "cross", "towers/cross": {"input_dropout": 0.1}}, "StatelessDropout")])
def test_layers_that_depend_on_the_rest_of_the_batch_are_refused(options, layer):
    with pytest.raises(ValueError, match=rf"microbatches must be 1 with the layer .*\({layer}\)"):
        make_model(TrainConfig(microbatches=2), **options)
    make_model(TrainConfig(), **options)
