"""Features of several values: models read the mean of their vectors, padding is no value, and exports take them."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from lcn_tf.data.pipeline import DataConfig, RecordFiles, read
from lcn_tf.embeddings import EmbeddingConfig
from lcn_tf.models import ModelConfig, build_model
from lcn_tf.schema import Feature, FeatureSchema
from lcn_tf.serving import export_model, verify_export
from lcn_tf.training import TrainConfig, compile_model
from tests import synthetic

DATA = DataConfig(short_length=5, lifelong_length=11)
SMALL = ModelConfig(long_term="mean_pool", short_term="mean", objectives=())
GENRES, TAGS = ("genres_1", "genres_2", "genres_3"), ("tags_1", "tags_2")


def make_schema():
    plain = synthetic.make_schema()
    return dataclasses.replace(
        plain, tables={**plain.tables, "genre": 9, "tag": 8},
        user=(*plain.user, *(Feature(name, "tag") for name in TAGS)),
        candidate=(*(Feature(name, "genre") for name in GENRES), *plain.candidate),
        means={"genres": GENRES, "tags": TAGS})


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Records of which a third of the values is padding."""
    folder, schema, rng = tmp_path_factory.mktemp("data"), make_schema(), np.random.default_rng(4)
    groups = {split: synthetic.make_groups(schema, count, seed) for seed, (split, count) in enumerate(
        synthetic.GROUPS.items())}
    for group in (group for members in groups.values() for group in members):
        for name in (*GENRES, *TAGS):
            group[name] = [0 if rng.random() < 1 / 3 else value for value in group[name]]
    synthetic.write_records(folder, schema, groups)
    return RecordFiles.open(str(folder))


def new_model(files, parts=SMALL, **options):
    tf.keras.utils.set_random_seed(2)
    model = build_model(files.schema, DATA.lengths_of(files.schema), parts, {},
                        EmbeddingConfig(embedding_dim=4, **options), seed=1)
    compile_model(model, TrainConfig(batch_size=29, learning_rate=0.02))
    return model


def expected_mean(model, table, batch, names):
    weights = model.embedder.tables.tables[table].vectors.numpy()
    ids = np.stack([batch[name].numpy() for name in names], -1)
    total = (weights[ids] * (ids > 0)[..., np.newaxis]).sum(-2)
    return total / np.maximum((ids > 0).sum(-1), 1)[..., np.newaxis]


@pytest.mark.parametrize("look", ["read", "look_up"])
def test_the_vector_is_the_mean_of_the_values(files, look):
    model = new_model(files)
    batch = next(iter(read(files, "train", DATA, 29)))
    found = getattr(model.embedder, look)(batch)
    assert list(found.user) == ["user_id", "age", "tags"]
    assert list(found.candidate_side) == ["genres", "price", "slot"]
    np.testing.assert_allclose(found.user["tags"], expected_mean(model, "tag", batch, TAGS), rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(found.candidate_side["genres"], expected_mean(model, "genre", batch, GENRES),
                               rtol=1e-6, atol=1e-7)
    assert (np.stack([batch[name].numpy() for name in TAGS]) == 0).all(0).any()  # users without a value


def test_padding_is_never_trained_and_order_does_not_matter(files):
    model = new_model(files, l2=0.1)
    before = {name: model.embedder.tables.tables[name].vectors.numpy() for name in ("genre", "tag")}
    batches = list(read(files, "train", DATA, 29))
    model.fit(tf.data.Dataset.from_tensors(batches[0]), verbose=0)
    for name, values in before.items():
        now = model.embedder.tables.tables[name].vectors.numpy()
        np.testing.assert_array_equal(now[0], values[0])
        assert (now[2:] != values[2:]).any()
    turned = {**batches[1], **dict(zip(GENRES, [batches[1][name] for name in GENRES[::-1]], strict=True))}
    np.testing.assert_allclose(model(turned), model(batches[1]), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("parts, options", [
    (SMALL, {"exclude": ("genres",)}), (dataclasses.replace(SMALL, objectives=("cl4ctr",)), {}),
    (dataclasses.replace(SMALL, objectives=("dss",)), {})])
def test_parts_that_read_features_take_them(files, parts, options):
    model = new_model(files, parts, **options)
    log = model.fit(read(files, "train", DATA, 29).take(2), verbose=0)
    assert np.isfinite(log.history["loss"][0])
    assert ("genres" in model.embedder.read(next(iter(read(files, "train", DATA, 29)))).candidate_side) != bool(options)


def test_an_export_answers_as_the_model(files, tmp_path):
    path = export_model(new_model(files), str(tmp_path), files, DATA)
    assert verify_export(path).candidates > 3
    with open(f"{path}/assets.extra/README.md", encoding="utf-8") as file:
        assert "| `genres_1`, `genres_2`, `genres_3` |" in file.read()


def test_the_schema_says_what_is_wrong_and_comes_back():
    schema = make_schema()
    assert FeatureSchema.from_json(schema.to_json()) == schema and '"version": 3' in schema.to_json()
    assert "means" not in synthetic.make_schema().to_json()
    for means, message in (
            ({"x": ("genres_1", "tags_1")}, "must name features of the user, or of candidates, got genres_1, tags_1"),
            ({"x": ("price", "genres_1")}, "price, genres_1 must read one table"), ({"x": ()}, "got none"),
            ({"x": ("item_id",)}, "must name features of the user, or of candidates, got item_id"),
            ({"x": TAGS, "y": TAGS[:1]}, "names tags_1 twice"), ({"price": GENRES}, "'price' is a feature's name")):
        with pytest.raises(ValueError, match=message):
            dataclasses.replace(schema, means=means)
