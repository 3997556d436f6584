"""What holds for every component the registry finds, in a whole model on random request groups."""

import contextlib
import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from lcn_tf.contracts import ReadsCatalogue
from lcn_tf.data import records
from lcn_tf.data.pipeline import flat_rows, grouped_rows
from lcn_tf.embeddings import EmbeddingConfig
from lcn_tf.models import ModelConfig, build_model, registry
from lcn_tf.models.requests import request_names
from lcn_tf.models.table_updates import forward_state
from lcn_tf.schema import CLICK, TARGET, UNCLICKED, HistorySpec, Label
from lcn_tf.serving.admission import admit
from tests import synthetic

LENGTHS = {"short_target": 3, "short_source": 5, "lifelong_source": 13}
SMALL = {
    ("long_term", "lap"): {"msa_top_k": 7, "fsa_top_k": 3, "attention_dim": 4, "num_heads": 2},
    # Every event is kept where their order decides: the test of their order cannot hold for a choice by recency.
    ("long_term", "recent_k"): {"top_k": 23, "attention_dim": 4, "num_heads": 2},
    ("long_term", "sim_hard"): {"top_k": 23, "attention_dim": 4, "num_heads": 2},
    ("long_term", "random_k"): {"top_k": 3, "attention_dim": 4, "num_heads": 2},
    ("long_term", "full_attention"): {"attention_dim": 4, "num_heads": 2},
    # So many bits that no two events tie: a tie goes to the more recent event, which the order of events decides.
    ("long_term", "eta"): {"top_k": 3, "hash_bits": 997, "attention_dim": 4, "num_heads": 2},
    ("long_term", "sdim"): {"num_hashes": 5, "hash_bits": 2},
    ("long_term", "sim"): {"top_k": 3, "attention_dim": 4, "num_heads": 2, "aux_units": (7, 5)},
    ("long_term", "twin"): {"top_k": 3, "attention_dim": 4, "num_heads": 2},
    ("long_term", "din"): {"hidden_units": (7, 5)},
    ("long_term", "dien"): {"top_k": 11, "hidden_units": (7, 5)},
    ("short_term", "dien"): {"hidden_units": (7, 5)},
    ("short_term", "tem4ctr"): {"hidden_units": (7, 5), "neighbours": 2},
    ("towers", "shared_bottom"): {"units": (7,), "label_units": (5,)},
    ("towers", "mmoe"): {"units": (7,), "label_units": (5,), "num_experts": 3},
    ("towers", "ple"): {"units": (7,), "label_units": (5,)},
    ("heads", "mesi"): {"width": 3},
    ("towers", "hamur"): {"units": (13, 7), "rank": 3, "bottleneck": 2, "hyper_units": (11,)},
    ("towers", "hierrec"): {"field_dim": 6, "num_heads": 2, "hidden_dim": 7, "rank": 3, "units": (13, 11)},
}
OF_OBJECTIVES = {"num_negatives": 31, "width": 6, "num_layers": 1, "units": (5, 3), "queue_size": 17, "num_items": 19}
for _name in registry.components("objectives"):
    _fields = {field.name for field in dataclasses.fields(registry.component("objectives", _name).Config)}
    SMALL["objectives", _name] = {size: OF_OBJECTIVES[size] for size in OF_OBJECTIVES if size in _fields}
ORDERED = ("dien", "tem4ctr")  # these read the order of the events
UNDIVIDED = ("HamurTower", "HierRecTower")  # these take statistics over the batch
SCHEMA = dataclasses.replace(synthetic.make_schema(), labels=(CLICK, Label("long_stay", given="click")),
                             scenario="slot")
WITH_EXTRA = dataclasses.replace(SCHEMA, histories={
    **SCHEMA.histories, UNCLICKED: HistorySpec(TARGET, 7, "extra", context=())})
VECTORS = {"item": np.random.default_rng(3).normal(size=(SCHEMA.tables["item"], 9))}
OF_LABELS = ("shared_bottom", "mmoe", "ple")  # towers that have hidden layers for each label
FLAG = {"towers": "tower", "heads": "head"}
VALUE = {"objectives": lambda name: (name,), "tables": lambda name: (f"item:{name}",)}


def choice_of(kind, name):
    """As `ModelConfig` names a part, beside simple ones of the other kinds; models of many are in trajectories."""
    simple = {"long_term": "mean_pool", "short_term": "mean", "objectives": ()}
    of_labels = {"head": "conditional"} if kind == "towers" and name in OF_LABELS else {}
    return {**simple, **of_labels, FLAG.get(kind, kind): VALUE.get(kind, str)(name)}


# Each composition once: several parts are those of the default one.
EVERY = [(kind, name) for kind in registry.KINDS for name in registry.components(kind)]
CHOICES = list({ModelConfig(**choice_of(*part)).parts: part for part in reversed(EVERY)}.values())


def small_model(**choice):
    """A model of small components; `choice` names them as `ModelConfig` does."""
    model = ModelConfig(**choice)
    configs = {part: dataclasses.replace(registry.component(*part).Config(), **SMALL.get(part, {}))
               for part in model.parts}
    extra = registry.extra_histories(WITH_EXTRA, model, configs)
    schema, lengths = WITH_EXTRA.reading(extra=extra), {**LENGTHS, **dict.fromkeys(extra, 5)}
    built = build_model(schema, lengths, model, configs, EmbeddingConfig(embedding_dim=5), vectors=VECTORS,
                        catalogue=lambda: synthetic.catalogue(schema))
    built.build_weights()
    return built


def random_model(kind, name):
    tf.keras.utils.set_random_seed(5)
    built = small_model(**choice_of(kind, name))
    for weight in built.trainable_weights:  # embeddings large enough for every path to matter
        weight.assign(tf.random.stateless_normal(weight.shape, [3, hash(weight.shape.rank) % 7], stddev=0.3))
    return built


def of(choices):
    """Tests of the models with these parts; each is built once."""
    return pytest.mark.parametrize("model", choices, indirect=True, scope="module",
                                   ids=[f"{kind}-{name}" for kind, name in choices])


trained, scoring = of(CHOICES), of([part for part in CHOICES if part[0] != "objectives"])  # which score nothing


@pytest.fixture(scope="module")
def model(request):
    return random_model(*request.param)


def serialized(model, offsets=False, moments=False, seed=4):
    """Schema and records for a model, and its lengths: what `flat_rows` and `grouped_rows` take."""
    schema = model.embedder.schema
    groups = synthetic.make_groups(schema, 11, seed=seed, offsets=offsets)
    if moments:
        for group in groups:
            group["timestamp"] = [stamp - 5_000 * place for place, stamp in enumerate(group["timestamp"])]
    return schema, tf.constant([records.encode(schema, group) for group in groups]), model.embedder.lengths


def divides(model, microbatches):
    """Compiles a model for parts of a batch; False where it refuses them, as it should."""
    undivided = microbatches > 1 and type(model.tower).__name__ in UNDIVIDED
    with pytest.raises(ValueError, match="microbatches must be 1") if undivided else contextlib.nullcontext():
        model.compile(optimizer=tf.keras.optimizers.SGD(0.1), microbatches=microbatches)
    return not undivided


@scoring
@pytest.mark.parametrize("offsets, moments", [(False, False), (True, False), (False, True), (True, True)])
def test_candidates_of_a_request_score_as_requests_of_one_candidate(model, offsets, moments):
    schema, examples, lengths = serialized(model, offsets, moments)
    flat, grouped = flat_rows(schema, examples, lengths), grouped_rows(schema, examples, lengths)
    together = tf.boolean_mask(model(grouped), grouped["candidate_mask"])
    np.testing.assert_allclose(together, model(flat)[:, 0], rtol=1e-4, atol=1e-5)


@scoring
@pytest.mark.parametrize("requests, candidates", [(3, 0), (0, 4), (0, 0)])
def test_nothing_to_score_is_an_empty_answer(model, requests, candidates):
    schema = model.embedder.schema
    users, impressions, histories = request_names(schema)
    request = {**dict.fromkeys(users, tf.fill([requests], 2)),
               **dict.fromkeys(impressions, tf.fill([requests, candidates], 2)),
               **dict.fromkeys(histories, tf.fill([requests, 7], 2))}
    batch, _ = admit(schema, model.embedder.lengths, {name: tf.cast(ids, tf.int64) for name, ids in request.items()})
    assert model(batch, training=False).shape == (requests, candidates)


@trained
@pytest.mark.parametrize("offsets, moments", [(False, False), (True, True)])
def test_candidates_of_a_request_train_as_requests_of_one_candidate(model, offsets, moments):
    model.compile(optimizer=tf.keras.optimizers.SGD(0.1))
    schema, examples, lengths = serialized(model, offsets, moments)
    found = []
    for rows in (grouped_rows, flat_rows):
        with tf.GradientTape() as tape:
            losses = model.compute_losses(rows(schema, examples, lengths))
            total = tf.add_n(list(losses.values()))
        gradients = tape.gradient(total, model.trainable_variables)
        gradients = [tf.convert_to_tensor(gradient) for gradient in gradients if gradient is not None]
        found.append([*losses.values(), *gradients])
    for grouped, flat in zip(*found, strict=True):
        np.testing.assert_allclose(grouped, flat, rtol=1e-3, atol=1e-5)


@scoring
def test_longer_padding_changes_nothing(model):
    schema, examples, lengths = serialized(model)
    batch = grouped_rows(schema, examples, lengths)
    longer = dict(batch)
    for history in lengths:
        for name in (*schema.history_names(history), f"{history}_mask"):
            longer[name] = tf.pad(batch[name], [[0, 0], [0, 4]])
    np.testing.assert_allclose(model(longer), model(batch), rtol=1e-4, atol=1e-5)


@scoring
def test_what_padding_holds_does_not_matter(model):
    schema, examples, lengths = serialized(model)
    batch = grouped_rows(schema, examples, lengths)
    garbage = dict(batch)
    for history in lengths:
        for name in schema.history_names(history):
            garbage[name] = tf.where(batch[f"{history}_mask"], batch[name], 2)
    real = batch["candidate_mask"]
    np.testing.assert_allclose(tf.boolean_mask(model(garbage), real), tf.boolean_mask(model(batch), real),
                               rtol=1e-4, atol=1e-5)


@scoring
def test_order_of_the_requests_does_not_matter(model):
    schema, examples, lengths = serialized(model)
    batch = grouped_rows(schema, examples, lengths)
    order = tf.random.experimental.stateless_shuffle(tf.range(11), seed=[1, 2])
    shuffled = {name: tf.gather(value, order) for name, value in batch.items()}
    np.testing.assert_allclose(model(shuffled), tf.gather(model(batch), order), rtol=1e-4, atol=1e-5)


@scoring
def test_order_of_events_of_one_second_within_the_window_matters_to_recurrences_alone(model):
    schema, examples, lengths = serialized(model)
    batch = grouped_rows(schema, examples, lengths)
    reversed_batch = dict(batch)
    for history in lengths:
        events = tf.reduce_sum(tf.cast(batch[f"{history}_mask"], tf.int64), 1)
        for name in schema.history_names(history):
            reversed_batch[name] = tf.reverse_sequence(batch[name], events, seq_axis=1)
    if model.long_term.name in ORDERED or model.short_term["short_target"].name in ORDERED:
        assert not np.allclose(model(reversed_batch), model(batch), rtol=1e-4, atol=1e-5)
    else:
        np.testing.assert_allclose(model(reversed_batch), model(batch), rtol=1e-4, atol=1e-5)


@trained
def test_gradients_are_finite_and_masked_events_get_none(model):
    model.compile(optimizer=tf.keras.optimizers.SGD(0.1))
    schema, examples, lengths = serialized(model)
    batch = grouped_rows(schema, examples, lengths)
    with tf.GradientTape() as tape:
        loss = model.compute_loss(batch)
    tables = model.embedder.tables.vectors
    gradients = tape.gradient(loss, model.trainable_variables + list(tables.values()))
    for gradient in gradients:
        assert gradient is None or np.all(np.isfinite(tf.convert_to_tensor(gradient)))
    for table, gradient in zip(tables, gradients[-len(tables):], strict=True):
        assert gradient is not None or table in ("behaviour", "time_gap")  # context is read by lifelong models alone
    category = tf.convert_to_tensor(gradients[-len(tables) + list(tables).index("category")])
    assert not np.any(category[0])  # row 0 is what padding reads


@trained
def test_parts_of_a_batch_give_the_gradients_of_the_whole(model):
    batch = grouped_rows(*serialized(model, offsets=True, moments=True))
    found = []
    for microbatches in (1, 3):
        if not divides(model, microbatches):
            return
        losses, gradients = model.compute_gradients(batch)
        found.append((losses, [None if gradient is None else tf.convert_to_tensor(gradient) for gradient in gradients]))
    (losses, gradients), (other_losses, other_gradients) = found
    assert set(other_losses) == set(losses)
    for name, loss in losses.items():
        np.testing.assert_allclose(other_losses[name], loss, rtol=1e-5, err_msg=name)
    for gradient, other, weight in zip(gradients, other_gradients, model.trainable_variables, strict=True):
        assert (gradient is None) == (other is None), weight.name
        if gradient is not None:
            np.testing.assert_allclose(other, gradient, rtol=1e-4, atol=1e-5, err_msg=weight.name)


@trained
@pytest.mark.parametrize("microbatches", [1, 3])
def test_a_replica_without_requests_adds_nothing(model, microbatches):
    if not divides(model, microbatches):
        return
    batch = grouped_rows(*serialized(model, offsets=True, moments=True))
    losses, gradients = model.compute_gradients({name: values[:0] for name, values in batch.items()})
    if any(isinstance(objective, ReadsCatalogue) for objective in model.objectives.values()):
        return  # its loss is of items that it draws, whatever the requests are
    assert {name: float(loss) for name, loss in losses.items()} == dict.fromkeys(losses, 0.0)
    for gradient in gradients:
        assert gradient is None or not np.any(tf.convert_to_tensor(gradient))


@trained
def test_a_forward_pass_changes_no_state_but_what_a_second_one_puts_back(model):
    model.compile(optimizer=tf.keras.optimizers.SGD(0.1))
    batch = grouped_rows(*serialized(model, offsets=True, moments=True))
    seen = {variable.ref() for metric in model.metrics for variable in metric.variables}
    weights = [weight for weight in model.weights if weight.ref() not in seen]
    before = [weight.numpy() for weight in weights]
    model.compute_losses(batch)
    changed = {weight.name for old, weight in zip(before, weights, strict=True) if not np.array_equal(old, weight)}
    assert changed == ({weight.name for weight in forward_state(model)} if type(model.tower).__name__ in UNDIVIDED
                       else set())


@trained
def test_one_step_changes_the_model(model):
    model.compile(optimizer=tf.keras.optimizers.Adam(1e-3))
    schema, examples, lengths = serialized(model)
    batch = grouped_rows(schema, examples, lengths)
    before = [weight.numpy() for weight in model.trainable_weights]
    # Objectives are traced by tests/objectives/test_replicas.py.
    step = model.train_step if model.objectives else tf.function(model.train_step)
    logs = step(batch)
    assert np.isfinite(float(logs["loss"]))
    changed = [not np.array_equal(old, new) for old, new in zip(before, model.trainable_weights, strict=True)]
    assert sum(changed) > len(changed) / 2
