"""Every public layer comes back from a `.keras` file; one that is missing from `CASES` fails the last test."""

import dataclasses
import inspect

import numpy as np
import pytest
import tensorflow as tf

from lcn_tf import layers
from tests.layers import test_every_layer as histories
from tests.layers.batches import random_batch, randomise

WIDTHS = {"candidate": 5, "history": 5, "context": 2}


def run_projections(layer, candidate, history, context, mask):
    return layer(tf.keras.layers.Concatenate(axis=-1)([history, context]), queries=candidate)


def run_sequence(layer, candidate, history, context, mask):
    return layer(history, mask=mask)


def run_alone(layer, candidate, history, context, mask):
    return layer(history)


def run_attention(layer, candidate, history, context, mask):
    return layer(candidate, events=tf.keras.layers.Concatenate(axis=-1)([history, context]), mask=mask)[0]


# The first case of each layer over a history; a functional model cannot hold the operation in their `run_attention`.
CASES = [
    *(dataclasses.replace(case, run=run_attention if case.run is histories.run_attention else case.run)
      for case in {case.layer: case for case in reversed(histories.CASES)}.values()),
    histories.Case(layers.FoldedProjections, {"attention_dim": 5}, run_projections),
    histories.Case(layers.SequenceEncoder, {"max_length": 7, "width": 6, "causal": True}, run_sequence),
    histories.Case(layers.SimHash, {"num_bits": 7, "seed": 2}, run_alone),
    histories.Case(layers.StatelessDropout, {"rate": 0.5}, run_alone),
]
every_case = pytest.mark.parametrize("case", CASES, ids=str)


class Ranker(tf.keras.Model):
    """A subclassed model around the layer of one case."""

    def __init__(self, case, **kwargs):
        super().__init__(**kwargs)
        self.case = case
        self.layer = CASES[case].create()

    def call(self, inputs):
        return CASES[self.case].run(self.layer, *(inputs[name] for name in (*WIDTHS, "mask")))

    def get_config(self):
        return {**super().get_config(), "case": self.case}


def functional_model(case):
    inputs = {name: tf.keras.Input((None, width), name=name) for name, width in WIDTHS.items()}
    inputs["mask"] = tf.keras.Input((None,), dtype="bool", name="mask")
    return tf.keras.Model(inputs, case.run(case.create(), *inputs.values()))


def example_inputs():
    batch = random_batch(9)
    return {name: tf.constant(getattr(batch, name)) for name in (*WIDTHS, "mask")}


def loaded_again(model, folder):
    """The model read from the file it was saved to, all of it new."""
    model.save(str(folder / "model.keras"))
    tf.keras.backend.clear_session()
    return tf.keras.models.load_model(str(folder / "model.keras"), custom_objects={"Ranker": Ranker})


@every_case
def test_a_functional_model_comes_back(case, tmp_path):
    model, inputs = functional_model(case), example_inputs()
    created = len(model.weights)
    randomise(model, seed=1)
    loaded = loaded_again(model, tmp_path)
    np.testing.assert_array_equal(loaded(inputs), model(inputs))
    assert len(loaded.weights) == len(model.weights) == created, "every weight is there before the first call"


@every_case
def test_a_subclassed_model_comes_back(case, tmp_path):
    model, inputs = Ranker(CASES.index(case)), example_inputs()
    model(inputs)
    randomise(model, seed=1)
    np.testing.assert_array_equal(loaded_again(model, tmp_path)(inputs), model(inputs))


def test_dropout_goes_on_with_the_mask_it_would_have_drawn(tmp_path):
    inputs = tf.keras.Input((7,))
    model = tf.keras.Model(inputs, layers.StatelessDropout(0.5, seed=3)(inputs))
    values = tf.ones([5, 7])
    first = model(values, training=True)
    loaded = loaded_again(model, tmp_path)
    second = model(values, training=True)
    assert (first.numpy() != second.numpy()).any()
    np.testing.assert_array_equal(loaded(values, training=True), second)


def test_every_public_layer_is_a_case():
    public = {getattr(layers, name) for name in layers.__all__}
    found = {value for value in public if inspect.isclass(value) and issubclass(value, tf.keras.layers.Layer)}
    assert found == {case.layer for case in CASES}
