"""What a user did strictly before a request, as a model's history: most recent first, padded at the end.

The rooms entered are those that the user entered unasked and those that a population's pages led to; of one second the
latter come after the former, as in the logs. Shape letters: n requests, L events, S places of a page.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from data_prep.industrial.planted_process import NOT_A_VIDEO
from experiments.ab_test.simulation.own_events import OwnEvents, keys, latest
from experiments.ab_test.simulation.past import Clicks
from experiments.ab_test.simulation.site import Site


@dataclasses.dataclass(frozen=True)
class History:
    """Events of requests, each `[n, L]`; where `timestamp` is 0 there is none.

    Attributes:
      timestamp: seconds UTC.
      author, category: raw ids.
      watch_seconds: time in the video or room.
      finished: 0 or 1, `NOT_A_VIDEO` for a room.
    """

    timestamp: np.ndarray
    author: np.ndarray
    category: np.ndarray
    watch_seconds: np.ndarray
    finished: np.ndarray


def watched(site: Site, rows: np.ndarray, length: int, skip: int = 0) -> History:
    """The latest videos before requests `rows` `[n]`, without the very latest `skip`."""
    videos, requests = site.own_events[0], site.requests
    return _of_own(videos, latest(videos.key, requests.user[rows], requests.timestamp[rows], length, skip))


def entered(site: Site, clicks: Clicks, rows: np.ndarray, length: int) -> History:
    """The latest rooms entered before requests `rows` `[n]`: unasked, or by a population's clicks so far."""
    lives, requests = site.own_events[1], site.requests
    user, timestamp = requests.user[rows], requests.timestamp[rows]
    unasked = _of_own(lives, latest(lives.key, user, timestamp, length))
    found = latest(keys(clicks.user, clicks.timestamp), user, timestamp, length)
    room = clicks.room[found]
    clicked = _where(found >= 0, History(
        clicks.timestamp[found], site.world.room_author[room], site.world.room_category[room],
        clicks.stay_seconds[found], np.full(found.shape, NOT_A_VIDEO))) if len(clicks.user) else None
    if clicked is None:
        return unasked
    # Oldest first, so that of equal times clicks come last; padding has the time 0 and comes first.
    both = [np.concatenate([one[:, ::-1], other[:, ::-1]], axis=1) for one, other in zip(
        *(dataclasses.astuple(history) for history in (unasked, clicked)), strict=True)]
    order = np.argsort(both[0], axis=1, kind="stable")[:, ::-1][:, :length]
    return History(*(np.take_along_axis(column, order, 1) for column in both))


def _of_own(events: OwnEvents, found: np.ndarray) -> History:
    if not len(events):
        return History(*(np.zeros(found.shape, np.int64) for _ in dataclasses.fields(History)))
    return _where(found >= 0, History(events.timestamp(found), events.author[found], events.category[found],
                                      events.watch_seconds[found], events.finished[found]))


def _where(real: np.ndarray, history: History) -> History:
    """Zeros where there is no event."""
    return History(*(np.where(real, column, 0).astype(np.int64) for column in dataclasses.astuple(history)))
