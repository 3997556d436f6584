"""Tables of several widths, rows of their own for each domain, and models that read only some fields."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from lcn_tf.data import pipeline
from lcn_tf.data.pipeline import DataConfig, flat_rows, grouped_rows
from lcn_tf.data.record_files import RecordFiles
from lcn_tf.embeddings import EmbeddingConfig
from lcn_tf.models import ModelConfig, build_model
from lcn_tf.models.registry import component
from lcn_tf.serving import export_model, verify_export
from tests import synthetic
from tests.models.test_look_up import (
    LENGTHS,
    assert_same_as_raw,
    assert_same_logits,
    config_of,
    make_batch,
    schema_of,
)

OPTIONS = {
    "dims": {"dims": ("item:7", "category:2", "behaviour:1")},
    "per domain": {"per_domain": ("item", "category")},
    "one table per domain": {"per_domain": ("category",), "dims": ("category:3",)},
    "unit normal": {"initializer": "unit_normal"},
}


def make_model(schema, long_term="lap", objectives=("crp",), crp=None, **options):
    tf.keras.utils.set_random_seed(5)
    configs = {("long_term", long_term): config_of(long_term),
               ("objectives", "crp"): dataclasses.replace(component("objectives", "crp").Config(), num_negatives=37,
                                                          **(crp or {}))}
    model = build_model(schema, LENGTHS, ModelConfig(long_term=long_term, objectives=objectives), configs,
                        EmbeddingConfig(embedding_dim=4, **options))
    model.build_weights()
    model.compile(optimizer=tf.keras.optimizers.SGD(0.1))
    for table in model.embedder.tables.vectors.values():
        table.assign(tf.random.stateless_normal(table.shape, [7, table.shape[0]]))
    return model


@pytest.mark.parametrize("item_rows", [61, 97])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_looked_up_batches_give_what_raw_ones_give(options, item_rows):
    schema = schema_of(item_rows)
    model = make_model(schema, **options)
    for rows in (grouped_rows, flat_rows):
        batch = make_batch(schema, rows)
        assert_same_as_raw(model, batch)
        assert_same_logits(model, batch)


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_layouts_and_parts_agree(options):
    schema = schema_of(97)
    model = make_model(schema, "dien", **options)  # its negatives are of the source domain, too
    grouped, flat = (make_batch(schema, rows) for rows in (grouped_rows, flat_rows))
    found = []
    for batch, parts in ((grouped, 1), (grouped, 3), (flat, 1)):
        model.compile(optimizer=tf.keras.optimizers.SGD(0.1), microbatches=parts)
        losses, gradients = model.compute_gradients(batch)
        found.append([*losses.values(), *(tf.convert_to_tensor(gradient) for gradient in gradients)])
    for whole, in_parts, of_flat in zip(*found, strict=True):
        np.testing.assert_allclose(in_parts, whole, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(of_flat, whole, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("item_rows", [29, 97])
@pytest.mark.parametrize("long_term, crp", [("lap", {"tables": "separate"}), ("sim_hard", {}), ("dien", {})])
def test_equal_rows_of_both_domains_are_one_table(long_term, crp, item_rows):
    schema = schema_of(item_rows)
    shared = make_model(schema, long_term, crp=crp)
    separate = make_model(schema, long_term, crp=crp, per_domain=("item",))
    for variable, other in zip(separate.variables, shared.variables, strict=True):
        twice = variable.shape.rank == 2 and variable.shape[0] == 2 * other.shape[0]
        variable.assign(tf.concat([other, other], 0) if twice else other)
    batch = make_batch(schema, grouped_rows)
    np.testing.assert_allclose(separate(batch), shared(batch), rtol=1e-5, atol=1e-5)
    losses, expected = separate.compute_losses(batch), shared.compute_losses(batch)
    same = [name for name in losses if not name.startswith("crp")]  # there an item of the other domain is another item
    for name in same:
        assert float(losses[name]) == pytest.approx(float(expected[name]), rel=1e-5), name


def test_candidates_and_events_train_the_rows_of_their_domain():
    schema = schema_of(97)
    model = make_model(schema, per_domain=("item",), crp={"terms": ("pc",)})
    batch, table = make_batch(schema, grouped_rows), model.embedder.tables.vectors["item"]

    def rows_reached(names):
        with tf.GradientTape() as tape:
            loss = tf.add_n([model.compute_losses(batch)[name] for name in names])
        reached = np.abs(tf.convert_to_tensor(tape.gradient(loss, table))).sum(1) > 0
        return set(reached.nonzero()[0])

    def read(*names):
        return {int(number) for name in names for number in np.unique(batch[name])}

    of_target = read("item_id", "short_target_item_id")
    of_source = {97 + number for number in read("short_source_item_id", "lifelong_source_item_id")}
    found = rows_reached(["ctr_loss", "crp_pc"])
    assert found <= of_target | of_source and found & of_target and found & of_source
    assert 0 not in found and 97 not in found  # padding
    crossing = rows_reached(["crp_pc"])  # compares items of both domains
    assert {row < 97 for row in crossing} == {True, False}


def test_search_tables_are_per_domain_too():
    schema = schema_of(97)
    model = make_model(schema, per_domain=("item",), crp={"tables": "separate"})
    table = model.embedder.search_tables.vectors["item"]
    assert table.shape[0] == 194
    batch = make_batch(schema, grouped_rows)
    candidate, events = model.embedder.read(batch).reader.search_pair("lifelong_source")
    np.testing.assert_array_equal(candidate[..., :4], tf.gather(table, batch["item_id"]))
    np.testing.assert_array_equal(events[..., :4], tf.gather(table, 97 + batch["lifelong_source_item_id"]))


@pytest.mark.parametrize("options, message", [
    ({"dims": ("author:3",)}, "embeddings.dims names author; known: age, behaviour, category, item, "),
    ({"per_domain": ("price",)}, "embeddings.per_domain names price; known: category, item$"),
])
def test_unknown_tables(options, message):
    with pytest.raises(ValueError, match=message):
        make_model(schema_of(97), **options)


def test_twin_needs_context_fields_of_one_width():
    assert make_model(schema_of(97), "twin", dims=("behaviour:3", "time_gap:3"))
    with pytest.raises(ValueError, match="twin needs context fields of one width, got {'behaviour': 3, 'time_gap': 4}"):
        make_model(schema_of(97), "twin", dims=("behaviour:3",))


def test_a_model_of_some_fields_trains_and_is_exported(tmp_path):
    synthetic.write_records(tmp_path / "data", groups={"train": 11, "validation": 5, "test": 9}, offsets=True)
    data = DataConfig(short_length=3, lifelong_length=13, item_fields=("item_id",), context_fields=("behaviour",))
    files = RecordFiles.open(str(tmp_path / "data")).reading(data.item_fields, data.context_fields)
    model = build_model(files.schema, data.lengths_of(files.schema), ModelConfig(objectives=("crp",)),
                        embeddings=EmbeddingConfig(embedding_dim=4, per_domain=("item",), dims=("item:7",)))
    model.build_weights()
    model.compile(optimizer=tf.keras.optimizers.Adam(1e-2))
    batches = pipeline.read(files, "train", data, 16, seed=(1, 1))
    dropped = {"category", "time_gap"}
    assert not dropped & set(model.embedder.tables.vectors)
    assert not any(name.endswith(tuple(dropped)) for name in batches.element_spec)
    logs = model.fit(batches, verbose=0).history
    assert np.isfinite(logs["loss"][0])
    assert verify_export(export_model(model, str(tmp_path / "export"), files, data)).candidates > 0
