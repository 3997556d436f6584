"""Cuts histories out of users' ordered events by position: no event is copied before its record is written."""

from __future__ import annotations

import numpy as np


class UserSequences:
    """Where each user's events lie in one long array, most recent first within a user.

    Args:
      users: `[N]` int64, ascending.
      timestamps: `[N]` int64 seconds, descending within a user.

    Raises:
      ValueError: the events are not in that order.
    """

    def __init__(self, users: np.ndarray, timestamps: np.ndarray):
        same_user = users[1:] == users[:-1]
        if np.any(users[1:] < users[:-1]) or np.any(same_user & (timestamps[1:] > timestamps[:-1])):
            raise ValueError("events must be ordered by user, then from the latest to the earliest timestamp")
        self._users, self._firsts = np.unique(users, return_index=True)
        self._ends = np.append(self._firsts[1:], len(users))
        self._latest = int(timestamps.max(initial=0))
        self._span = self._latest - int(timestamps.min(initial=0)) + 2
        # Ascending over the whole array: users by rank, then the age of the event. [N]
        self._keys = np.repeat(np.arange(len(self._users)), self._ends - self._firsts) * self._span
        self._keys += self._latest - timestamps

    def slices(self, users: np.ndarray, cutoffs: np.ndarray, skip: int, length: int) -> tuple[np.ndarray, np.ndarray]:
        """The positions of each group's most recent events.

        Args:
          users: `[G]` int64.
          cutoffs: `[G]` int64 seconds; only events with a smaller timestamp count.
          skip: newest of those events to leave out.
          length: longest history.

        Returns:
          `starts`, `stops`: `[G]` int64; equal for an empty history.
        """
        if not len(self._users):
            return np.zeros(len(users), np.int64), np.zeros(len(users), np.int64)
        ranks = np.minimum(np.searchsorted(self._users, users), len(self._users) - 1)
        known = self._users[ranks] == users
        ages = np.clip(self._latest - cutoffs, -1, self._span - 1)
        firsts = np.searchsorted(self._keys, ranks * self._span + ages, side="right")
        ends = self._ends[ranks]
        starts = np.where(known, np.minimum(firsts + skip, ends), 0)
        return starts, np.where(known, np.minimum(starts + length, ends), 0)
