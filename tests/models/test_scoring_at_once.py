"""Candidates that share their request's events are scored at once, with the result of scoring each alone."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from lcn_tf.data import records
from lcn_tf.data.pipeline import flat_rows, grouped_rows
from lcn_tf.embeddings import EmbeddingConfig
from lcn_tf.layers import LAP
from lcn_tf.models import ModelConfig, build_model
from lcn_tf.schema import Feature
from tests import synthetic
from tests.layers.batches import random_batch, randomise
from tests.long_term.histories import LENGTHS, Requests, config

LAPS = [{}, {"csa_pool": "mean", "csa_scale": True}, {"csa_pool": "softmax"}, {"csa_pool": "abs_norm"},
        {"msa_norm": "none"}, {"share_msa_fsa": True}, {"fsa_pool": "per_item"}, {"integration": "last"},
        {"msa_top_k": None}, {"fsa_top_k": None}, {"fsa_top_k": "all"}, {"level_norm": "none", "fsa_residual": True}]
SMALL = {"msa_top_k": 5, "fsa_top_k": 3, "attention_dim": 6, "num_heads": 2}
SIMS = [{}, {"gsu": "inner"}, {"tables": "separate", "num_heads": 2}]
SDIMS = [{}, {"context": False}, {"num_hashes": 5, "hash_bits": 1}]
PARTS = [*(("lap", {**SMALL, **options}) for options in LAPS),
         *(("sdim", options) for options in SDIMS),
         *(("sim", {"top_k": 3, "attention_dim": 4, "aux_units": (5,), **options}) for options in SIMS)]


def model_of(name, options, schema=None, **parts):
    part = ("long_term", name)
    model = build_model(schema or synthetic.make_schema(), LENGTHS, ModelConfig(long_term=name, **parts),
                        {part: config(name, **options)}, EmbeddingConfig(embedding_dim=5))
    model.build_weights()
    rng = np.random.default_rng(5)
    for weight in model.trainable_variables:
        weight.assign(rng.normal(scale=0.4, size=weight.shape).astype(np.float32))
    return model


def assert_as_alone(model, scored, moments):
    """One impression, C = 1, has no other candidates to be scored with."""
    grouped, flat = (Requests(rows, False, moments, embedder=model.embedder) for rows in (grouped_rows, flat_rows))
    found = tf.boolean_mask(scored(grouped.batch), grouped.real)
    np.testing.assert_allclose(found, model(flat.batch)[:, 0], rtol=1e-5, atol=1e-5)
    assert np.ptp(found) > 1e-2


def at_once(model, batch):
    return model(model.embedder.read(batch, common_views=True))


@pytest.mark.parametrize("moments", [False, True])
@pytest.mark.parametrize("name, options", PARTS)
def test_a_request_is_its_candidates_one_by_one(name, options, moments):
    model = model_of(name, options, objectives=())
    assert_as_alone(model, lambda batch: at_once(model, batch), moments)


@pytest.mark.parametrize("name, options", [PARTS[0], PARTS[-1], ("sdim", {})])
def test_a_graph_serves_one_moment_and_several(name, options):
    model = model_of(name, options, objectives=())
    graph = tf.function(lambda batch: at_once(model, batch), reduce_retracing=True)
    for moments in (False, True, False):
        assert_as_alone(model, graph, moments)


def test_views_are_common_where_nothing_is_hidden():
    requests = Requests()
    read = requests.embedder.read(requests.batch, common_views=True)
    history = read.lifelong
    np.testing.assert_array_equal(history.common_mask[:, np.newaxis] & np.ones([3, 1], bool), requests.mask)
    assert requests.history.common_mask is None and read.part(1, 3).lifelong.common_mask.shape[0] == 2
    assert tf.nest.map_structure(tf.identity, read).common_views


@pytest.mark.parametrize("name, options", [PARTS[0], PARTS[5], PARTS[-3]])
def test_explain_names_the_events_that_scoring_attends_to(name, options):
    model, requests = model_of(name, options), Requests(seed=6, moments=True)
    found, expected = (model.long_term.explain(read.candidate, read.lifelong)
                       for read in (model.embedder.read(requests.batch, common) for common in (True, False)))
    assert set(found) == set(expected)
    for key, values in found.items():
        found_of_real, of_real = (tf.boolean_mask(one, requests.real) for one in (values, expected[key]))
        np.testing.assert_allclose(found_of_real, of_real, atol=1e-5, err_msg=key)


def test_without_any_context_too():
    schema = dataclasses.replace(
        synthetic.make_schema(time_gap=False), item=(Feature("item_id", "item"),), context=(),
        tables={"user": 43, "age": 5, "item": 211, "price": 7, "slot": 3})
    model = model_of("lap", SMALL, schema, objectives=())
    groups = synthetic.make_groups(schema, 7, seed=4, max_candidates=3)
    examples = tf.constant([records.encode(schema, group) for group in groups])
    grouped = grouped_rows(schema, examples, LENGTHS)
    np.testing.assert_allclose(tf.boolean_mask(at_once(model, grouped), grouped["candidate_mask"]),
                               model(flat_rows(schema, examples, LENGTHS))[:, 0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("length, longest", [(641, None), (641, 641), (641, 101 * 24 + 1), (67, 641)])
def test_sizes_of_serving(length, longest):
    """The search screens events, and MSA gathers vectors or numbers, by how many events there may be."""
    batch = random_batch(3, candidates=7, length=length)
    layer = LAP(msa_top_k=101, fsa_top_k=17, attention_dim=6, num_heads=2)
    alike = {"context": tf.constant(batch.context), "longest": longest}
    candidate, history = tf.constant(batch.candidate), tf.constant(batch.history)
    layer(candidate, history, **alike, mask=tf.constant(batch.mask))
    randomise(layer, 3)
    for call in (layer, layer.explain):
        graph = tf.function(lambda history, mask, call=call: call(candidate, history, mask=mask, **alike),
                            input_signature=[tf.TensorSpec([None, None, 5]), tf.TensorSpec([None, None], tf.bool)])
        at_once = graph(history, batch.mask)
        for_each = call(candidate, history, mask=tf.constant(batch.wide_mask), **alike)
        for found, expected in zip(tf.nest.flatten(at_once), tf.nest.flatten(for_each), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
