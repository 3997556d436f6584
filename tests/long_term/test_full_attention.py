import numpy as np
import pytest

from lcn_tf.long_term import full_attention
from tests import references, references_baselines
from tests.long_term.histories import LAYOUTS, Requests, attention_weights, built

SIZES = {"attention_dim": 6, "num_heads": 2}


@pytest.mark.parametrize("rows, offsets, moments", LAYOUTS)
def test_attention_over_every_visible_event(rows, offsets, moments):
    requests = Requests(rows, offsets, moments)
    layer = built(full_attention, requests, **SIZES)
    weights = attention_weights(layer.attention.attention)
    expected = requests.expected(lambda *views: references_baselines.target_mha(*views, weights, 2))
    np.testing.assert_allclose(requests.run(layer)[requests.real], expected[requests.real], rtol=1e-4, atol=1e-4)


def test_both_stages_are_the_attention():
    requests = Requests(offsets=True, moments=True)
    layer = built(full_attention, requests, **SIZES)
    weights = attention_weights(layer.attention.attention)
    stages = layer.stage_scores(requests.candidate, requests.history)
    expected = requests.expected(lambda *views: references.fsa_scores(*views, weights, 2).mean(0))
    real = requests.mask & requests.real[..., np.newaxis]
    np.testing.assert_allclose(stages["final"].numpy()[real], expected[real], rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(stages["gsu"], stages["final"])


def test_impossible_options():
    with pytest.raises(ValueError, match="attention_dim=5 and num_heads=2"):
        full_attention.build(full_attention.Config(attention_dim=5, num_heads=2))
