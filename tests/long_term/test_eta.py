import numpy as np
import pytest
import tensorflow as tf

from lcn_tf.data.pipeline import flat_rows
from lcn_tf.long_term import eta
from tests import references_baselines
from tests.long_term.histories import LAYOUTS, WIDTH, Requests, attention_weights, built, config, small_model

SIZES = {"top_k": 3, "hash_bits": 5, "attention_dim": 6, "num_heads": 2}  # few bits: nearly every event ties


@pytest.mark.parametrize("rows, offsets, moments", LAYOUTS)
@pytest.mark.parametrize("options", [{}, {"context": False}, {"top_k": 50}, {"hash_bits": 67, "hash_seed": 3}], ids=str)
def test_search_then_attention(rows, offsets, moments, options):
    requests = Requests(rows, offsets, moments)
    options = {**SIZES, **options}
    layer = built(eta, requests, **options)
    weights, projection = attention_weights(layer.attention.attention), np.float64(layer.simhash.projection)
    expected = requests.expected(lambda *views: references_baselines.eta(
        *views, weights, projection, options["top_k"], 2, options.get("context", True)))
    np.testing.assert_allclose(requests.run(layer)[requests.real], expected[requests.real], rtol=1e-4, atol=1e-4)


def test_the_search_ranks_by_distance_then_by_recency():
    requests = Requests(offsets=True, moments=True)
    layer = built(eta, requests, **SIZES)
    projection = np.float64(layer.simhash.projection)
    scores = layer.stage_scores(requests.candidate, requests.history)["gsu"].numpy()
    distances = requests.expected(
        lambda candidate, events, _: references_baselines.hamming(candidate, events[:, :WIDTH], projection))
    for b, c in np.argwhere(requests.real):
        visible = requests.mask[b, c].nonzero()[0]
        ordered = sorted(visible, key=lambda k, row=(b, c): (distances[row][k], k))
        assert sorted(visible, key=lambda k, row=(b, c): -scores[row][k]) == ordered
        assert len(set(scores[b, c][visible])) == len(visible)


def test_the_embeddings_learn_from_the_attention_alone():
    requests = Requests(flat_rows)
    layer, history = built(eta, requests, **SIZES), requests.history
    tables = requests.embedder.tables.vectors
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(layer(requests.candidate, history) ** 2)
    assert np.any(tf.convert_to_tensor(tape.gradient(total, tables["item"])))
    with tf.GradientTape() as tape:
        candidate = requests.embedder.read(requests.batch).candidate
        scores = layer.stage_scores(candidate, requests.history)["gsu"]
    assert tape.gradient(scores, tables["item"]) is None


def test_the_projection_is_saved_and_not_trained():
    model = small_model("eta", config("eta", **SIZES))
    projection = model.long_term.simhash.projection
    assert any(variable is projection for variable in model.variables)
    assert all(variable is not projection for variable in model.trainable_variables)
    before = projection.numpy()
    model.train_step(Requests(embedder=model.embedder).batch)
    np.testing.assert_array_equal(projection, before)
    again = small_model("eta", config("eta", **SIZES), seed=99)
    np.testing.assert_array_equal(again.long_term.simhash.projection, before)  # its seed, not the global one
    other = small_model("eta", config("eta", **SIZES, hash_seed=1))
    assert (other.long_term.simhash.projection.numpy() != before).any()


@pytest.mark.parametrize("options, message", [
    ({"top_k": 0}, "top_k must be at least 1 or None, got 0"),
    ({"hash_bits": 0}, "num_bits must be at least 1, got 0"),
])
def test_impossible_options(options, message):
    with pytest.raises(ValueError, match=message):
        eta.build(eta.Config(**options))
