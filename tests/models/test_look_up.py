"""Looking tables up once per batch changes no logit, loss or gradient of plain differentiation of the raw batch."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from lcn_tf.data import pipeline, records
from lcn_tf.data.pipeline import DataConfig, flat_rows, grouped_rows
from lcn_tf.data.record_files import RecordFiles
from lcn_tf.embeddings import EmbeddingConfig
from lcn_tf.embeddings.distinct_rows import FEW_ROWS
from lcn_tf.models import ModelConfig, build_model
from lcn_tf.models.registry import component, components
from tests import synthetic

LENGTHS = {"short_target": 3, "short_source": 5, "lifelong_source": 13}
SMALL = {"top_k": 5, "msa_top_k": 7, "fsa_top_k": 3, "attention_dim": 4}  # leaves events out


def config_of(long_term):
    config = component("long_term", long_term).Config()
    names = {field.name for field in dataclasses.fields(config)}
    return dataclasses.replace(config, **{name: value for name, value in SMALL.items() if name in names})


def schema_of(item_rows, fields=2):
    """Items of few rows, which attention reads as buckets, or of many; the category has few."""
    schema = synthetic.make_schema()
    return dataclasses.replace(schema, tables={**schema.tables, "item": item_rows}, item=schema.item[:fields])


def make_batch(schema, rows, moments=True):
    """Candidates of different moments that see different events, or of one moment that see all."""
    groups = synthetic.make_groups(schema, 5, seed=6, offsets=moments)
    for group in groups if moments else ():
        group["timestamp"] = [stamp - 5_000 * place for place, stamp in enumerate(group["timestamp"])]
    return rows(schema, tf.constant([records.encode(schema, group) for group in groups]), LENGTHS)


def make_model(schema, long_term="lap", objectives=(), **crp):
    tf.keras.utils.set_random_seed(5)
    crp = dataclasses.replace(component("objectives", "crp").Config(), **{"num_negatives": 37, **crp})
    model = build_model(schema, LENGTHS, ModelConfig(long_term=long_term, objectives=objectives),
                        {("long_term", long_term): config_of(long_term), ("objectives", "crp"): crp},
                        EmbeddingConfig(embedding_dim=4, initializer="uniform_0.05"))
    model.build_weights()
    model.compile(optimizer=tf.keras.optimizers.Adam())
    for table in model.embedder.tables.vectors.values():
        table.assign(20 * table)
    return model


def assert_same_as_raw(model, batch):
    with tf.GradientTape() as tape:
        expected_losses = model.compute_losses(batch)
        total = tf.add_n(list(expected_losses.values()))
    expected = tape.gradient(total, model.trainable_variables)
    losses, found = model.compute_gradients(batch)
    assert set(losses) == set(expected_losses)
    for name, value in expected_losses.items():
        assert float(losses[name]) == pytest.approx(float(value), rel=1e-5), name
    for variable, gradient, other in zip(model.trainable_variables, found, expected, strict=True):
        assert gradient is not None or other is None, variable.name
        if gradient is not None:
            other = tf.zeros_like(variable) if other is None else tf.convert_to_tensor(other)
            np.testing.assert_allclose(tf.convert_to_tensor(gradient), other, rtol=1e-4,
                                       atol=2e-5 * np.abs(other).max(initial=1e-3), err_msg=variable.name)


def assert_same_logits(model, batch):
    logits = [tf.boolean_mask(model(one), batch["candidate_mask"]) for one in (batch, model.embedder.look_up(batch))]
    np.testing.assert_allclose(*logits, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("item_rows, layouts", [(61, [grouped_rows]), (97, [grouped_rows, flat_rows])],
                         ids=["few rows", "many rows"])
@pytest.mark.parametrize("long_term", components("long_term"))
def test_every_long_term_model(long_term, item_rows, layouts):
    schema = schema_of(item_rows)
    model = make_model(schema, long_term)
    for rows in layouts:
        batch = make_batch(schema, rows)
        assert_same_as_raw(model, batch)
    assert_same_logits(model, batch)


@pytest.mark.parametrize("long_term, item_rows", [("lap", 61), ("lap", 97), ("twin", 61)])
def test_one_item_field(long_term, item_rows):
    """Then all of an item is of one form, and one table serves all of it."""
    schema = schema_of(item_rows, fields=1)
    model = make_model(schema, long_term)
    for rows in (grouped_rows, flat_rows):
        assert_same_as_raw(model, make_batch(schema, rows, moments=False))


@pytest.mark.parametrize("options", [
    {"tables": "shared"}, {"tables": "projection"}, {"num_negatives": 9001}], ids=str)
def test_crp_over_the_tables(options):
    schema = schema_of(97)
    model = make_model(schema, "mean_pool", ("crp",), **options)
    for rows in (grouped_rows, flat_rows):
        assert_same_as_raw(model, make_batch(schema, rows))


def test_separate_tables_search_as_before():
    schema = schema_of(97)
    model, batch = make_model(schema, objectives=("crp",), tables="separate"), make_batch(schema, grouped_rows)
    assert_same_as_raw(model, batch)
    assert_same_logits(model, batch)


@pytest.fixture
def mixed_precision():
    tf.keras.mixed_precision.set_global_policy("mixed_bfloat16")
    yield
    tf.keras.mixed_precision.set_global_policy("float32")


@pytest.mark.parametrize("item_rows", [61, 97])
def test_gradients_of_bfloat16_embeddings_are_float32_and_near(item_rows, mixed_precision):
    schema = schema_of(item_rows)
    batch = make_batch(schema, grouped_rows)
    narrow = make_model(schema, "full_attention", ("crp",))
    tf.keras.mixed_precision.set_global_policy("float32")
    full = make_model(schema, "full_attention", ("crp",))
    full.set_weights(narrow.get_weights())
    assert (narrow.embedder.compute_dtype, full.embedder.compute_dtype) == ("bfloat16", "float32")
    of_narrow, of_full = narrow.compute_gradients(batch)[1], full.compute_gradients(batch)[1]
    for variable, gradient, other in zip(full.trainable_variables, of_narrow, of_full, strict=True):
        assert (gradient is None) == (other is None)
        if gradient is not None:
            assert gradient.dtype == tf.float32, variable.name
            gradient, other = tf.convert_to_tensor(gradient), tf.convert_to_tensor(other)
            assert float(tf.norm(gradient - other)) <= 0.25 * float(tf.norm(other)) + 1e-5, variable.name


def test_sizes_of_the_tables():
    assert 61 <= FEW_ROWS < 97


def test_batches_of_every_size_are_traced_once(tmp_path):
    """Requests, their candidates, events and distinct ids differ from batch to batch; the last one is partial."""
    schema = schema_of(97)
    synthetic.write_records(tmp_path, schema, {"train": 11, "validation": 7, "test": 1}, shards=1, offsets=True)
    config = DataConfig(layout="grouped", short_length=3, lifelong_length=13)
    files = RecordFiles.open(str(tmp_path))
    batches = {split: pipeline.read(files, split, config, 9) for split in ("train", "validation")}
    assert len({tuple(batch["label"].shape) for batch in batches["train"]}) > 2
    model = make_model(schema, objectives=("crp",))
    model.optimizer.build(model.trainable_variables)  # creating variables would take a trace of its own
    model.fit(batches["train"], epochs=2, verbose=0)
    model.predict(batches["validation"], verbose=0)
    model.predict(batches["train"], verbose=0)
    assert model.train_function.experimental_get_tracing_count() == 1
    assert model.predict_function.experimental_get_tracing_count() == 1
