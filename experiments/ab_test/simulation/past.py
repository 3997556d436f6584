"""What is known of a population before a request: what was shown, and what came of it.

What a population leaves is the place of every candidate that was shown; clicks, stays and histories follow from it and
from the draws of `requests`. Shape letters: R requests, C candidates, S places of a page, n rows or rooms.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from experiments.ab_test.simulation.requests import Requests


@dataclasses.dataclass(frozen=True)
class Clicks:
    """Rooms that a population has clicked, each `[n]`, in the order of users and, of each, of time.

    Attributes:
      user, room: indices.
      timestamp: seconds UTC at which the room is entered, the one after the request's.
      stay_seconds: in the room.
      liked: bool, the room's topic is one of the user's interests.
    """

    user: np.ndarray
    room: np.ndarray
    timestamp: np.ndarray
    stay_seconds: np.ndarray
    liked: np.ndarray


@dataclasses.dataclass
class Past:
    """What an arm may know of a population before a request.

    Attributes:
      requests: all of them.
      places: `[R, S]` candidates that were shown; -1 where a request was not served yet.
      day: that is being served; 0 is the first day of impressions.
      seed: of the world.
    """

    requests: Requests
    places: np.ndarray
    day: int
    seed: int

    def served(self, before_day: int) -> np.ndarray:
        """Places of the requests of the days before a day."""
        return np.flatnonzero(self.requests.day < before_day)

    def clicks(self) -> Clicks:
        """Of all requests that were served."""
        rows = np.flatnonzero(self.places[:, 0] >= 0)
        clicked, at = np.nonzero(self.requests.clicked(self.places[rows], rows))
        rows = rows[clicked]
        place = self.places[rows, at]
        return Clicks(self.requests.user[rows], self.requests.room[rows, place], self.requests.timestamp[rows] + 1,
                      self.requests.stay_seconds[rows, place], self.requests.liked[rows, place])

    def room_counts(self) -> tuple[np.ndarray, np.ndarray]:
        """`[rooms]` impressions and clicks of each room on the days before this one."""
        rows, rooms = self.served(self.day), 1 + self.requests.room.max(initial=0)
        shown = np.take_along_axis(self.requests.room[rows], self.places[rows], 1)
        clicked = self.requests.clicked(self.places[rows], rows)
        return np.bincount(shown.ravel(), minlength=rooms), np.bincount(shown[clicked], minlength=rooms)
