import numpy as np
import pytest
import tensorflow as tf

from lcn_tf.contracts import TrainingInputs
from lcn_tf.embeddings import EmbeddingConfig
from lcn_tf.long_term import sim
from lcn_tf.metrics import consistency_of_scores
from lcn_tf.models import ModelConfig, build_model, registry
from tests import references, references_baselines, synthetic
from tests.long_term.histories import LAYOUTS, LENGTHS, WIDTH, Requests, attention_weights, built, config, small_model

SIZES = {"top_k": 3, "attention_dim": 6, "num_heads": 2}


def search_weights(layer):
    if layer.search is None:
        return None
    return {"candidate": np.float64(layer.search.candidate_kernel), "event": np.float64(layer.search.event_kernel)}


@pytest.mark.parametrize("gsu", ["bilinear_aux", "inner"])
@pytest.mark.parametrize("rows, offsets, moments", LAYOUTS)
@pytest.mark.parametrize("top_k", [1, 3, 50])
def test_search_then_attention(gsu, rows, offsets, moments, top_k):
    requests = Requests(rows, offsets, moments)
    layer = built(sim, requests, **{**SIZES, "gsu": gsu, "top_k": top_k})
    weights = attention_weights(layer.attention.attention)
    expected = requests.expected(
        lambda *views: references_baselines.sim(*views, weights, top_k, 2, search_weights(layer)))
    np.testing.assert_allclose(requests.run(layer)[requests.real], expected[requests.real], rtol=1e-4, atol=1e-4)


def test_keeping_everything_is_attention_over_all_events():
    requests = Requests()
    layer = built(sim, requests, **{**SIZES, "top_k": 13})
    weights = attention_weights(layer.attention.attention)
    expected = requests.expected(lambda *views: references_baselines.target_mha(*views, weights, 2))
    np.testing.assert_allclose(requests.run(layer)[requests.real], expected[requests.real], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("gsu", ["bilinear_aux", "inner"])
def test_stage_scores_match_the_loops(gsu):
    requests = Requests(offsets=True, moments=True)
    layer = built(sim, requests, **{**SIZES, "gsu": gsu})
    stages = layer.stage_scores(requests.candidate, requests.history)
    weights, search = attention_weights(layer.attention.attention), search_weights(layer)

    def gsu_scores(candidate, events, mask):
        history = events[:, :WIDTH]
        return (references_baselines.soft_search(candidate, history, mask, search)[0] if search
                else references.csa_scores(candidate, history))

    real = requests.mask & requests.real[..., np.newaxis]
    np.testing.assert_allclose(stages["gsu"].numpy()[real], requests.expected(gsu_scores)[real], rtol=1e-4, atol=1e-4)
    final = requests.expected(lambda *views: references.fsa_scores(*views, weights, 2).mean(0))
    np.testing.assert_allclose(stages["final"].numpy()[real], final[real], rtol=1e-4, atol=1e-5)
    rows = [np.reshape(values, [-1, requests.mask.shape[-1]])
            for values in (stages["final"], stages["gsu"], requests.mask)]
    assert 0 < consistency_of_scores(*rows, top_k=3).value < 1  # search and attention have different weights


def test_inner_products_come_from_the_search_tables_where_there_are_any():
    requests = Requests()
    layer, history = built(sim, requests, **{**SIZES, "gsu": "inner"}), requests.history
    before = layer(requests.candidate, history)
    reversed_search = (-requests.candidate, history.items)
    after = layer(requests.candidate, type(history)(**{**vars(history), "search": reversed_search}))
    assert not np.allclose(before, after)
    stages = layer.stage_scores(requests.candidate, type(history)(**{**vars(history), "search": reversed_search}))
    plain = layer.stage_scores(requests.candidate, history)
    np.testing.assert_allclose(stages["gsu"].numpy()[requests.mask], -plain["gsu"].numpy()[requests.mask], rtol=1e-6)
    np.testing.assert_array_equal(stages["final"], plain["final"])


def reached(model, term, variables):
    """Whether the gradient of a loss term is not zero, for each of some variables."""
    with tf.GradientTape() as tape:
        loss = model.compute_losses(Requests(embedder=model.embedder).batch)[term]
    gradients = tape.gradient(loss, variables)
    return [gradient is not None and bool(np.any(tf.convert_to_tensor(gradient))) for gradient in gradients]


@pytest.mark.parametrize("pool", ["sum", "softmax"])
def test_the_search_learns_from_its_own_loss_alone_and_the_embeddings_from_both(pool):
    model = small_model("sim", config("sim", **SIZES, gsu_pool=pool))
    layer = model.long_term
    search = layer.search.trainable_variables + layer.auxiliary_tower.trainable_variables[::2]
    assert layer.search.pool == pool
    attention, tables = layer.attention.trainable_variables, [model.embedder.tables.vectors["item"]]
    assert len(search) == 4 and len(attention) == 4
    assert all(reached(model, "sim_gsu", search)) and not any(reached(model, "ctr_loss", search))
    assert all(reached(model, "ctr_loss", attention)) and not any(reached(model, "sim_gsu", attention))
    assert reached(model, "ctr_loss", tables) == reached(model, "sim_gsu", tables) == [True]


def test_separate_tables_learn_from_the_searchs_loss_alone():
    model = small_model("sim", config("sim", **SIZES, tables="separate"))
    own, search = (tables.vectors["item"] for tables in (model.embedder.tables, model.embedder.search_tables))
    assert reached(model, "sim_gsu", [search]) == [True] and reached(model, "ctr_loss", [search, own]) == [False, True]
    requests = Requests(embedder=model.embedder)
    weights = attention_weights(model.long_term.attention.attention)
    before = requests.run(model.long_term)
    search.assign(tf.random.stateless_normal(search.shape, [5, 6]))
    after = requests.run(model.long_term)
    assert not np.allclose(before, after)  # the search reads them
    scores = model.long_term.stage_scores(requests.candidate, requests.history)["gsu"].numpy()
    for b, c in np.argwhere(requests.real):
        kept = references_baselines.kept_mask(scores[b, c], requests.mask[b, c], 3)
        expected = references_baselines.target_mha(
            np.float64(requests.candidate[b, c]), requests.events[b, c], kept, weights, 2)
        np.testing.assert_allclose(after[b, c], expected, rtol=1e-4, atol=1e-4)


def test_parts_of_a_batch_train_separate_tables_as_the_whole_one():
    model = small_model("sim", config("sim", **SIZES, tables="separate"))
    batch, table = Requests(embedder=model.embedder).batch, model.embedder.search_tables.vectors["item"]
    place = [variable is table for variable in model.trainable_variables].index(True)
    found = []
    for parts in (1, 3):
        model.compile(optimizer=tf.keras.optimizers.SGD(0.1), microbatches=parts)
        found.append(tf.convert_to_tensor(model.compute_gradients(batch)[1][place]).numpy())
    assert found[0].any()
    np.testing.assert_allclose(found[1], found[0], rtol=1e-4, atol=1e-7)


def test_crp_trains_the_models_tables_beside_those_of_the_search():
    model = small_model("sim", config("sim", **SIZES, tables="separate"), objectives=("crp",))
    own, search = (tables.vectors["item"] for tables in (model.embedder.tables, model.embedder.search_tables))
    assert reached(model, "crp_pt", [own, search]) == [True, False]
    configs = {("long_term", "sim"): config("sim", tables="separate"),
               ("objectives", "crp"): registry.component("objectives", "crp").Config(tables="separate")}
    with pytest.raises(ValueError, match="crp.tables=separate trains the search tables, which sim has for itself"):
        build_model(synthetic.make_schema(), LENGTHS, ModelConfig(long_term="sim"), configs)


def test_pretrained_tables_search_and_stay_as_they_are(tmp_path):
    first = small_model("sim", config("sim", **SIZES, gsu="inner"))
    first.train_step(Requests(embedder=first.embedder).batch)
    manager = tf.train.CheckpointManager(tf.train.Checkpoint(model=first), str(tmp_path), max_to_keep=1)
    manager.save()  # as training does
    model = small_model("sim", config("sim", **SIZES, gsu="pretrained", pretrained=str(tmp_path)), seed=6)
    frozen = model.embedder.search_tables.vectors
    assert not any(table is variable for table in frozen.values() for variable in model.trainable_variables)
    assert set(model.compute_losses(Requests(embedder=model.embedder).batch)) == {"ctr_loss"}
    model.train_step(Requests(embedder=model.embedder).batch)
    for name, table in frozen.items():
        np.testing.assert_array_equal(table, first.embedder.tables.vectors[name])
    requests, old = (Requests(embedder=built_model.embedder) for built_model in (model, first))
    scores = model.long_term.stage_scores(requests.candidate, requests.history)["gsu"].numpy()
    expected = first.long_term.stage_scores(old.candidate, old.history)["gsu"].numpy()
    np.testing.assert_allclose(scores[requests.mask], expected[requests.mask], rtol=1e-5, atol=1e-7)
    with pytest.raises(ValueError, match=r"expected the tables {'item': \(61, 4\), 'category': \(11, 4\)}, got others"):
        build_model(synthetic.make_schema(), LENGTHS, ModelConfig(long_term="sim", objectives=()), {
            ("long_term", "sim"): config("sim", gsu="pretrained", pretrained=str(tmp_path))},
            EmbeddingConfig(embedding_dim=4))
    with pytest.raises(ValueError, match="expected a checkpoint or a folder of checkpoints, got '.*nowhere'"):
        small_model("sim", config("sim", gsu="pretrained", pretrained=str(tmp_path / "nowhere")))


def auxiliary_logit(model, requests):
    batch, read = requests.batch, model.embedder.read(requests.batch)
    inputs = TrainingInputs(model.tower_inputs(read).concatenated, batch["label"], batch["candidate_mask"])
    return model.long_term.auxiliary_logit(read.candidate, read.lifelong, inputs)


def test_the_auxiliary_loss_is_a_weighted_mean_over_real_candidates():
    losses = {}
    for weight in (1.0, 0.25):
        model = small_model("sim", config("sim", **SIZES, aux_weight=weight))
        requests = Requests(embedder=model.embedder)
        losses[weight] = {name: float(value) for name, value in model.compute_losses(requests.batch).items()}
        logit = auxiliary_logit(model, requests)
        label, real = requests.batch["label"].numpy(), requests.real
        rows = tf.nn.sigmoid_cross_entropy_with_logits(label[real].astype(np.float32), logit.numpy()[real])
        assert losses[weight]["sim_gsu"] == pytest.approx(weight * float(tf.reduce_mean(rows)), rel=1e-5)
    assert losses[0.25]["sim_gsu"] == pytest.approx(0.25 * losses[1.0]["sim_gsu"], rel=1e-6)
    assert losses[0.25]["ctr_loss"] == losses[1.0]["ctr_loss"]
    logs = model.train_step(requests.batch)
    assert float(logs["loss"]) == pytest.approx(float(logs["ctr_loss"]) + float(logs["sim_gsu"]), rel=1e-6)


def test_padded_candidates_have_no_part_in_the_auxiliary_loss():
    model = small_model("sim", config("sim", **SIZES))
    requests = Requests(embedder=model.embedder)
    assert not requests.real.all()
    other = {**requests.batch, "item_id": tf.where(requests.batch["candidate_mask"], requests.batch["item_id"], 7)}
    assert float(model.compute_losses(other)["sim_gsu"]) == pytest.approx(
        float(model.compute_losses(requests.batch)["sim_gsu"]), rel=1e-6)


def test_the_auxiliary_net_is_not_part_of_inference():
    model = small_model("sim", config("sim", **SIZES))
    batch = Requests(embedder=model.embedder).batch
    before = model(batch)
    for variable in (*model.long_term.auxiliary_tower.variables, *model.long_term.auxiliary_head.variables):
        variable.assign(variable + 1.0)
    np.testing.assert_array_equal(model(batch), before)


def test_inner_search_has_no_loss_and_no_weights_of_its_own():
    model = small_model("sim", config("sim", **SIZES, gsu="inner"))
    requests = Requests(embedder=model.embedder)
    assert set(model.compute_losses(requests.batch)) == {"ctr_loss"} and "sim_gsu" not in model.losses_seen
    assert len(model.long_term.trainable_variables) == 4
    with pytest.raises(ValueError, match="auxiliary_logit needs sim.gsu=bilinear_aux"):
        auxiliary_logit(model, requests)


@pytest.mark.parametrize("options, message", [
    ({"top_k": 0}, "top_k must be at least 1 or None, got 0"),
    ({"aux_weight": 0.0}, "sim.aux_weight must be positive with sim.gsu=bilinear_aux.*got 0.0"),
    ({"gsu": "inner", "tables": "separate"}, "sim.tables=separate needs sim.gsu=bilinear_aux.*got inner"),
    ({"gsu": "inner", "gsu_pool": "softmax"}, "sim.gsu_pool=softmax needs sim.gsu=bilinear_aux.*got inner"),
    ({"gsu": "pretrained"}, "sim.pretrained must name checkpoints with sim.gsu=pretrained.*sim.pretrained=None"),
    ({"pretrained": "x"}, "sim.pretrained must name checkpoints.*got sim.gsu=bilinear_aux and sim.pretrained=x"),
    ({"attention_dim": 5, "num_heads": 2}, "attention_dim=5 and num_heads=2"),
])
def test_impossible_options(options, message):
    with pytest.raises(ValueError, match=message):
        sim.build(sim.Config(**options))
