import numpy as np
import pytest
import tensorflow as tf

from lcn_tf.embeddings import EmbeddingConfig, EmbeddingTables


def test_tables_have_the_width_that_they_are_given():
    config = EmbeddingConfig(embedding_dim=5, dims=("item:7", "price:1"))
    tables = EmbeddingTables({"item": 11, "category": 3, "price": 2}, config).vectors
    assert {name: tuple(table.shape) for name, table in tables.items()} == {
        "item": (11, 7), "category": (3, 5), "price": (2, 1)}


@pytest.mark.parametrize("width", [2, 64])
def test_unit_normal_rows_have_norm_1_on_average_whatever_the_table_s_size(width):
    for rows in (10, 10_000):
        tf.keras.utils.set_random_seed(3)
        config = EmbeddingConfig(embedding_dim=width, initializer="unit_normal")
        table = EmbeddingTables({"item": rows}, config).vectors["item"].numpy()
        assert np.mean((table**2).sum(1)) == pytest.approx(1, abs=3 * (2 / width / rows) ** 0.5)


@pytest.mark.parametrize("options, message", [
    ({"embedding_dim": 0}, "embeddings.embedding_dim must be at least 1, got 0"),
    ({"initializer": "zeros"}, "embeddings.initializer must be one of glorot_uniform, .*, got 'zeros'"),
    ({"dims": ("item",)}, "embeddings.dims must give each table one width of at least 1, like author:32, got 'item'"),
    ({"dims": ("item:0",)}, "embeddings.dims must.*got 'item:0'"),
    ({"dims": ("item:2.5",)}, "embeddings.dims must.*got 'item:2.5'"),
    ({"dims": ("item:2", "item:3")}, "embeddings.dims must.*got 'item:2,item:3'"),
])
def test_impossible_options(options, message):
    with pytest.raises(ValueError, match=message):
        EmbeddingConfig(**options)
