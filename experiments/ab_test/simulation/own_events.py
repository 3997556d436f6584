"""What users do on their own, whatever they are shown: videos watched, and rooms entered without being shown.

Shape letters: U users, E events of a domain, n requests, L events of a history.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from data_prep.industrial import planted_process
from data_prep.industrial.planted_process import FIRST_EVENT, Events, Visitors, World
from experiments.ab_test.simulation.requests import USERS_PER_CHUNK

_EVENTS = 4  # what the stream of draws is for, beside the seed
_SECONDS = 32  # bits of a key that hold the seconds since the first event


@dataclasses.dataclass(frozen=True)
class OwnEvents:
    """Events of one domain, in the order of users and, of each, of time; of equal times as drawn.

    Attributes:
      key: `[E]` of user and second, see `keys`.
      author, category, watch_seconds: `[E]` int32.
      finished: `[E]` int8.
      is_live: whether these are rooms.
    """

    key: np.ndarray
    author: np.ndarray
    category: np.ndarray
    watch_seconds: np.ndarray
    finished: np.ndarray
    is_live: bool

    def __len__(self) -> int:
        return len(self.key)

    def user(self, rows: np.ndarray) -> np.ndarray:
        """`[n]` index of the user of events `[n]`."""
        return self.key[rows] >> _SECONDS

    def timestamp(self, rows: np.ndarray) -> np.ndarray:
        """`[n]` seconds UTC of events `[n]`."""
        return (self.key[rows] & ((1 << _SECONDS) - 1)) + FIRST_EVENT

    def between(self, first: int, end: int) -> np.ndarray:
        """Rows of the events from a second to the one before another."""
        second = (self.key & ((1 << _SECONDS) - 1)) + FIRST_EVENT
        return np.flatnonzero((second >= first) & (second < end))

    def as_events(self, rows: np.ndarray) -> Events:
        """Rows as the generator has them; what logs do not have is not kept and is 0."""
        nothing = np.zeros(len(rows), np.int8)
        return Events(self.user(rows), self.timestamp(rows), np.full(len(rows), self.is_live), self.author[rows],
                      self.category[rows], self.watch_seconds[rows], self.finished[rows].astype(np.int64), nothing,
                      nothing, nothing)


def keys(user: np.ndarray, timestamp: np.ndarray) -> np.ndarray:
    """`[n]` int64 that order events by user, then by time."""
    return (user.astype(np.int64) << _SECONDS) + (timestamp - FIRST_EVENT)


def latest(key: np.ndarray, user: np.ndarray, timestamp: np.ndarray, length: int, skip: int = 0) -> np.ndarray:
    """`[n, L]` rows of the latest events of users strictly before seconds, most recent first; -1 where there is none.

    Args:
      key: `[E]` of the events, ascending.
      user, timestamp: `[n]`.
      length: L at most; the longest history that is found, at least 1.
      skip: the latest events that are left out.
    """
    first = np.searchsorted(key, keys(user, np.full(len(user), FIRST_EVENT)))
    end = np.searchsorted(key, keys(user, timestamp)) - skip
    longest = max(1, min(length, (end - first).max(initial=0)))
    rows = end[:, np.newaxis] - 1 - np.arange(longest)
    return np.where(rows >= first[:, np.newaxis], rows, -1)


def draw_own_events(world: World, visitors: list[Visitors], seed: int) -> tuple[OwnEvents, OwnEvents]:
    """The videos and the rooms of all users, in all days of the world."""
    videos, lives = [], []
    for chunk, found in enumerate(visitors):
        rng = np.random.default_rng([seed, _EVENTS, chunk])
        for kept, drawn in zip((videos, lives), planted_process.draw_own_events(world, found, rng), strict=True):
            kept.append(_compact(drawn, chunk * USERS_PER_CHUNK))
    return _joined(videos, is_live=False), _joined(lives, is_live=True)


def _compact(events: Events, first_user: int) -> list[np.ndarray]:
    key = keys(events.user + first_user, events.timestamp)
    order = np.argsort(key, kind="stable")
    return [key[order], *(column[order].astype(np.int32) for column in (
        events.author, events.category, events.watch_seconds)), events.finished[order].astype(np.int8)]


def _joined(chunks: list[list[np.ndarray]], is_live: bool) -> OwnEvents:
    return OwnEvents(*(np.concatenate(columns) for columns in zip(*chunks, strict=True)), is_live=is_live)
