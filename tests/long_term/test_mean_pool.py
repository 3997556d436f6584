import numpy as np
import pytest

from lcn_tf.long_term import mean_pool
from tests import references_baselines
from tests.long_term.histories import LAYOUTS, WIDTH, Requests, built


@pytest.mark.parametrize("rows, offsets, moments", LAYOUTS)
def test_mean_of_the_visible_items(rows, offsets, moments):
    requests = Requests(rows, offsets, moments)
    layer = built(mean_pool, requests)
    expected = requests.expected(
        lambda candidate, events, mask: references_baselines.mean_pool(events[:, :WIDTH], mask))
    np.testing.assert_allclose(requests.run(layer)[requests.real], expected[requests.real], rtol=1e-5, atol=1e-5)
    assert not layer.weights
