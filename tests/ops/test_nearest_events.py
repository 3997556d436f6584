"""The nearest events of another history, found one by one in plain Python."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from lcn_tf.ops.nearest_events import nearest_events

LENGTH = 7
GARBAGE = (0, 2, 10**12, -(2**63))


def expected(moment, timestamps, visible, count):
    """Places of what lies around a moment, most recent first."""
    seen = [place for place, there in enumerate(visible) if there]
    before = [place for place in seen if timestamps[place] <= moment][:count]
    after = [place for place in seen if timestamps[place] > moment][-count:]
    return after + before


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), views=st.integers(1, 3), count=st.integers(1, 4), latest=st.integers(1, 9))
def test_every_event_is_found_or_not_as_plain_loops_say(seed, views, count, latest):
    requests, moments, rng = 2, 3, np.random.default_rng(seed)
    times = -np.sort(-rng.integers(1, latest + 1, (requests, LENGTH)))  # the fewer seconds, the more ties
    first, size = rng.integers(0, LENGTH + 1, (2, requests, views, 1))
    visible = (np.arange(LENGTH) >= first) & (np.arange(LENGTH) < first + size)
    for row, there in zip(times, visible.any(1), strict=True):
        seen = np.flatnonzero(there)
        outside = np.delete(np.arange(LENGTH), np.arange(seen[0], seen[-1] + 1) if len(seen) else [])
        row[outside] = rng.choice(GARBAGE, len(outside))
    asked = rng.integers(0, latest + 2, (requests, moments))
    places, found = (values.numpy() for values in nearest_events(
        tf.constant(asked, tf.int64), tf.constant(times, tf.int64), tf.constant(visible), count))
    assert places.shape == found.shape == (requests, views, moments, 2 * count)
    assert np.all((places >= 0) & (places < LENGTH))
    for request, view, moment in np.ndindex(requests, views, moments):
        here = request, view, moment
        assert places[here][found[here]].tolist() == expected(
            asked[request, moment], times[request], visible[request, view], count)


@pytest.mark.parametrize("requests", [0, 2])
def test_nothing_to_find(requests):
    places, found = nearest_events(tf.zeros([requests, 3], tf.int64), tf.zeros([requests, 1], tf.int64),
                                   tf.zeros([requests, 1, 1], tf.bool), 5)
    assert places.shape == found.shape == (requests, 1, 3, 10) and not found.numpy().any()
