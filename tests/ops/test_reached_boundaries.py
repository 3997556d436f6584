"""Counting reached boundaries is a search among them."""

import numpy as np
import pytest
import tensorflow as tf

from lcn_tf.ops.reached_boundaries import reached_boundaries


@pytest.mark.parametrize("boundaries", [(5,), (60, 240, 960), (-3, 0, 2**40)])
@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_as_numpy_searches(boundaries, dtype):
    limits = np.iinfo(dtype)
    ends = [end for end in boundaries if end <= limits.max]
    values = np.array([[limits.min, *(end + step for end in ends for step in (-1, 0, 1)), limits.max]], dtype)
    found = tf.function(lambda given: reached_boundaries(given, ends))(values)
    assert found.dtype == tf.int32
    np.testing.assert_array_equal(found, np.searchsorted(ends, values, side="right"))
