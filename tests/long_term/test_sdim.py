import numpy as np
import pytest

from lcn_tf.layers import MASKED_SCORE
from lcn_tf.long_term import sdim
from tests import references_baselines
from tests.long_term.histories import LAYOUTS, WIDTH, Requests, attention_weights, built, config, small_model


@pytest.mark.parametrize("rows, offsets, moments", LAYOUTS)
@pytest.mark.parametrize("options", [{}, {"num_hashes": 5, "hash_bits": 1}, {"num_hashes": 2, "hash_bits": 7},
                                     {"context": False}], ids=str)
def test_pooling_of_colliding_events(rows, offsets, moments, options):
    requests = Requests(rows, offsets, moments)
    layer = built(sdim, requests, **options)
    projection = np.float64(layer.pooling.simhash.projection)
    width = None if layer.context else WIDTH
    expected = requests.expected(lambda candidate, events, mask: references_baselines.sdim(
        candidate, events[:, :width], mask, projection, layer.pooling.hash_bits))
    np.testing.assert_allclose(requests.run(layer)[requests.real], expected[requests.real], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("context", [True, False])
@pytest.mark.parametrize("rows, offsets, moments", LAYOUTS)
def test_attention_over_colliding_events(rows, offsets, moments, context):
    requests = Requests(rows, offsets, moments)
    layer = built(sdim, requests, esu="mhta", num_hashes=2, hash_bits=3, attention_dim=6, num_heads=2, context=context)
    projection, weights = np.float64(layer.pooling.simhash.projection), attention_weights(layer.attention.attention)

    def shared(candidate, events, mask):
        return references_baselines.shared_signatures(candidate, events[:, :WIDTH], projection, 3)

    def attend(candidate, events, mask):
        return references_baselines.target_mha(candidate, events if context else events[:, :WIDTH],
                                               mask & (shared(candidate, events, mask) > 0), weights, 2)

    expected, collisions = requests.expected(attend), requests.expected(shared)
    assert 0 < (collisions[requests.mask] > 0).mean() < 1
    np.testing.assert_allclose(requests.run(layer)[requests.real], expected[requests.real], rtol=1e-4, atol=1e-4)
    stages = layer.stage_scores(requests.candidate, requests.history)
    np.testing.assert_array_equal(stages["gsu"], np.where(requests.mask, collisions, MASKED_SCORE))
    assert stages["final"].shape == requests.mask.shape


def test_the_defaults_are_the_papers():
    layer = built(sdim, Requests())
    assert layer.pooling.simhash.projection.shape == (WIDTH, 48) and layer.pooling.hash_bits == 3


def test_nothing_is_trained_but_the_projection_is_saved():
    model = small_model("sdim", config("sdim"))
    projection = model.long_term.pooling.simhash.projection
    assert not model.long_term.trainable_variables and len(model.long_term.variables) == 1
    before = projection.numpy()
    model.train_step(Requests(embedder=model.embedder).batch)
    np.testing.assert_array_equal(projection, before)
    other = small_model("sdim", config("sdim", hash_seed=7))
    assert (other.long_term.pooling.simhash.projection.numpy() != before).any()


def test_impossible_options():
    with pytest.raises(ValueError, match="hash_bits must be between 1 and 31, got 0"):
        sdim.build(sdim.Config(hash_bits=0))
