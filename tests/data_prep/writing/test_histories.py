"""Positions of histories against a search event by event."""

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from data_prep.writing.histories import UserSequences

USERS, MOMENTS = st.integers(-2, 5), st.integers(-7, 11)


@hypothesis.given(st.lists(st.tuples(USERS, MOMENTS), max_size=40),
                  st.lists(st.tuples(USERS, MOMENTS), min_size=1, max_size=9), st.integers(0, 4),
                  st.integers(1, 5), st.sampled_from([0, 1_500_000_000]))
def test_slices_equal_a_search_event_by_event(events, groups, skip, length, epoch):
    events = sorted(((user, epoch + moment) for user, moment in events), key=lambda event: (event[0], -event[1]))
    users, moments = np.array(events, np.int64).reshape(-1, 2).T
    wanted = np.array(groups, np.int64)
    starts, stops = UserSequences(users, moments).slices(wanted[:, 0], epoch + wanted[:, 1], skip, length)
    for (user, cutoff), start, stop in zip(groups, starts.tolist(), stops.tolist(), strict=True):
        visible = [index for index, event in enumerate(events) if event[0] == user and event[1] < epoch + cutoff]
        assert list(range(start, stop)) == visible[skip:skip + length]
        assert 0 <= start <= stop <= len(events)


@pytest.mark.parametrize("events", [[(2, 5), (1, 5)], [(1, 5), (1, 6)]])
def test_events_out_of_order_are_refused(events):
    users, moments = np.array(events).T
    with pytest.raises(ValueError, match="ordered by user"):
        UserSequences(users, moments)
