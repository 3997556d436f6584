"""The model's losses: what they are made of, and that layouts and objectives leave the click loss alone."""

import dataclasses
import json
import math
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from lcn_tf.data import records
from lcn_tf.data.pipeline import flat_rows, grouped_rows
from lcn_tf.embeddings import EmbeddingConfig
from lcn_tf.models import ModelConfig, build_model
from lcn_tf.models.registry import component
from tests import synthetic

LENGTHS = {"short_target": 3, "short_source": 5, "lifelong_source": 13}
LAP = dataclasses.replace(component("long_term", "lap").Config(), msa_top_k=7, fsa_top_k=3, attention_dim=4)


def make_model(objectives=("crp",), seed=11, **crp):
    crp_config = dataclasses.replace(component("objectives", "crp").Config(), **{"num_negatives": 37, **crp})
    tf.keras.utils.set_random_seed(seed)
    model = build_model(synthetic.make_schema(), LENGTHS, ModelConfig(objectives=objectives),
                        {("long_term", "lap"): LAP, ("objectives", "crp"): crp_config},
                        EmbeddingConfig(embedding_dim=5), seed=3)
    model.build_weights()
    model.compile(optimizer=tf.keras.optimizers.Adam(1e-2))
    return model


def batch_of(rows=grouped_rows, count=23, seed=6, user_snapshots=False):
    """Random request groups; with `user_snapshots`, candidates of different moments that see different events."""
    schema = synthetic.make_schema()
    groups = synthetic.make_groups(schema, count, seed=seed, offsets=user_snapshots)
    if user_snapshots:
        for group in groups:
            group["timestamp"] = [stamp - 5_000 * place for place, stamp in enumerate(group["timestamp"])]
    return rows(schema, tf.constant([records.encode(schema, group) for group in groups]), LENGTHS)


def test_click_loss_is_the_mean_over_real_candidates():
    model, batch = make_model(), batch_of()
    logits, labels, mask = (value.numpy() for value in (model(batch), batch["label"], batch["candidate_mask"]))
    rows = [math.log1p(math.exp(-logit if label else logit))
            for logit, label, real in zip(logits.flat, labels.flat, mask.flat, strict=True) if real]
    assert float(model.compute_losses(batch)["ctr_loss"]) == pytest.approx(sum(rows) / len(rows), rel=1e-5)


@pytest.mark.parametrize("user_snapshots, options", [
    (False, {}), (True, {}), (True, {"denominator": "inbatch"}), (True, {"rows": "positive"}),
    (True, {"tables": "separate"}), (True, {"num_negatives": 9001}),
    (False, {"num_negatives": 9001, "tables": "projection"})], ids=str)
def test_layouts_give_the_same_predictions_losses_and_gradients(user_snapshots, options):
    model = make_model(**options)
    found = []
    for rows in (grouped_rows, flat_rows):
        batch = batch_of(rows, user_snapshots=user_snapshots)
        with tf.GradientTape() as tape:
            losses = model.compute_losses(batch)
            total = tf.add_n(list(losses.values()))
        assert set(losses) == {"ctr_loss", "crp_pt", "crp_ps", "crp_pc"} and all(losses.values())
        gradients = map(tf.convert_to_tensor, tape.gradient(total, model.trainable_variables))
        found.append([tf.boolean_mask(model(batch), batch["candidate_mask"]), *losses.values(), *gradients])
    for grouped, flat in zip(*found, strict=True):
        np.testing.assert_allclose(grouped, flat, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("rows", [grouped_rows, flat_rows])
def test_predictions_count_the_events_that_each_candidate_sees(rows):
    schema = synthetic.make_schema()
    groups = synthetic.make_groups(schema, 23, seed=6, offsets=True)
    found = make_model().predict_step(
        rows(schema, tf.constant([records.encode(schema, group) for group in groups]), LENGTHS))
    for name, history in (("target_length", "short_target"), ("source_length", "lifelong_source")):
        stored = {impression: len(group[f"{history}_timestamp"]) - offset for group in groups
                  for impression, offset in zip(group["impression_id"], group[f"{history}_offset"], strict=True)}
        assert len(set(stored.values())) > LENGTHS[history]
        visible = [min(stored[impression], LENGTHS[history]) for impression in found["impression_id"].numpy()]
        assert found[name].numpy().tolist() == visible and len(visible) == len(stored)


def test_user_snapshots_see_other_events_than_the_whole_history():
    batch = batch_of(user_snapshots=True)
    whole = {**batch, **{f"{history}_offset": tf.zeros_like(batch["timestamp"]) for history in LENGTHS}}
    model = make_model()
    for name, loss in model.compute_losses(batch).items():
        assert abs(float(loss) - float(model.compute_losses(whole)[name])) > 1e-6, name


def test_total_is_click_loss_plus_weighted_terms():
    losses = {}
    for weight in (0.1, 0.3):
        losses[weight] = make_model(weight=weight).compute_losses(batch_of())
    assert set(losses[0.1]) == {"ctr_loss", "crp_pt", "crp_ps", "crp_pc"}
    assert float(losses[0.3]["ctr_loss"]) == float(losses[0.1]["ctr_loss"])
    assert float(losses[0.3]["crp_pc"]) == pytest.approx(3 * float(losses[0.1]["crp_pc"]), rel=1e-5)
    total = make_model().compute_loss(batch_of())
    assert float(total) == pytest.approx(sum(map(float, losses[0.1].values())), rel=1e-6)


def test_weight_zero_is_bit_equal_to_no_crp():
    logs = []
    for arguments in ({"objectives": ()}, {"weight": 0.0}):
        model = make_model(**arguments)
        for _ in range(3):
            model.train_step(batch_of())
        logs.append([weight.numpy() for weight in model.trainable_weights])
        assert not model.objectives
    for without, zero in zip(*logs, strict=True):
        np.testing.assert_array_equal(without, zero)


def test_sampling_changes_with_the_step_and_only_with_it():
    model, batch = make_model(), batch_of()
    first, again = model.compute_losses(batch), model.compute_losses(batch)
    assert float(first["crp_pt"]) == float(again["crp_pt"])
    model.optimizer.iterations.assign_add(1)
    assert float(model.compute_losses(batch)["crp_pt"]) != float(first["crp_pt"])


def reached(model, name, batch, weights):
    """Whether the gradient of one loss term is non-zero for each of some weights."""
    weights = list(weights)
    with tf.GradientTape() as tape:
        loss = model.compute_losses(batch)[name]
    gradients = tape.gradient(loss, weights)
    return [gradient is not None and bool(np.any(tf.convert_to_tensor(gradient))) for gradient in gradients]


def item_tables(tables):
    return [tables.vectors[name] for name in ("item", "category")]


def test_shared_tables_are_trained_by_both_losses():
    model, batch = make_model(tables="shared"), batch_of()
    for name in ("ctr_loss", "crp_pt", "crp_ps", "crp_pc"):
        assert reached(model, name, batch, item_tables(model.embedder.tables)) == [True, True]
    assert model.embedder.search_tables is None and model.objectives["crp"].projection is None


def test_separate_tables_are_trained_by_crp_alone_and_searched_by_csa():
    model, batch = make_model(tables="separate"), batch_of()
    main, search = item_tables(model.embedder.tables), item_tables(model.embedder.search_tables)
    assert reached(model, "ctr_loss", batch, main + search) == [True, True, False, False]
    assert reached(model, "crp_pc", batch, main + search) == [False, False, True, True]
    before = model(batch)
    search[0].assign(-search[0])
    search[1].assign(3 * search[1])  # other scores, other rankings
    assert not np.allclose(before, model(batch))


def test_projection_is_trained_by_crp_and_not_used_by_the_model():
    model, batch = make_model(tables="projection"), batch_of()
    projection = model.objectives["crp"].projection.trainable_weights
    assert len(projection) == 4
    assert all(reached(model, "crp_pc", batch, projection[::2]))
    assert not any(reached(model, "ctr_loss", batch, projection))
    assert all(reached(model, "crp_pc", batch, item_tables(model.embedder.tables)))


@pytest.mark.parametrize("choice, message", [
    ({"long_term": "sin"}, "model.long_term='sin' is not known; known:.*lap"),
    ({"short_term": "lap"}, "model.short_term='lap'"),
    ({"objectives": ("crp", "cpr")}, "model.objectives='cpr'"),
    ({"tower": "lmp"}, "model.tower='lmp'"),
    ({"objectives": ("crp", "crp")}, "model.objectives names one twice: crp,crp"),
])
def test_unknown_components_are_refused_with_the_known_ones(choice, message):
    with pytest.raises(ValueError, match=message):
        ModelConfig(**choice)


@pytest.mark.parametrize("options, message", [
    ({"terms": ("pt", "ps", "pt")}, "crp.terms names one twice: pt,ps,pt"),
    ({"weight": math.nan}, "crp.weight must be a number"), ({"temperature": math.inf}, "crp.temperature must be"),
    ({"term_weights": (1.0, math.nan, 1.0)}, "crp.term_weights needs 3 numbers"),
    ({"term_weights": (1.0, -1.0, 1.0)}, "crp.term_weights needs 3 numbers, none negative")])
def test_impossible_options_of_crp_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        component("objectives", "crp").Config(**options)


@pytest.mark.parametrize("name, options", [
    ("crp", {"terms": ()}), ("crp", {"terms": ("ps",), "term_weights": (1.0, 0.0, 1.0)}),
    ("at4ctr", {"matching_weight": 0.0, "next_item_weight": 0.0}),
    ("dss", {"item_weight": 0.0, "sequence_weight": 0.0}), ("cl4ctr", {"contrast_weight": 0.0, "field_weight": 0.0})])
def test_an_objective_that_trains_nothing_is_refused(name, options):
    configs = {("objectives", name): component("objectives", name).Config(**options)}
    with pytest.raises(ValueError, match=f"the objective '{name}' trains nothing"):
        build_model(synthetic.make_schema(), LENGTHS, ModelConfig(objectives=(name,)), configs)


@pytest.mark.parametrize("long_term, options", [("twin", {}), ("sim", {"gsu": "bilinear_aux"}), ("none", {})])
def test_separate_tables_that_nothing_reads_are_refused(long_term, options):
    configs = {("objectives", "crp"): component("objectives", "crp").Config(tables="separate"),
               ("long_term", long_term): component("long_term", long_term).Config(**options)}
    with pytest.raises(ValueError, match=f"crp.tables=separate .*model.long_term={long_term} .* never reads; lap does"):
        build_model(synthetic.make_schema(), LENGTHS, ModelConfig(long_term=long_term), configs)


def test_golden_total_of_the_terms(monkeypatch):
    golden = json.loads((pathlib.Path(__file__).parent.parent / "golden" / "crp.json").read_text())
    vector = golden["vectors"]["total_loss"]
    model, batch = make_model(weight=vector["lam_crp"], term_weights=tuple(map(float, vector["lam"]))), batch_of()
    given = {term: (tf.constant(vector[f"L_{term}"]), tf.constant(1.0)) for term in ("pt", "ps", "pc")}
    monkeypatch.setattr("lcn_tf.objectives.crp.crp_sums", lambda *arguments, **options: given)
    losses = model.compute_losses(batch)
    crp = sum(float(value) for name, value in losses.items() if name != "ctr_loss")
    assert vector["L_ctr"] + crp == pytest.approx(vector["total"], rel=2e-5)
