"""TEM4CTR against plain loops over clicks, the two vectors of its projection, and what it asks of the records."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from lcn_tf.data import records
from lcn_tf.data.pipeline import DataConfig, RecordFiles, flat_rows, grouped_rows, read
from lcn_tf.embeddings import EmbeddingConfig, FeatureEmbedder
from lcn_tf.models import ModelConfig, build_model, registry
from lcn_tf.schema import TARGET, UNCLICKED, HistorySpec
from lcn_tf.serving import export_model, verify_export
from lcn_tf.serving.audit import audit
from lcn_tf.serving.recorded_requests import requests_of
from lcn_tf.serving.warmup import WARMUP_PATH
from lcn_tf.short_term import tem4ctr
from tests import synthetic
from tests.layers.batches import TOLERANCE, randomise
from tests.serving.test_audit import logged

PLAIN = synthetic.make_schema()
SCHEMA = dataclasses.replace(PLAIN, histories={
    **PLAIN.histories, UNCLICKED: HistorySpec(TARGET, 11, "extra", context=())})
LENGTHS = {"short_target": 5, "short_source": 7, "lifelong_source": 13, UNCLICKED: 11}
DATA = DataConfig(short_length=5, lifelong_length=13)
HOUR = 7_200  # so long that events of different histories share one


def random_groups(count, seed, offsets=True):
    """Request groups whose clicks, exposures and events of the source domain tie in time; half of them are full."""
    groups = synthetic.make_groups(SCHEMA, count, seed=seed, offsets=offsets)
    rng = np.random.default_rng(seed)
    groups[::2] = [synthetic.make_group(SCHEMA, rng, 1 + place, 4, SCHEMA.lengths, offsets)
                   for place in range(len(groups[::2]))]
    for group in groups:
        for history in SCHEMA.histories:
            group[f"{history}_timestamp"] = [moment // HOUR * HOUR for moment in group[f"{history}_timestamp"]]
    return groups


def batch_of(rows, count=9, seed=3):
    return rows(SCHEMA, tf.constant([records.encode(SCHEMA, group) for group in random_groups(count, seed)]), LENGTHS)


def attend(query, keys, attention):
    """DIN's attention with ReLU and softmax, logits as they are."""
    if not keys:
        return np.zeros_like(query)
    layers = [(attention.kernel, attention.bias), *((layer.kernel, layer.bias) for layer in attention.dense_layers)]
    logits = []
    for key in keys:
        hidden = np.concatenate([query, key, query - key, query * key])
        for place, (kernel, bias) in enumerate(layers):
            hidden = hidden @ np.float64(kernel) + np.float64(bias)
            hidden = hidden if place == len(layers) - 1 else np.maximum(hidden, 0)
        logits.append(hidden[0])
    weights = np.exp(np.array(logits) - max(logits))
    return weights @ np.array(keys) / weights.sum()


def plain_interest(candidate, clicks, exposures, layer):
    """Of one candidate: (time, item) of the clicks and exposures that it sees, most recent first."""
    count, enhanced, pooled = layer.config.neighbours, [], []
    for moment, click in clicks:
        around = [item for time, item in exposures if time > moment][-count:]
        around += [item for time, item in exposures if time <= moment][:count]
        unclicked = attend(click, around, layer.of_exposures)
        enhanced.append(click + unclicked @ click / (click @ click + 1e-12) * click)
        pooled += [unclicked] if around else []
    return np.concatenate([attend(candidate, enhanced, layer.of_clicks),
                           attend(candidate, pooled, layer.of_unclicked)])


def seen(looked_up, name, request, candidate):
    history = looked_up.history(name)
    times, items, mask = (np.array(values) for values in (history.timestamps, history.items, history.mask))
    return [(times[request, place], np.float64(items[request, place]))
            for place in np.flatnonzero(mask[request, candidate])]


def embedder_of(schema=SCHEMA):
    embedder = FeatureEmbedder(schema, LENGTHS, EmbeddingConfig(embedding_dim=5))
    for place, table in enumerate(embedder.tables.vectors.values()):
        table.assign(tf.random.stateless_normal(table.shape, [7, place]))
    return embedder


@pytest.mark.parametrize("rows", [grouped_rows, flat_rows])
@pytest.mark.parametrize("look", ["look_up", "read"])
@pytest.mark.parametrize("exposures, other", [
    ("unclicked", UNCLICKED), ("source", "short_source"), ("lifelong", "lifelong_source")])
def test_every_click_and_its_exposures_one_by_one(rows, look, exposures, other):
    layer = tem4ctr.build(tem4ctr.Config(hidden_units=(7, 3), neighbours=2, exposures=exposures))
    assert layer.other_histories(SCHEMA, "short_target") == (other,)
    batch = batch_of(rows)
    looked_up = getattr(embedder_of(), look)(batch)
    others = {other: looked_up.history(other)}
    layer(looked_up.candidate, looked_up.history("short_target"), others)
    randomise(layer, 1)
    found = layer(looked_up.candidate, looked_up.history("short_target"), others).numpy()
    compared = 0
    for request, candidate in np.argwhere(batch["candidate_mask"].numpy()):
        clicks, around = (seen(looked_up, name, request, candidate) for name in ("short_target", other))
        expected = plain_interest(np.float64(looked_up.candidate[request, candidate]), clicks, around, layer)
        np.testing.assert_allclose(found[request, candidate], expected, **TOLERANCE)
        compared += len(clicks) > 1 and len(around) > 4
    assert compared > 5


def test_what_exposures_share_with_a_click():
    u, c = np.float32([2, 1]), np.float32([1, 1])
    shared = tem4ctr.shared_part(tf.constant(u), tf.constant(c)).numpy()
    np.testing.assert_allclose(shared, [1.5, 1.5], rtol=1e-6)
    np.testing.assert_allclose([*(u - shared), (u - shared) @ c], [0.5, -0.5, 0], atol=1e-6)
    zero = tf.zeros([3, 5])
    with tf.GradientTape() as tape:
        tape.watch(zero)
        total = tf.reduce_sum(tem4ctr.shared_part(tf.ones([3, 5]), zero))
    assert not total.numpy() and not tape.gradient(total, zero).numpy().any()


def test_a_history_without_exposures_is_pooled_by_target_attention_alone():
    layer = tem4ctr.build(tem4ctr.Config(hidden_units=(7,)))
    assert layer.other_histories(SCHEMA, "short_source") == ()
    looked_up = embedder_of().read(batch_of(grouped_rows))
    history = looked_up.history("short_source")
    layer(looked_up.candidate, history, {})
    randomise(layer, 1)
    found = layer(looked_up.candidate, history, {}).numpy()
    for request, candidate in np.argwhere(looked_up.mask.numpy()):
        items = [item for _, item in seen(looked_up, "short_source", request, candidate)]
        expected = attend(np.float64(looked_up.candidate[request, candidate]), items, layer.of_clicks)
        np.testing.assert_allclose(found[request, candidate], expected, **TOLERANCE)


def test_candidates_learn_nothing_from_what_is_hidden_from_them():
    """Neither values nor gradients of a candidate depend on exposures that another one of its request sees."""
    batch, embedder = batch_of(grouped_rows), embedder_of()
    layer = tem4ctr.build(tem4ctr.Config(hidden_units=(7,), neighbours=3))
    candidate = 0
    hidden = (np.arange(batch[f"{UNCLICKED}_mask"].shape[1]) < batch[f"{UNCLICKED}_offset"].numpy()[:, candidate, None])

    def interest(changed):
        looked_up = embedder.read({**batch, **changed})
        return layer(looked_up.candidate, looked_up.history("short_target"),
                     {UNCLICKED: looked_up.history(UNCLICKED)})[:, candidate].numpy()

    moved = {f"{UNCLICKED}_{name}": tf.where(hidden, value, batch[f"{UNCLICKED}_{name}"]) for name, value in (
        ("item_id", tf.constant(7, tf.int64)), ("category", tf.constant(3, tf.int64)),
        ("timestamp", batch[f"{UNCLICKED}_timestamp"] + 3 * HOUR))}
    assert hidden.any()
    np.testing.assert_allclose(interest(moved), interest({}), rtol=1e-6)


@pytest.mark.parametrize("options, schema, message", [
    ({}, PLAIN, "reads the history unclicked_target, which the records of 'synthetic' do not have.*--unclicked_length"),
    ({"exposures": "source"}, dataclasses.replace(PLAIN, histories={
        "short_target": HistorySpec(TARGET, 5, "short"), "long": HistorySpec(TARGET, 9, "lifelong")}),
     "tem4ctr.exposures=source needs a lifelong history of another domain than target"),
])
def test_records_without_what_it_reads(options, schema, message):
    model, configs = ModelConfig(short_term="tem4ctr", objectives=()), {
        ("short_term", "tem4ctr"): tem4ctr.Config(**options)}
    with pytest.raises(ValueError, match=message):
        build_model(schema, schema.lengths, model, configs)


def test_impossible_options():
    with pytest.raises(ValueError, match="tem4ctr.neighbours must be at least 1, got 0"):
        tem4ctr.Config(neighbours=0)
    with pytest.raises(ValueError, match="tem4ctr.exposures must be unclicked, source or lifelong, got 'clicked'"):
        tem4ctr.Config(exposures="clicked")


def test_only_a_model_that_reads_an_extra_history_pays_for_it(tmp_path):
    synthetic.write_records(tmp_path, SCHEMA, {"train": 3, "validation": 3, "test": random_groups(7, 5)})
    whole = RecordFiles.open(str(tmp_path))
    for short_term, options, extra in (("tem4ctr", {}, (UNCLICKED,)), ("tem4ctr", {"exposures": "source"}, ()),
                                       ("din", {}, ())):
        configs = {("short_term", short_term): registry.component("short_term", short_term).Config(**options)}
        assert registry.extra_histories(whole.schema, ModelConfig(short_term=short_term), configs) == extra
    files = whole.reading(extra=())
    assert files.schema == PLAIN and files.fingerprint == whole.fingerprint
    files.check("test")
    batch = next(iter(read(files, "test", DATA, 50)))
    assert not [name for name in batch if name.startswith(UNCLICKED)]
    requests = [request for record in tf.data.TFRecordDataset(list(files.paths_of("test"))).as_numpy_iterator()
                for _, request in requests_of(PLAIN, record)]
    for together in (1, 100):  # as tensors first, or as examples
        found = audit(logged(tmp_path / "log", PLAIN, requests, together), str(tmp_path))
        assert found.matched == len(requests) and not found.differing
        assert not [name for name in found.differences if name.startswith(UNCLICKED)]


def test_an_export_is_asked_for_what_was_not_clicked(tmp_path):
    synthetic.write_records(tmp_path / "data", SCHEMA, {"train": 3, "validation": 3, "test": random_groups(7, 5)})
    files = RecordFiles.open(str(tmp_path / "data"))
    model = ModelConfig(short_term="tem4ctr", long_term="none", objectives=())
    built = build_model(files.schema, DATA.lengths_of(files.schema), model, {}, EmbeddingConfig(embedding_dim=5))
    built.build_weights()
    path = export_model(built, str(tmp_path / "saved_model"), files, DATA)
    inputs = tf.saved_model.load(path).signatures["serving_default"].structured_input_signature[1]
    assert {f"{UNCLICKED}_{field}" for field in ("item_id", "category", "timestamp")} == {
        name for name in inputs if name.startswith(UNCLICKED)}
    assert verify_export(path).requests > 5
    audited = audit(f"{path}/{WARMUP_PATH}", str(tmp_path / "data"))
    assert audited.matched == audited.requests > 5 and not audited.differing
    assert f"{UNCLICKED}_item_id" not in audited.differences and f"{UNCLICKED}_category" in audited.differences
