import numpy as np
import pytest

from lcn_tf.short_term import mhta
from tests import references_baselines
from tests.long_term.histories import LAYOUTS, WIDTH, Requests, attention_weights, built


@pytest.mark.parametrize("rows, offsets, moments", LAYOUTS)
def test_attention_over_the_visible_items(rows, offsets, moments):
    requests = Requests(rows, offsets, moments)
    layer = built(mhta, requests, attention_dim=6, num_heads=2)
    weights = attention_weights(layer.attention)
    expected = requests.expected(lambda candidate, events, mask: references_baselines.target_mha(
        candidate, events[:, :WIDTH], mask, weights, 2))
    np.testing.assert_allclose(requests.run(layer)[requests.real], expected[requests.real], rtol=1e-4, atol=1e-4)
    assert not requests.run(layer)[~requests.mask.any(-1)].any()


def test_impossible_options():
    with pytest.raises(ValueError, match="attention_dim=5 and num_heads=2"):
        mhta.build(mhta.Config(attention_dim=5, num_heads=2))
