"""What holds for every lifelong model the registry finds, as a layer over embedded histories and in a saved model."""

import dataclasses
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from lcn_tf import contracts
from lcn_tf.data import records
from lcn_tf.data.pipeline import flat_rows, grouped_rows
from lcn_tf.embeddings import EmbeddingConfig
from lcn_tf.layers import MASKED_SCORE
from lcn_tf.models import ModelConfig, build_model, registry
from lcn_tf.models.offers import check_offers
from lcn_tf.schema import Feature
from lcn_tf.serving.signatures import build_signatures
from lcn_tf.training import TrainConfig, compile_model
from tests import synthetic
from tests.long_term.histories import LAYOUTS, LENGTHS, Requests, built, config, small_model
from tests.models.test_every_component import SMALL

WITHOUT_STAGES = ("mean_pool", "none", "sdim")  # nothing is ranked there
EXPLAINED = ("eta", "random_k", "recent_k", "sim", "sim_hard", "twin")  # one search, then attention; LAP: test_lap
every_model = pytest.mark.parametrize("name", registry.components("long_term"))


def layer_of(name, requests, **options):
    return built(registry.component("long_term", name), requests, **{**SMALL.get(("long_term", name), {}), **options})


@every_model
def test_empty_history_gives_zeros_and_finite_gradients(name):
    requests = Requests()
    layer, history = layer_of(name, requests), requests.history
    with tf.GradientTape() as tape:
        tape.watch([requests.candidate, history.items])
        interest = layer(requests.candidate, history)
    empty = ~requests.mask.any(-1)
    assert empty.any() and not empty.all()
    assert (interest.numpy()[empty] == 0).all()
    for gradient in tape.gradient(interest, [requests.candidate, history.items, *layer.trainable_variables]):
        assert gradient is None or np.isfinite(tf.convert_to_tensor(gradient)).all()


@every_model
def test_without_context_events_are_their_items(name):
    requests = Requests(offsets=True, time_gap=False, context=False)
    layer = layer_of(name, requests)
    found = requests.run(layer)
    assert np.isfinite(found[requests.real]).all()
    if hasattr(registry.component("long_term", name).Config, "context"):
        items_alone = layer_of(name, requests, context=False)
        np.testing.assert_array_equal(requests.run(items_alone), found)


@every_model
def test_a_schema_of_one_item_field_and_no_context_will_do(name):
    schema = dataclasses.replace(
        synthetic.make_schema(time_gap=False), item=(Feature("item_id", "item"),), context=(),
        tables={"user": 43, "age": 5, "item": 211, "price": 7, "slot": 3})  # a table that is read row by row
    part = ("long_term", name)
    options = dataclasses.replace(registry.component(*part).Config(), **SMALL.get(part, {}))
    model = build_model(schema, LENGTHS, ModelConfig(long_term=name), {part: options}, EmbeddingConfig(embedding_dim=5))
    compile_model(model, TrainConfig())
    groups = synthetic.make_groups(schema, 7, seed=4, max_candidates=3, offsets=True)
    examples = tf.constant([records.encode(schema, group) for group in groups])
    batch, flat = grouped_rows(schema, examples, LENGTHS), flat_rows(schema, examples, LENGTHS)
    logits = model(model.embedder.look_up(batch))
    np.testing.assert_allclose(logits, model(batch), rtol=1e-4, atol=1e-5)
    together = tf.boolean_mask(logits, batch["candidate_mask"])
    np.testing.assert_allclose(together, model(flat)[:, 0], rtol=1e-4, atol=1e-5)
    losses, gradients = model.compute_gradients(batch)
    assert all(np.isfinite(loss) for loss in losses.values())
    assert all(gradient is None or np.isfinite(tf.convert_to_tensor(gradient)).all() for gradient in gradients)


@every_model
@pytest.mark.parametrize("rows, offsets, moments", LAYOUTS)
def test_stage_scores_cover_the_visible_events(name, rows, offsets, moments):
    requests = Requests(rows, offsets, moments)
    layer = layer_of(name, requests)
    assert hasattr(layer, "stage_scores") == (name not in WITHOUT_STAGES)
    if name in WITHOUT_STAGES:
        return
    stages = layer.stage_scores(requests.candidate, requests.history)
    assert {"gsu", "final"} <= set(stages)
    for scores in stages.values():
        assert scores.dtype == tf.float32 and scores.shape == requests.mask.shape
        assert (scores.numpy()[~requests.mask] == MASKED_SCORE).all()
        assert (scores.numpy()[requests.mask] > MASKED_SCORE).all()


@pytest.mark.parametrize("name, options", [*((name, {}) for name in EXPLAINED), ("twin", {"top_k_per_head": True})])
@pytest.mark.parametrize("rows, offsets, moments", [LAYOUTS[3], LAYOUTS[4]])
def test_explain_names_the_events_that_decide(name, options, rows, offsets, moments):
    requests = Requests(rows, offsets, moments)
    layer = layer_of(name, requests, **{**options, "top_k": 3})
    found = {key: values.numpy() for key, values in layer.explain(requests.candidate, requests.history).items()}
    indices, scores = found["esu_indices"], found["esu_scores"]
    assert indices.shape == scores.shape and (scores[indices < 0] == 0).all() and (scores >= 0).all()
    search = layer.stage_scores(requests.candidate, requests.history)["gsu"].numpy()
    kept = np.zeros(requests.mask.shape, bool)
    for b, c in np.ndindex(*indices.shape[:2]):
        listed = indices[b, c][indices[b, c] >= 0]
        kept[b, c, listed] = True
        assert options or (len(set(listed)) == len(listed) and (np.diff(search[b, c, listed]) <= 0).all())
        np.testing.assert_allclose(scores[b, c].sum(), len(listed) > 0, rtol=1e-5)
    assert (requests.mask | ~kept).all() and (name == "sim_hard" or (kept.any(-1) == requests.mask.any(-1)).all())
    narrowed = dataclasses.replace(requests.history, mask=tf.constant(kept))  # the other events do not matter
    np.testing.assert_allclose(layer(requests.candidate, narrowed)[requests.real], requests.run(layer)[requests.real],
                               rtol=1e-4, atol=1e-5)


def test_every_model_has_tests_of_its_own():
    tested = {path.stem.removeprefix("test_") for path in pathlib.Path(__file__).parent.glob("test_*.py")}
    assert set(registry.components("long_term")) - tested == {"none"}


def test_what_a_model_offers_beside_its_interest():
    layers = {name: registry.component("long_term", name).build(config(name, **SMALL.get(("long_term", name), {})))
              for name in registry.components("long_term")}

    def offering(protocol):
        return {name for name, layer in layers.items() if isinstance(layer, protocol)}

    assert offering(contracts.Explains) == {*EXPLAINED, "lap"}
    assert offering(contracts.SearchesByHead) == {"twin"}
    assert offering(contracts.SearchesTables) == {"lap", "sim"}
    assert offering(contracts.OwnLoss) == {"dien", "sim"}
    assert layers["sim"].own_terms == ("gsu",) and layers["dien"].own_terms == ("next_event",)
    for name, layer in layers.items():
        check_offers(name, layer)


@pytest.mark.parametrize("members, message", [
    ({"own_terms": ("a",), "interest_and_losses": None}, "half has own_terms, but lacks contrasted_events of .*Loss"),
    ({"explain": None}, "half has explain, but lacks stage_scores of lcn_tf.contracts.Explains"),
    ({"search_tables": "own"}, "half has search_tables, but lacks pretrained of .*SearchesTables"),
])
def test_what_is_offered_by_halves_is_refused(members, message):
    with pytest.raises(ValueError, match=message):
        check_offers("half", type("Half", (), members)())


@pytest.mark.parametrize("name", ["dien", "sim"])
def test_building_the_weights_trains_nothing(name):
    tower = registry.component("towers", "mlp").Config(units=(5,), input_norm="batch", dropout=0.5)
    model = build_model(synthetic.make_schema(), LENGTHS, ModelConfig(long_term=name, objectives=()),
                        {("towers", "mlp"): tower}, EmbeddingConfig(embedding_dim=4))
    model.build_weights()
    found = {variable.name: variable.numpy() for variable in model.tower.non_trainable_variables}
    assert len(found) == 3
    for variable, value in found.items():
        np.testing.assert_array_equal(value, 1.0 if "variance" in variable else 0.0, err_msg=variable)


@every_model
def test_two_passes_agree_bit_for_bit(name):
    requests = Requests(offsets=True, moments=True)
    layer = layer_of(name, requests)
    function = tf.function(lambda: layer(requests.candidate, requests.history))
    np.testing.assert_array_equal(function(), function())
    np.testing.assert_array_equal(requests.run(layer), requests.run(layer))


@every_model
def test_a_saved_model_scores_the_same(name, tmp_path):
    """Whatever the layer draws or counts travels with its weights."""
    model = small_model(name, config(name, **SMALL.get(("long_term", name), {})))
    for variable in model.embedder.variables:
        variable.assign(variable * 3.0)
    module = tf.Module()
    module.model_variables = model.variables
    tf.saved_model.save(module, str(tmp_path), signatures=build_signatures(model))
    serve = tf.saved_model.load(str(tmp_path)).signatures["serving_default"]
    batch = Requests(embedder=model.embedder).batch
    names = serve.structured_input_signature[1]
    logit = model(batch).numpy()
    probability = serve(**{key: batch[key] for key in names})["probability"].numpy()
    real = batch["candidate_mask"].numpy()
    np.testing.assert_allclose(probability[real], tf.sigmoid(logit)[real], rtol=1e-5, atol=1e-6)
